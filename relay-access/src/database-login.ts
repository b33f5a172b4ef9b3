/**
 * How a program logs in to PostgreSQL: as its own user, a member of the role that the migrations created for it. Its
 * password is in a file. The server gets only the SCRAM verifier (RFC 5803), so no statement, and no log of statements,
 * contains the password.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes, randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

import { type Database, RelayError } from 'relay-common'

/** The programs that log in, and their roles (migration 0010). */
export const databaseRoles = { processor: 'relay_processor', api: 'relay_api', simulator: 'relay_producer' } as const
export type DatabaseLogin = keyof typeof databaseRoles

export const databaseLogins = Object.keys(databaseRoles) as DatabaseLogin[]

/** The user of a program. Servers are shared, and `api` may belong to somebody else, so the name is specific. */
export const databaseUserOf = (login: DatabaseLogin) => `relay_${login}_login`

const PASSWORD_BYTES = 32
const SCRAM_ITERATIONS = 4_096 // PostgreSQL's own value
const SCRAM_SALT_BYTES = 16

/**
 * Reads the password from a file. Creates the file with a new password, readable only by its owner, if there is none.
 * Concurrent calls return the same password.
 * @throws RelayError RELAY_CONFIG_INVALID for an empty file, or a folder that is not writable
 */
export async function keepPassword (path: string): Promise<string> {
  try {
    const made = `${path}.${randomUUID()}`
    if (await readFile(path).catch(() => undefined) === undefined) {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      await writeFile(made, randomBytes(PASSWORD_BYTES).toString('hex') + '\n', { mode: 0o600, flag: 'wx' })
      await link(made, path).catch(() => {}) // another process created it first: use its password
      await rm(made)
    }
    const password = (await readFile(path, 'utf8')).replace(/\r?\n$/, '')
    if (password === '') throw new Error('it is empty')
    return password
  } catch (cause) {
    throw new RelayError('RELAY_CONFIG_INVALID',
      `could not read a password from ${path}: ${(cause as Error).message}`, { cause })
  }
}

/**
 * Lets a program log in with a password, as a member of its role only. Requires the owner of a migrated database.
 * @returns the name of the user
 */
export async function allowLogin (database: Database, login: DatabaseLogin, password: string): Promise<string> {
  const user = databaseUserOf(login)
  await database.transaction(async client => {
    await client.query('select pg_advisory_xact_lock(hashtext($1))', [user])
    const { rowCount } = await client.query('select from pg_roles where rolname = $1', [user])
    // neither names nor verifiers can contain a quote; a statement on roles has no parameters
    await client.query(`${rowCount === 0 ? 'create' : 'alter'} role ${user} login password '${scramSecret(password)}'`)
    await client.query(`grant ${databaseRoles[login]} to ${user}`)
  })
  return user
}

/**
 * The verifier that PostgreSQL stores, and accepts in place of the password:
 * `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>` (RFC 5802).
 */
export function scramSecret (password: string): string {
  const salt = randomBytes(SCRAM_SALT_BYTES)
  const salted = pbkdf2Sync(password, salt, SCRAM_ITERATIONS, 32, 'sha256')
  const keyed = (text: string) => createHmac('sha256', salted).update(text).digest()
  const storedKey = createHash('sha256').update(keyed('Client Key')).digest()
  const base64 = (bytes: Buffer) => bytes.toString('base64')
  return `SCRAM-SHA-256$${SCRAM_ITERATIONS}:${base64(salt)}$${base64(storedKey)}:${base64(keyed('Server Key'))}`
}
