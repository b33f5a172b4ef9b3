import { databaseSettings, programSettings, readConfig, splitList, tracingSettings } from 'relay-common'
import { Type, type Static } from 'typebox'

import { accessSettings } from './auth/config.ts'
import { answerSettings } from './sharing/answers-in-progress.ts'
import { budgetSettings } from './budgets/declared.ts'
import { ingestSettings } from './ingest/config.ts'
import { streamSettings } from './stream/config.ts'

export const apiSettings = Type.Object({
  ...programSettings,
  ...databaseSettings,
  ...ingestSettings,
  ...streamSettings,
  ...tracingSettings,
  API_PORT: Type.Integer({
    default: 8080, minimum: 0, maximum: 65535, description: 'port of the HTTP API; 0: any free port'
  }),
  METRICS_PORT: Type.Optional(Type.Integer({
    minimum: 0,
    maximum: 65535,
    description: 'port of /metrics, which is not for clients; 0: any free port. Default: 8084, or any free port if ' +
      'API_PORT is 0'
  })),
  SHUTDOWN_DRAIN_MS: Type.Integer({
    default: 0,
    minimum: 0,
    description: 'after SIGTERM, how long the API still answers while /readyz returns 503; longer than a load ' +
      'balancer needs to notice. The image sets 10 s'
  }),
  WARM_UP_MS: Type.Integer({
    default: 1_000,
    minimum: 0,
    maximum: 60_000,
    description: 'how long the API may ask itself about stored series before it listens, so that the first clients ' +
      'need not wait for a cold start; 0: not at all'
  }),
  CONNECTIONS_MAX: Type.Integer({
    default: 10_000, minimum: 5, description: 'most open HTTP connections; at most a fifth of them from unknown callers'
  }),
  STRANGER_CONNECTIONS_PER_ADDRESS_MAX: Type.Integer({
    default: 128,
    minimum: 1,
    description: 'most open connections of one address that have not sent a valid token yet; a further one closes ' +
      'the oldest. Does not apply if TRUST_PROXY is set'
  }),
  ...accessSettings,
  ...budgetSettings,
  ...answerSettings,
  RANGE_MAX_DAYS: Type.Integer({
    default: 3_660, minimum: 1, description: 'longest time range of one query'
  }),
  ROLLUP_CACHE_MB: Type.Integer({
    default: 64, minimum: 0, description: 'size of the cache of merged rollups; 0: no cache'
  }),
  DATABASE_STATEMENT_TIMEOUT_MS: Type.Integer({
    default: 10_000, minimum: 100, description: 'statement timeout of PostgreSQL'
  }),
  DATABASE_BREAKER_MS: Type.Integer({
    default: 1_500,
    minimum: 0,
    description: 'open the circuit breaker after the database answered nothing for this long, not even a probe. ' +
      'Until a probe succeeds, queries are answered from memory or with a 503 at once; 0: no breaker'
  }),
  PAST_ANSWERS_MB: Type.Integer({
    default: 16,
    minimum: 0,
    description: 'memory for past answers, which are sent again, marked as stale, while the database is ' +
      'unreachable; 0: none'
  }),
  STEP_MINUTES_MAX: Type.Integer({
    default: 20_000_000,
    minimum: 1,
    description: 'most device minutes that one answer may read for increase, rate and timeWeightedAvg'
  }),
  DATABASE_REPLICA_URL: Type.Optional(Type.String({
    description: 'connection string of a streaming replica for the reads of /api/v1, ' +
      'and for all reads while the primary is unreachable'
  })),
  DATABASE_LISTEN_URL: Type.Optional(Type.String({
    description: 'connection string of the same database without a pooler, for migrations and the one connection ' +
      'that listens for commits; DATABASE_URL may then be a pooler in transaction mode. Requires Kafka as the event log'
  })),
  DATABASE_REPLICA_LAG_MAX_MS: Type.Integer({
    default: 10_000,
    minimum: 2_000,
    maximum: 50_000,
    description: 'a replica that lags more is not read; its lag is measured once per second'
  }),
  POINTS_MAX: Type.Integer({
    default: 1_000_000, minimum: 1, description: 'most rows per group in one answer, and most rows of a CSV'
  }),
  ALLOWED_HOSTS: Type.String({
    default: '',
    description: 'accepted host names besides localhost and IP addresses, separated by commas. Empty: any name, ' +
      'unless the well-known token is accepted'
  }),
  CORS_ORIGINS: Type.String({
    default: '', description: 'allowed CORS origins, separated by commas; `*`: all; empty: same origin only'
  }),
  CACHE_PAST_S: Type.Integer({
    default: 60,
    minimum: 0,
    description: 'how long clients may cache answers about the past; late events may still change them'
  })
})

export type ApiConfig = Readonly<Static<typeof apiSettings>>

/** @throws RelayError RELAY_CONFIG_INVALID */
export function readApiConfig (environment: NodeJS.ProcessEnv = process.env): ApiConfig {
  return readConfig(apiSettings, environment)
}

const METRICS_PORT_DEFAULT = 8084

export function metricsPortOf ({ METRICS_PORT, API_PORT }: ApiConfig): number {
  return METRICS_PORT ?? (API_PORT === 0 ? 0 : METRICS_PORT_DEFAULT)
}

export function deviceTypesOf (config: ApiConfig): ReadonlySet<string> {
  return new Set(splitList(config.DEVICE_TYPES))
}
