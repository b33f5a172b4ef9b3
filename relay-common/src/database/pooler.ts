/**
 * Poolers between a program and PostgreSQL, such as PgBouncer. A program that stores anything in its session (temporary
 * tables, LISTEN, settings, prepared statements, locks) needs a session of its own.
 *
 *     none           the session is ours
 *     session        ours too, while the connection lasts; but settings of the connection may be dropped
 *     transaction    each transaction gets any free session
 *     statement      each statement does
 */
import type { ClientBase } from 'pg'

import { RelayError } from '../errors.ts'

export type PoolMode = 'none' | 'session' | 'transaction' | 'statement'

/** A property of `pg` that its types do not declare. */
type WithProcess = ClientBase & { readonly processID: number | null }

/**
 * How a connection gets its sessions. A server sends each client its process id, for cancellations. A pooler must send
 * another one, because the process is shared. So without a pooler this needs one statement.
 * @param openOther opens another connection in the same way; it is closed here
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
 * A connection with a session of its own is always served by one process, which serves no other connection. One check
 * is not enough: with other clients around, sessions may look exclusive by chance.
 */
async function compare (client: ClientBase, other: ClientBase): Promise<PoolMode> {
  const ours = await readProcess(client)
  for (let round = 0; round < ROUNDS; round++) {
    try {
      await other.query('begin') // it keeps its session until the rollback
    } catch (error) {
      if (isTransactionRefused(error)) return 'statement'
      throw error
    }
    const isOurs = await readProcess(other) === ours
    // while the other connection may hold the only session, requesting one would wait forever
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

/** PgBouncer reports protocol_violation and ends the connection */
const isTransactionRefused = (error: unknown) => (error as { code?: string }).code === '08P01'

/** Whether a pooler refuses the settings of a session. */
export function isStartRefused (error: unknown): boolean {
  return /unsupported startup parameter/.test((error as Error).message)
}

/** Sets the settings that a session should have started with. */
export async function giveSettings (client: ClientBase, settings: SessionSettings): Promise<void> {
  await client.query('select set_config(key, value, false) from json_each_text($1)', [JSON.stringify(settings)])
}

/** By name, in the base unit of `pg_settings`. */
export type SessionSettings = Readonly<Record<string, string>>

/**
 * Checks that all sessions start with certain settings. Use it if no session is ours, so they can't be set.
 * @param where the database, for people
 * @throws RelayError RELAY_DATABASE_POOLED with the statements that set them
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

/** @param isListenEnough whether the program only needs its own session for LISTEN */
export function pooled (mode: PoolMode, program: string, where: string, isListenEnough: boolean): RelayError {
  const what =
    `PostgreSQL at ${where} is behind a pooler that changes the session for each ${mode} (PgBouncer: pool_mode=${mode}), ` +
    `and ${program} needs sessions of its own. Set pool_mode=session for its user, or DATABASE_URL to PostgreSQL itself`
  return new RelayError('RELAY_DATABASE_POOLED',
    isListenEnough
      ? `${what}; or set DATABASE_LISTEN_URL to PostgreSQL itself and keep pool_mode=transaction for DATABASE_URL`
      : what)
}
