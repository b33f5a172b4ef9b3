/**
 * The database of the local stack: created if missing, migrated, with one user per program. Only this code and people
 * use the owner. All passwords are in the data folder.
 */
import { join } from 'node:path'

import { allowLogin, databaseLogins, databaseUserOf, keepPassword, scramSecret, type DatabaseLogin } from 'relay-access'
import {
  createLogger, databaseSettings, migrate, openDatabase, readConfig, RelayError, type Database
} from 'relay-common'
import { retentionSettings, setRetention } from 'relay-rollups'
import { Type } from 'typebox'

import { ensureDatabase, FIRST_PASSWORD, type LocalPostgres } from './postgres.ts'

export const DATABASE = 'relay'
const WRONG_PASSWORD = '28P01'

export interface Passwords {
  readonly folder: string
  readonly owner: string
  readonly logins: ReadonlyMap<DatabaseLogin, string>
}

/**
 * Reads the passwords of a data folder, and generates missing ones.
 * @throws RelayError RELAY_CONFIG_INVALID
 */
export async function keepPasswords (folder: string): Promise<Passwords> {
  const keep = (name: string) => keepPassword(join(folder, name))
  const logins = databaseLogins.map(async it => [it, await keep(it)] as const)
  return { folder, owner: await keep('owner'), logins: new Map(await Promise.all(logins)) }
}

/**
 * Prepares a running server for the programs, and sets the retention. Idempotent.
 * @throws RelayError if it is unreachable, or can't be migrated
 */
export async function prepareDatabase (
  server: LocalPostgres, passwords: Passwords, environment: NodeJS.ProcessEnv
): Promise<void> {
  const retention = readConfig(Type.Object(retentionSettings), environment)
  await ensureOwnPassword(server, passwords)
  await ensureDatabase(server, DATABASE)
  await using owner = await openAs(server.url(DATABASE))
  await migrate(owner.database, createLogger('relay-stack', 'silent'))
  await setRetention(owner.database, retention)
  for (const [login, password] of passwords.logins) await allowLogin(owner.database, login, password)
}

/** Settings by which a program logs in to a prepared database. */
export function loginSettings (
  { host, port }: LocalPostgres, { folder }: Passwords, login: DatabaseLogin
): NodeJS.ProcessEnv {
  return {
    DATABASE_URL: '', // would take precedence, wherever it comes from
    DATABASE_URL_FILE: '',
    POSTGRES_HOST: host,
    POSTGRES_PORT: String(port),
    POSTGRES_DB: DATABASE,
    POSTGRES_USER: databaseUserOf(login),
    POSTGRES_PASSWORD: '',
    POSTGRES_PASSWORD_FILE: join(folder, login)
  }
}

/** The same for people, with all rights. */
export function ownerSettings ({ host, port, user }: LocalPostgres, { folder }: Passwords): Record<string, string> {
  return {
    POSTGRES_HOST: host,
    POSTGRES_PORT: String(port),
    POSTGRES_DB: DATABASE,
    POSTGRES_USER: user,
    POSTGRES_PASSWORD_FILE: join(folder, 'owner')
  }
}

/** Data of older versions have a well-known password. */
async function ensureOwnPassword (server: LocalPostgres, { folder }: Passwords): Promise<void> {
  const url = new URL(server.url('postgres'))
  if (await isTaken(url.href)) return
  url.password = FIRST_PASSWORD
  if (!await isTaken(url.href)) {
    throw new RelayError('RELAY_CONFIG_INVALID',
      `the data of PostgreSQL has another password than the file ${join(folder, 'owner')}; restore that file, ` +
      'or start with --fresh')
  }
  await using owner = await openAs(url.href)
  await owner.database.query(`alter role ${server.user} password '${scramSecret(server.password)}'`)
}

/** Whether the server accepts the password of a URL. */
async function isTaken (url: string): Promise<boolean> {
  try {
    await (await openAs(url))[Symbol.asyncDispose]()
    return true
  } catch (error) {
    if (((error as Error).cause as { code?: string } | undefined)?.code !== WRONG_PASSWORD) throw error
    return false
  }
}

async function openAs (url: string): Promise<AsyncDisposable & { readonly database: Database }> {
  const settings = readConfig(Type.Object(databaseSettings), { DATABASE_URL: url })
  const database = await openDatabase(settings, 'relay-stack', createLogger('relay-stack', 'silent'))
  return { database, [Symbol.asyncDispose]: () => database.close() }
}
