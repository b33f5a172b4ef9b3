import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

import {
  Client, Pool, Query, types, type ClientBase, type Connection, type PoolClient, type QueryConfig, type QueryResultRow
} from 'pg'
import type { Registry } from 'prom-client'

import { cancelStatement } from './cancel.ts'
import { RelayError } from '../errors.ts'
import {
  findPoolMode, giveSettings, isStartRefused, pooled, requireSettings, type PoolMode, type SessionSettings
} from './pooler.ts'
import { readTls, type TlsFiles } from '../tls.ts'
import type { Logger } from '../log.ts'
import { measurePool } from './pool-metrics.ts'
import { within } from '../within.ts'

export type { PoolClient } from 'pg'

export interface DatabaseSettings {
  readonly DATABASE_URL?: string
  readonly POSTGRES_HOST: string
  readonly POSTGRES_PORT: number
  readonly POSTGRES_DB: string
  readonly POSTGRES_USER: string
  readonly POSTGRES_PASSWORD: string
  readonly DATABASE_TLS?: boolean
  readonly DATABASE_TLS_CA_FILE?: string
  readonly DATABASE_TLS_CERT_FILE?: string
  readonly DATABASE_TLS_KEY_FILE?: string
  readonly DATABASE_POOL_MAX: number
  readonly DATABASE_CONNECT_TIMEOUT_MS: number
  /** longest time of a statement; 0 or left out: no limit */
  readonly DATABASE_STATEMENT_TIMEOUT_MS?: number
  /** longest idle time of a session inside a transaction; 0 or left out: no limit */
  readonly DATABASE_IDLE_TRANSACTION_TIMEOUT_MS?: number
  /** how often the server checks, during a statement, whether its client is still connected; 0 or left out: never */
  readonly DATABASE_CLIENT_CHECK_INTERVAL_MS?: number
}

/** How PostgreSQL may plan the statements of a session. */
export type PlanStyle =
  /** any plan: for statements that compare whole tables */
  | 'any'
  /**
   * From a key to its rows, by an index. Processor and API only read this way, whatever the statistics say. Statistics
   * may be outdated, or chosen by a sender: a merge join of 5,000 names with the 300,000 devices of a zone took
   * minutes.
   */
  | 'by-key'

const planSettings: Readonly<Record<PlanStyle, SessionSettings>> = {
  any: {},
  // without an alternative PostgreSQL still uses these plans, and their high cost would start the JIT compiler; one
  // query must use one core only
  'by-key': {
    enable_seqscan: 'off',
    enable_mergejoin: 'off',
    enable_hashjoin: 'off',
    jit: 'off',
    max_parallel_workers_per_gather: '0'
  }
}

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
 * The connection string and options for `pg`, for code that needs its own client.
 * @throws RelayError RELAY_CONFIG_INVALID if a TLS file is not readable
 */
export function connectionOptions (settings: DatabaseSettings) {
  const ssl = settings.DATABASE_TLS ? { ssl: readTls('DATABASE_TLS', tlsFiles(settings)) } : {}
  return settings.DATABASE_URL
    ? { connectionString: withPassword(settings.DATABASE_URL, settings.POSTGRES_PASSWORD), ...ssl }
    : {
        host: settings.POSTGRES_HOST,
        port: settings.POSTGRES_PORT,
        database: settings.POSTGRES_DB,
        user: settings.POSTGRES_USER,
        password: settings.POSTGRES_PASSWORD,
        ...ssl
      }
}

/** A URL is seen by whoever sees the environment, so its password may be in `POSTGRES_PASSWORD_FILE`. */
function withPassword (text: string, password: string): string {
  const url = URL.parse(text)
  if (!url || password === '' || url.password !== '' || url.searchParams.has('password')) return text
  url.password = password
  return url.href
}

function tlsFiles (
  { DATABASE_TLS_CA_FILE: ca, DATABASE_TLS_CERT_FILE: cert, DATABASE_TLS_KEY_FILE: key }: DatabaseSettings
): TlsFiles {
  return { ca, cert, key }
}

function sessionSettings (settings: DatabaseSettings, plans: PlanStyle): SessionSettings {
  const { DATABASE_STATEMENT_TIMEOUT_MS: limitMs, DATABASE_IDLE_TRANSACTION_TIMEOUT_MS: idleMs } = settings
  return {
    timezone: 'UTC',
    ...limitMs === undefined ? {} : { statement_timeout: String(limitMs) },
    ...idleMs === undefined ? {} : { idle_in_transaction_session_timeout: String(idleMs) },
    ...planSettings[plans]
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

/** Whether PostgreSQL ended a statement or transaction because of a time limit. */
export function isTimeout (error: unknown): boolean {
  const { code, message } = error as { code?: string, message?: string }
  return code === '25P04' || (code === '57014' && /statement timeout/.test(message ?? ''))
}

/**
 * Removes the time limits of a session, for long work such as a migration or a comparison with the log. End the
 * connection afterwards, because others would reuse it without limits.
 */
export async function liftTimeLimits (client: ClientBase): Promise<void> {
  await client.query(`
    select set_config(name, '0', false) from pg_settings
    where name in ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')`)
}

/** Address of a database without its password, for messages. */
export function describeDatabase (settings: DatabaseSettings): string {
  if (!settings.DATABASE_URL) return `${settings.POSTGRES_HOST}:${settings.POSTGRES_PORT}/${settings.POSTGRES_DB}`
  const url = URL.parse(settings.DATABASE_URL)
  return url ? `${url.host}${url.pathname}` : 'the address in DATABASE_URL'
}

/** Errors after which a retry may succeed: the connection was lost, or the server starts or stops. */
const connectionErrors = new Set([
  'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH',
  '57P01', '57P02', '57P03', '08000', '08001', '08003', '08004', '08006', '53300',
  '08P01' // PgBouncer says this when its server has gone, and closes the connection
])

/** Whether the database was unreachable, in contrast to a refused statement. */
export function isConnectionError (error: unknown): boolean {
  const { code, message } = error as { code?: string, message?: string }
  return connectionErrors.has(code ?? '') ||
    /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/.test(
      message ?? ''
    )
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
 * A session with planned statements costs a few ms, a new one ten times that. So sessions survive from one burst to the
 * next.
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
        await stream(client, query, paced?.visit ?? visitUnlessEnded, settings.DATABASE_STATEMENT_TIMEOUT_MS)
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

/** Time for the server to cancel a statement; a connection that is busy after that is dropped. */
const CANCEL_MAX_MS = 3_000
const CANCEL_AGAIN_MS = 100

/**
 * Runs a statement on a pooled connection until a signal ends it. The connection returns to the pool only if no
 * cancellation can still reach it, and is dropped otherwise.
 */
async function withClientUntil<T> (
  signal: AbortSignal, connect: () => Promise<PoolClient>, work: (client: PoolClient) => Promise<T>
): Promise<T> {
  signal.throwIfAborted()
  const { promise: ended, resolve } = Promise.withResolvers<'ended'>()
  const onAbort = () => resolve('ended')
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    const connecting = connect()
    const client = await Promise.race([connecting, ended])
    if (client === 'ended') {
      connecting.then(it => it.release(), () => {}) // a pool has no way to leave its queue
      throw signal.reason
    }

    const running = work(client)
    const outcome = running.then(() => undefined, (error: Error) => error)
    if (await Promise.race([outcome, ended]) !== 'ended') {
      const failure = await outcome
      client.release(failure && isConnectionError(failure))
      return await running
    }
    within(CANCEL_MAX_MS, cancelUntil(client, outcome)).then(
      failure => client.release(failure && isConnectionError(failure)),
      () => client.release(true))
    throw signal.reason
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** Cancels the running statement until it ends: a cancel request that arrives before the statement has no effect. */
async function cancelUntil<T> (client: PoolClient, outcome: Promise<T>): Promise<T> {
  for (const startedMs = performance.now(); ;) {
    if (performance.now() - startedMs > CANCEL_MAX_MS) return await outcome // the connection is dropped
    await cancelStatement(client, CANCEL_MAX_MS)
    const ended = await Promise.race([
      outcome.then(value => ({ value })), delay(CANCEL_AGAIN_MS, undefined, { ref: false })
    ])
    if (ended) return ended.value
  }
}

const NAME_BYTES_MAX = 63

/** PostgreSQL truncates names to 63 bytes, so two longer names might collide. */
function statementName (name: string): string {
  return Buffer.byteLength(name) <= NAME_BYTES_MAX ? name : createHash('sha256').update(name).digest('base64url')
}

/** Time for the server to report a timed-out statement after its own limit. */
const ANSWER_GRACE_MS = 2_000

/** Rows of a statement, read at the pace of their consumer. */
interface PacedRows {
  visit (columns: unknown[]): void
  /** Call it when the statement has ended: reads at full speed again, because another caller gets the connection. */
  end (): void
}

/**
 * Stops reading from a connection while the consumer of its rows has to wait. Rows that have arrived are visited
 * anyway.
 */
function atPace (client: PoolClient, whom: ForWhom, visit: (columns: unknown[]) => void): PacedRows {
  const { stream: socket } = (client as unknown as { connection: Connection }).connection
  let isWaiting = false
  const goOn = () => {
    if (!isWaiting) return
    isWaiting = false
    socket.resume()
  }
  return {
    visit (columns) {
      visit(columns)
      if (isWaiting || whom.signal?.aborted) return // the rest must still be read from the connection
      const turn = whom.pace!()
      if (turn === undefined) return
      isWaiting = true
      socket.pause()
      turn.then(goOn, goOn) // the signal has the reason why it is unwanted
    },
    end: goOn
  }
}

/** @param limitMs limit of the server for the statement; a server that stays silent after it is abandoned */
function stream (
  client: PoolClient, query: Query, visit: (columns: unknown[]) => void, limitMs: number | undefined
): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure: { readonly error: unknown } | undefined
    const timer = limitMs && setTimeout(() => {
      const silence = new Error(`no answer from PostgreSQL within ${limitMs + ANSWER_GRACE_MS} ms`)
      reject(Object.assign(silence, { code: 'ETIMEDOUT' }))
    }, limitMs + ANSWER_GRACE_MS)

    query.on('row', row => {
      if (failure) return // the rest of the answer must still be read from the connection
      try {
        visit(row)
      } catch (error) {
        failure = { error }
      }
    })
    query.on('error', error => { // not `once`: an unhandled error would end the process
      clearTimeout(timer)
      reject(error)
    })
    query.once('end', () => {
      clearTimeout(timer)
      if (failure) reject(failure.error)
      else resolve()
    })
    client.query(query)
  })
}
