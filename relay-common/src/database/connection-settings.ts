/** Settings of a connection to PostgreSQL, and of the sessions on it. */
import type { ClientBase } from 'pg'

import type { SessionSettings } from './pooler.ts'
import { readTls, type TlsFiles } from '../tls.ts'

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

/** A URL is visible to everybody who sees the environment, so its password may be in `POSTGRES_PASSWORD_FILE`. */
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

/** What each session starts with. */
export function sessionSettings (settings: DatabaseSettings, plans: PlanStyle): SessionSettings {
  const { DATABASE_STATEMENT_TIMEOUT_MS: limitMs, DATABASE_IDLE_TRANSACTION_TIMEOUT_MS: idleMs } = settings
  return {
    timezone: 'UTC',
    ...limitMs === undefined ? {} : { statement_timeout: String(limitMs) },
    ...idleMs === undefined ? {} : { idle_in_transaction_session_timeout: String(idleMs) },
    ...planSettings[plans]
  }
}

/**
 * Plans each prepared statement once per connection. Otherwise PostgreSQL plans its first five uses for their values,
 * which takes longer than most reads. TimescaleDB must know the values to leave out chunks, so it decides by itself.
 */
export async function planOnce (client: ClientBase): Promise<void> {
  await client.query(`
    select set_config('plan_cache_mode', 'force_generic_plan', false)
    where not exists (select from pg_extension where extname = 'timescaledb')`)
}

/** Address of a database without its password, for messages. */
export function describeDatabase (settings: DatabaseSettings): string {
  if (!settings.DATABASE_URL) return `${settings.POSTGRES_HOST}:${settings.POSTGRES_PORT}/${settings.POSTGRES_DB}`
  const url = URL.parse(settings.DATABASE_URL)
  return url ? `${url.host}${url.pathname}` : 'the address in DATABASE_URL'
}
