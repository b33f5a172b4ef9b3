/**
 * Poolers between a program and PostgreSQL, such as PgBouncer. A program that keeps anything in its session (temporary tables,
 * LISTEN, settings, prepared statements, locks) needs one to itself.
 *
 *     none           the session is ours
 *     session        ours too, for as long as the connection; what a connection begins with may have been left out
 *     transaction    each transaction has whichever session is free
 *     statement      each statement has
 */
import type { ClientBase } from 'pg'

import { RelayError } from './errors.ts'

export type PoolMode = 'none' | 'session' | 'transaction' | 'statement'

/** What `pg` has, and does not declare. */
type WithProcess = ClientBase & { readonly processID: number | null }

/**
 * How a connection comes to its sessions. A server tells each client the id of its process, for cancellations. A pooler
 * has to tell another one, as that process is not the client's alone; so without a pooler this is one statement.
 * @param openOther opens another connection by the same way; it is closed here
 */
export async function findPoolMode (client: ClientBase, openOther: () => Promise<OtherClient>): Promise<PoolMode> {
  if (await readProcess(client) === (client as WithProcess).processID) return 'none'
  const other = await openOther()
  try {
    return await compare(client, other)
  } finally {
    await other.end()
  }
}

type OtherClient = ClientBase & { end (): Promise<void> }

/**
 * A connection with a session of its own is always served by one process, and by no other connection's. Once would not do:
 * by chance, and with other clients about, sessions may look kept.
 */
async function compare (client: ClientBase, other: ClientBase): Promise<PoolMode> {
  const ours = await readProcess(client)
  for (let round = 0; round < ROUNDS; round++) {
    try {
      await other.query('begin') // it keeps its session until the rollback, whichever that is
    } catch (error) {
      if (isTransactionRefused(error)) return 'statement'
      throw error
    }
    const isOurs = await readProcess(other) === ours
    // while the other one holds what may be the only session there is, asking for one would wait for ever
    const isKept = !isOurs && await readProcess(client) === ours
    await other.query('rollback')
    if (!isKept) return 'transaction'
  }
  return 'session'
}

const ROUNDS = 20

async function readProcess (client: ClientBase): Promise<number> {
  const { rows: [{ pid }] } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  return pid
}

/** protocol_violation is what PgBouncer says, and ends the connection */
const isTransactionRefused = (error: unknown) => (error as { code?: string }).code === '08P01'

/** Whether a pooler refuses what a session should begin with. */
export function isStartRefused (error: unknown): boolean {
  return /unsupported startup parameter/.test((error as Error).message)
}

/** Gives a session the settings that it should have begun with. */
export async function giveSettings (client: ClientBase, settings: SessionSettings): Promise<void> {
  await client.query('select set_config(key, value, false) from json_each_text($1)', [JSON.stringify(settings)])
}

/** By name, in its base unit: what `pg_settings` shows. */
export type SessionSettings = Readonly<Record<string, string>>

/**
 * Makes sure that all sessions begin with certain settings: where none is ours, nobody can give it any.
 * @param where the database, for people
 * @throws RelayError RELAY_DATABASE_POOLED that says which statements make it so
 */
export async function requireSettings (client: ClientBase, settings: SessionSettings, where: string): Promise<void> {
  const { rows } = await client.query<{ key: string, value: string, role: string, database: string }>(`
    select key, value, quote_ident(current_user) as role, quote_ident(current_database()) as database
    from json_each_text($1) join pg_settings on lower(name) = lower(key)
    where value <> setting`, [JSON.stringify(settings)])
  if (rows.length === 0) return
  const statements = rows.map(it => `alter role ${it.role} in database ${it.database} set ${it.key} = '${it.value}'`)
  throw new RelayError('RELAY_DATABASE_POOLED',
    `PostgreSQL at ${where} is behind a pooler in transaction mode, and its sessions do not start with the settings ` +
    `that Relay needs. Run: ${statements.join('; ')}; then RECONNECT in the pooler's console`)
}

/** @param isListenEnough whether the program could do with a session of its own for LISTEN alone */
export function pooled (mode: PoolMode, program: string, where: string, isListenEnough: boolean): RelayError {
  const what = `PostgreSQL at ${where} is behind a pooler that changes the session for each ${mode} (PgBouncer: pool_mode=${mode}), ` +
    `and ${program} needs sessions of its own. Set pool_mode=session for its user, or DATABASE_URL to PostgreSQL itself`
  return new RelayError('RELAY_DATABASE_POOLED',
    isListenEnough ? `${what}; or set DATABASE_LISTEN_URL to PostgreSQL itself and keep pool_mode=transaction for DATABASE_URL` : what)
}
