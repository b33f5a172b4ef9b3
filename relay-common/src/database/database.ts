/**
 * The database: a pool of connections to PostgreSQL, and how statements use them.
 *
 *     pool ──connection──▶ statement ──rows──▶ whole (query), or one by one at the pace of the caller (stream-rows.ts)
 *                              └── the caller's signal ends it (until-aborted.ts)
 */
import { createHash } from 'node:crypto'

import {
  Client, Pool, Query, types, type ClientBase, type PoolClient, type QueryConfig, type QueryResultRow
} from 'pg'
import type { Registry } from 'prom-client'

import { RelayError } from '../errors.ts'
import type { Logger } from '../log.ts'
import {
  connectionOptions, describeDatabase, planOnce, sessionSettings, type DatabaseSettings, type PlanStyle
} from './connection-settings.ts'
import { isConnectionError, isLoginRefused } from './database-errors.ts'
import { measurePool } from './pool-metrics.ts'
import {
  findPoolMode, giveSettings, isStartRefused, pooled, requireSettings, type PoolMode, type SessionSettings
} from './pooler.ts'
import { atPace, streamRows } from './stream-rows.ts'
import { withClientUntil } from './until-aborted.ts'

export type { PoolClient } from 'pg'

/** What a program stores in its sessions. */
export type SessionUse =
  /** anything: a pooler that gives its transactions different sessions is refused */
  | 'own'
  /**
   * anything, but only for LISTEN, which could use another connection (DATABASE_LISTEN_URL); refused likewise, with
   * this hint
   */
  | 'listens'
  /** nothing: any session will do, if it starts with its settings */
  | 'any'

/** The caller of a statement. */
export interface ForWhom {
  /**
   * Ends the statement: it is not sent, stops waiting for a connection, or is cancelled on the server. The promise then
   * rejects with the reason of the signal.
   */
  readonly signal?: AbortSignal
  /** the caller whose share of the connections it uses, if callers have shares */
  readonly caller?: string
  /** whether it is one of many statements of an answer; it waits behind those of short answers */
  readonly isLong?: boolean
  /**
   * Called for the rows of a stream.
   * @returns undefined: continue; otherwise a promise to await before more rows are read, so that the server waits too
   */
  pace? (): Promise<void> | undefined
}

export interface Database {
  /**
   * Runs one statement on any connection. `bigint` columns are BigInt, `timestamptz` columns are ms since the epoch.
   */
  query<R extends QueryResultRow> (sql: string, values?: unknown[], whom?: ForWhom): Promise<R[]>
  /** The same for frequent statements: parsed and planned once per connection, under `name`. */
  queryPrepared<R extends QueryResultRow> (name: string, sql: string, values?: unknown[], whom?: ForWhom): Promise<R[]>
  /**
   * The same for answers that may not fit in memory: visits each row, as an array of its columns, while the next ones
   * arrive. If `visit` throws, the promise rejects after the last row.
   */
  streamPrepared (
    name: string, sql: string, values: unknown[], visit: (columns: unknown[]) => void, whom?: ForWhom
  ): Promise<void>
  /** Runs `work` in one transaction: committed when it returns, rolled back when it throws. */
  transaction<T> (work: (client: PoolClient) => Promise<T>): Promise<T>
  /** Returns a connection for exclusive use (LISTEN, COPY); the caller releases it, with `true` if it is broken. */
  connect (): Promise<PoolClient>
  close (): Promise<void>
}

const INT8 = 20
const TIMESTAMPTZ = 1184

/** Sessions run in UTC, so PostgreSQL writes `2024-01-01 00:00:00.123+00`. */
function timestampToMs (text: string): number {
  return Date.parse(text.replace(' ', 'T').replace(/\+00$/, 'Z'))
}

const relayTypes = {
  getTypeParser (oid: number, format?: 'text' | 'binary') {
    if (oid === INT8) return BigInt
    if (oid === TIMESTAMPTZ) return timestampToMs
    return types.getTypeParser(oid, format as 'text')
  }
}

/**
 * Lets the server notice a disconnected client. PostgreSQL before 14, and some systems, can't, so their statements run
 * to the end.
 */
async function checkClient (client: ClientBase, intervalMs: number): Promise<void> {
  try {
    await client.query(`
      select set_config(name, $1, false) from pg_settings where name = 'client_connection_check_interval'`, [String(intervalMs)])
  } catch (error) {
    if (!isRefusedSetting(error)) throw error
  }
}

/** invalid_parameter_value: the setting exists, but this system does not support it */
const isRefusedSetting = (error: unknown) => (error as { code?: string }).code === '22023'

/**
 * Removes the time limits of a session, for long work such as a migration or a comparison with the log. End the
 * connection afterwards, because others would reuse it without limits.
 */
export async function liftTimeLimits (client: ClientBase): Promise<void> {
  await client.query(`
    select set_config(name, '0', false) from pg_settings
    where name in ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')`)
}

/** Where the connections of a database are counted. */
export interface MeasuredDatabase {
  readonly metrics: Registry
  /** for people and as a label: `database` */
  readonly server: string
}

export interface OpenOptions {
  /** for all statements on these connections; left out: `any` */
  readonly plans?: PlanStyle
  /** where connections are counted; left out: nowhere */
  readonly measured?: MeasuredDatabase
  /** left out: `own` */
  readonly sessions?: SessionUse
}

/**
 * Statements take a few ms in a session that has planned them, and ten times that in a new one. So idle sessions are
 * kept between bursts.
 */
const IDLE_MAX_MS = 300_000

/**
 * Opens a pool of connections, and checks that one of them works.
 * @throws RelayError RELAY_DATABASE_UNREACHABLE; RELAY_CONFIG_INVALID if the server requires a missing password;
 *   RELAY_DATABASE_POOLED behind a pooler that does not provide what `sessions` requires
 */
export async function openDatabase (
  settings: DatabaseSettings, program: string, log: Logger,
  { plans = 'any', measured, sessions = 'own' }: OpenOptions = {}
): Promise<Database> {
  const { DATABASE_CLIENT_CHECK_INTERVAL_MS: checkMs = 0 } = settings
  const wanted = sessionSettings(settings, plans)
  let mode: PoolMode = 'none'
  const pool = new Pool({
    ...connectionOptions(settings),
    application_name: program,
    max: settings.DATABASE_POOL_MAX,
    idleTimeoutMillis: IDLE_MAX_MS,
    connectionTimeoutMillis: settings.DATABASE_CONNECT_TIMEOUT_MS,
    options: Object.entries(wanted).map(([name, value]) => `-c ${name}=${value}`).join(' '),
    onConnect: async (client: ClientBase) => {
      if (mode === 'transaction') return // another client would get its session next
      if (mode === 'session') await giveSettings(client, wanted)
      if (plans === 'by-key') await planOnce(client)
      if (checkMs > 0) await checkClient(client, checkMs)
    },
    types: relayTypes
  })
  pool.on('error', error => log.warn({ err: error }, 'lost an idle database connection'))
  // the pool only handles errors of idle connections; an error between two statements of a transaction would end the
  // process, although the next statement reports it
  pool.on('connect', client => client.on('error', () => {}))

  const connect = async () => {
    try {
      return await pool.connect()
    } catch (cause) {
      if (/client password must be a string/.test((cause as Error).message)) { // pg's words for a missing password
        throw new RelayError('RELAY_CONFIG_INVALID',
          `PostgreSQL at ${describeDatabase(settings)} requires a password, but none is set: put it into DATABASE_URL ` +
          'or set POSTGRES_PASSWORD_FILE')
      }
      if (isStartRefused(cause)) {
        throw new RelayError('RELAY_DATABASE_POOLED',
          `PgBouncer at ${describeDatabase(settings)} refuses startup settings: set ` +
          'ignore_startup_parameters = options there; Relay then sets them in each session', { cause })
      }
      if (isLoginRefused(cause)) {
        throw new RelayError('RELAY_DATABASE_UNREACHABLE',
          `PostgreSQL at ${describeDatabase(settings)} refuses the login: ${(cause as Error).message}; check ` +
          'DATABASE_URL or the POSTGRES_ settings', { cause })
      }
      if (!isConnectionError(cause)) throw cause
      throw new RelayError('RELAY_DATABASE_UNREACHABLE',
        `no connection to PostgreSQL at ${describeDatabase(settings)}; check that it is up, and DATABASE_URL or POSTGRES_HOST and POSTGRES_PORT`, { cause })
    }
  }

  const withClient = async <T>(work: (client: PoolClient) => Promise<T>, signal?: AbortSignal): Promise<T> => {
    if (signal) return await withClientUntil(signal, connect, work)
    const client = await connect()
    let failure: Error | undefined
    try {
      return await work(client)
    } catch (error) {
      failure = error as Error
      throw error
    } finally {
      client.release(failure && isConnectionError(failure))
    }
  }

  /** Statements with a name are stored in a session. */
  const named = (name: string): { name?: string } => mode === 'transaction' ? {} : { name: statementName(name) }

  const database: Database = {
    query: (sql, values, whom) => withClient(async client => (await client.query(sql, values)).rows, whom?.signal),
    queryPrepared: (name, text, values, whom) => withClient(
      async client => (await client.query({ ...named(name), text, values })).rows, whom?.signal),
    streamPrepared: (name, text, values, visit, whom) => withClient(async client => {
      const query = new Query({ ...named(name), text, values, rowMode: 'array' } as QueryConfig)
      const { signal } = whom ?? {}
      const visitUnlessEnded = signal === undefined ? visit : (row: unknown[]) => { if (!signal.aborted) visit(row) }
      const paced = whom?.pace === undefined ? undefined : atPace(client, whom, visitUnlessEnded)
      try {
        await streamRows(client, query, paced?.visit ?? visitUnlessEnded, settings.DATABASE_STATEMENT_TIMEOUT_MS)
      } finally {
        paced?.end()
      }
    }, whom?.signal),
    transaction: work => withClient(async client => {
      await client.query('begin')
      try {
        const result = await work(client)
        await client.query('commit')
        return result
      } catch (error) {
        // a failed rollback means that the connection is lost, with the transaction; the first error has the reason
        if (!isConnectionError(error)) await client.query('rollback')
        throw error
      }
    }),
    connect,
    close: () => pool.end()
  }

  try {
    mode = await withClient(client => admit(client, settings, { program, sessions, wanted }))
  } catch (error) {
    await pool.end()
    throw error
  }
  if (measured) measurePool(measured.metrics, measured.server, pool)
  if (mode !== 'none') log.info({ mode }, 'connected to PostgreSQL through a pooler')
  return database
}

interface Admitted {
  readonly program: string
  readonly sessions: SessionUse
  readonly wanted: SessionSettings
}

/**
 * Checks on the first connection whether sessions are what the program needs, and sets its settings if a pooler dropped
 * them.
 */
async function admit (
  client: PoolClient, settings: DatabaseSettings, { program, sessions, wanted }: Admitted
): Promise<PoolMode> {
  const limitMs = settings.DATABASE_CONNECT_TIMEOUT_MS
  const mode = await findPoolMode(client, async () => {
    const other = new Client({
      ...connectionOptions(settings),
      application_name: program,
      connectionTimeoutMillis: limitMs,
      query_timeout: limitMs
    })
    other.on('error', () => {}) // its next statement reports the error
    await other.connect()
    return other
  })
  if (mode === 'statement' || (mode === 'transaction' && sessions !== 'any')) {
    throw pooled(mode, program, describeDatabase(settings), sessions === 'listens')
  }
  if (mode === 'transaction') await requireSettings(client, wanted, describeDatabase(settings))
  if (mode === 'session') await giveSettings(client, wanted)
  return mode
}

/** A database whose statements run for a caller, unless they name another. */
export function databaseFor (database: Database, forWhom: ForWhom): Database {
  return {
    ...database,
    query: (sql, values, whom = forWhom) => database.query(sql, values, whom),
    queryPrepared: (name, sql, values, whom = forWhom) => database.queryPrepared(name, sql, values, whom),
    streamPrepared: (name, sql, values, visit, whom = forWhom) => database.streamPrepared(
      name, sql, values, visit, whom
    )
  }
}

const NAME_BYTES_MAX = 63

/** PostgreSQL truncates names to 63 bytes, so two longer names might collide. */
function statementName (name: string): string {
  return Buffer.byteLength(name) <= NAME_BYTES_MAX ? name : createHash('sha256').update(name).digest('base64url')
}
