import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

import { Client, Pool, Query, types, type ClientBase, type Connection, type PoolClient, type QueryConfig, type QueryResultRow } from 'pg'
import type { Registry } from 'prom-client'

import { cancelStatement } from './cancel.ts'
import { RelayError } from './errors.ts'
import { findPoolMode, giveSettings, isStartRefused, pooled, requireSettings, type PoolMode, type SessionSettings } from './pooler.ts'
import { readTls, type TlsFiles } from './tls.ts'
import type { Logger } from './log.ts'
import { measurePool } from './pool-metrics.ts'
import { within } from './within.ts'

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
  /** longest time that a statement may take; 0, or without it: there is no limit */
  readonly DATABASE_STATEMENT_TIMEOUT_MS?: number
  /** how long a session may be idle within a transaction; 0, or without it: there is no limit */
  readonly DATABASE_IDLE_TRANSACTION_TIMEOUT_MS?: number
  /** how often the server looks, while a statement runs, whether its client is still there; 0, or without it: never */
  readonly DATABASE_CLIENT_CHECK_INTERVAL_MS?: number
}

/** How PostgreSQL may plan the statements of a session. */
export type PlanStyle =
  /** as it likes: for those that compare whole tables */
  | 'any'
  /**
   * From one key to the rows of it, by an index. All that a processor or an API reads is of this kind, and no statistics
   * may make it anything else: those are of yesterday, or of what somebody wanted them to be. A merge join of 5,000 names
   * and the 300,000 devices of a zone took minutes.
   */
  | 'by-key'

const planSettings: Readonly<Record<PlanStyle, SessionSettings>> = {
  any: {},
  // where there is no other way PostgreSQL takes one of these all the same, and the costs that it then sees start the compiler
  // and one question takes one core of it
  'by-key': { enable_seqscan: 'off', enable_mergejoin: 'off', enable_hashjoin: 'off', jit: 'off', max_parallel_workers_per_gather: '0' }
}

/** What a program keeps in its sessions. */
export type SessionUse =
  /** anything: it is refused where a pooler gives its transactions different sessions */
  | 'own'
  /** anything, and it could do without where another connection listens for it (DATABASE_LISTEN_URL): it is refused too, and told so */
  | 'listens'
  /** nothing: it does with whichever session there is, as long as each begins with its settings */
  | 'any'

/** For whom a statement runs. */
export interface ForWhom {
  /**
   * Ends the statement: it is not sent any more, stops waiting for a connection, or is cancelled on the server. The
   * promise then rejects with the reason of the signal.
   */
  readonly signal?: AbortSignal
  /** whose share of the connections it takes, where those who ask have shares */
  readonly caller?: string
  /** whether it is one of many that an answer is made of: then it waits behind those of short answers */
  readonly isLong?: boolean
  /**
   * Is asked with the rows of a stream.
   * @returns undefined: go on; else what to wait for before more of them are read, and the server waits as well
   */
  pace? (): Promise<void> | undefined
}

export interface Database {
  /** Runs one statement on any connection. `bigint` columns come as BigInt, `timestamptz` as ms since the epoch. */
  query<R extends QueryResultRow> (sql: string, values?: unknown[], whom?: ForWhom): Promise<R[]>
  /** The same for a statement that runs often: parsed and planned once a connection, under `name`. */
  queryPrepared<R extends QueryResultRow> (name: string, sql: string, values?: unknown[], whom?: ForWhom): Promise<R[]>
  /**
   * The same for an answer that may be too long to hold: shows each row, as the array of its columns, while the next
   * ones are on their way. What `visit` throws ends in the promise, after the last row.
   */
  streamPrepared (
    name: string, sql: string, values: unknown[], visit: (columns: unknown[]) => void, whom?: ForWhom
  ): Promise<void>
  /** Runs `work` in one transaction: committed when it returns, rolled back when it throws. */
  transaction<T> (work: (client: PoolClient) => Promise<T>): Promise<T>
  /** Hands out a connection of its own (LISTEN, COPY); the caller releases it, with `true` if it is broken. */
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
 * The connection string and parts that `pg` takes, for those who need a client of their own.
 * @throws RelayError RELAY_CONFIG_INVALID where a file of TLS can't be read
 */
export function connectionOptions (settings: DatabaseSettings) {
  const ssl = settings.DATABASE_TLS ? { ssl: readTls('DATABASE_TLS', tlsFiles(settings)) } : {}
  return settings.DATABASE_URL
    ? { connectionString: settings.DATABASE_URL, ...ssl }
    : {
        host: settings.POSTGRES_HOST,
        port: settings.POSTGRES_PORT,
        database: settings.POSTGRES_DB,
        user: settings.POSTGRES_USER,
        password: settings.POSTGRES_PASSWORD,
        ...ssl
      }
}

function tlsFiles ({ DATABASE_TLS_CA_FILE: ca, DATABASE_TLS_CERT_FILE: cert, DATABASE_TLS_KEY_FILE: key }: DatabaseSettings): TlsFiles {
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
 * Lets a server that can notice when a client has gone. One before PostgreSQL 14, or on a system that does not tell it,
 * has the statement run on to its end.
 */
async function checkClient (client: ClientBase, intervalMs: number): Promise<void> {
  try {
    await client.query(`
      select set_config(name, $1, false) from pg_settings where name = 'client_connection_check_interval'`, [String(intervalMs)])
  } catch (error) {
    if (!isRefusedSetting(error)) throw error
  }
}

/** invalid_parameter_value: there is such a setting, and this system can't do it */
const isRefusedSetting = (error: unknown) => (error as { code?: string }).code === '22023'

/** Whether PostgreSQL ended a statement, or a transaction, that took longer than it may. */
export function isTimeout (error: unknown): boolean {
  const { code, message } = error as { code?: string, message?: string }
  return code === '25P04' || (code === '57014' && /statement timeout/.test(message ?? ''))
}

/**
 * Takes the limits of time off a session, for work that is long by its nature: a migration, a snapshot that is compared with
 * the log. The connection has to be ended afterwards: others would have it without limits.
 */
export async function liftTimeLimits (client: ClientBase): Promise<void> {
  await client.query(`
    select set_config(name, '0', false) from pg_settings
    where name in ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')`)
}

/** Where a database is, without the password: for messages. */
export function describeDatabase (settings: DatabaseSettings): string {
  if (!settings.DATABASE_URL) return `${settings.POSTGRES_HOST}:${settings.POSTGRES_PORT}/${settings.POSTGRES_DB}`
  const url = URL.parse(settings.DATABASE_URL)
  return url ? `${url.host}${url.pathname}` : 'the address in DATABASE_URL'
}

/** Errors after which the same work may well succeed: the connection went, or the server is starting or stopping. */
const connectionErrors = new Set([
  'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH',
  '57P01', '57P02', '57P03', '08000', '08001', '08003', '08004', '08006', '53300'
])

/** Whether an error says that the database could not be reached (rather than that it refused the statement). */
export function isConnectionError (error: unknown): boolean {
  const { code, message } = error as { code?: string, message?: string }
  return connectionErrors.has(code ?? '') ||
    /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/.test(message ?? '')
}

/** Where the connections of a database are counted. */
export interface MeasuredDatabase {
  readonly metrics: Registry
  /** for people and as a label: `database` */
  readonly server: string
}

export interface OpenOptions {
  /** of all statements on these connections; left out: `any` */
  readonly plans?: PlanStyle
  /** where the connections are counted; left out: nowhere */
  readonly measured?: MeasuredDatabase
  /** left out: `own` */
  readonly sessions?: SessionUse
}

/** A session that has planned its statements costs a few ms each, a new one ten times that: it is kept from one burst to the next. */
const IDLE_MAX_MS = 300_000

/**
 * Opens a pool of connections and makes sure that one of them works.
 * @throws RelayError RELAY_DATABASE_UNREACHABLE, RELAY_CONFIG_INVALID for a server that asks for a password where there is none,
 *   RELAY_DATABASE_POOLED behind a pooler that does not give what `sessions` says
 */
export async function openDatabase (
  settings: DatabaseSettings, program: string, log: Logger, { plans = 'any', measured, sessions = 'own' }: OpenOptions = {}
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
      if (mode === 'transaction') return // its session would be another one's next
      if (mode === 'session') await giveSettings(client, wanted)
      if (checkMs > 0) await checkClient(client, checkMs)
    },
    types: relayTypes
  })
  pool.on('error', error => log.warn({ err: error }, 'lost an idle database connection'))
  // the pool listens while a connection is idle alone; one that goes between two statements of a transaction would end the
  // process, although the next statement tells it anyway
  pool.on('connect', client => client.on('error', () => {}))

  const connect = async () => {
    try {
      return await pool.connect()
    } catch (cause) {
      if (/client password must be a string/.test((cause as Error).message)) { // pg's words for none
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

  /** Statements of a name are kept in a session. */
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
        // where the rollback fails as well the connection is gone, and the transaction with it: the first error tells why
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
 * Looks at the first connection whether sessions are what the program needs, and gives this one its settings where they may
 * have been left out.
 */
async function admit (client: PoolClient, settings: DatabaseSettings, { program, sessions, wanted }: Admitted): Promise<PoolMode> {
  const limitMs = settings.DATABASE_CONNECT_TIMEOUT_MS
  const mode = await findPoolMode(client, async () => {
    const other = new Client({
      ...connectionOptions(settings), application_name: program, connectionTimeoutMillis: limitMs, query_timeout: limitMs
    })
    other.on('error', () => {}) // its next statement tells
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

/** A database all of whose statements are for somebody, but for those that say otherwise. */
export function databaseFor (database: Database, forWhom: ForWhom): Database {
  return {
    ...database,
    query: (sql, values, whom = forWhom) => database.query(sql, values, whom),
    queryPrepared: (name, sql, values, whom = forWhom) => database.queryPrepared(name, sql, values, whom),
    streamPrepared: (name, sql, values, visit, whom = forWhom) => database.streamPrepared(name, sql, values, visit, whom)
  }
}

/** How long a server has to cancel a statement; a connection that is still busy then is dropped. */
const CANCEL_MAX_MS = 3_000
const CANCEL_AGAIN_MS = 100

/**
 * Runs a statement on a connection of a pool until a signal ends it. The connection goes back when nothing of the
 * statement can reach it any more, and is dropped otherwise: it is never one on which a cancellation is still to come.
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

/** Cancels what a connection is busy with until it ends: a request that is there before the statement hits nothing. */
async function cancelUntil<T> (client: PoolClient, outcome: Promise<T>): Promise<T> {
  for (const startedMs = performance.now(); ;) {
    if (performance.now() - startedMs > CANCEL_MAX_MS) return await outcome // the connection is dropped
    await cancelStatement(client, CANCEL_MAX_MS)
    const ended = await Promise.race([outcome.then(value => ({ value })), delay(CANCEL_AGAIN_MS, undefined, { ref: false })])
    if (ended) return ended.value
  }
}

const NAME_BYTES_MAX = 63

/** PostgreSQL takes the first 63 bytes of a name for the whole of it: longer ones could be those of two statements. */
function statementName (name: string): string {
  return Buffer.byteLength(name) <= NAME_BYTES_MAX ? name : createHash('sha256').update(name).digest('base64url')
}

/** How long after its own limit a server may still answer that a statement took too long. */
const ANSWER_GRACE_MS = 2_000

/** Rows of a statement, which are read at the pace of whoever they are for. */
interface PacedRows {
  visit (columns: unknown[]): void
  /** The statement has ended: the connection is another one's, who does not wait for this one's turn. */
  end (): void
}

/** Stops reading from a connection while whoever the rows are for has to wait. What has come by then is shown all the same. */
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
      if (isWaiting || whom.signal?.aborted) return // the rest has to be taken off the connection
      const turn = whom.pace!()
      if (turn === undefined) return
      isWaiting = true
      socket.pause()
      turn.then(goOn, goOn) // why it is not wanted any more is told by the signal
    },
    end: goOn
  }
}

/** @param limitMs how long the server lets the statement run; a server that then says nothing at all is given up */
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
      if (failure) return // the rest of the answer has to be taken off the connection all the same
      try {
        visit(row)
      } catch (error) {
        failure = { error }
      }
    })
    query.on('error', error => { // not once: an error that nobody hears would end the process
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
