import { databaseSettings, programSettings, readConfig, splitList } from 'relay-common'
import { Type, type Static } from 'typebox'

import { accessSettings } from './auth/config.ts'
import { answerSettings } from './answers.ts'
import { budgetSettings } from './budgets/declared.ts'
import { ingestSettings } from './ingest/config.ts'
import { streamSettings } from './stream/config.ts'

export const apiSettings = Type.Object({
  ...programSettings,
  ...databaseSettings,
  ...ingestSettings,
  ...streamSettings,
  API_PORT: Type.Integer({
    default: 8080, minimum: 0, maximum: 65535, description: 'port of the HTTP API; 0: any free one'
  }),
  METRICS_PORT: Type.Optional(Type.Integer({
    minimum: 0,
    maximum: 65535,
    description: 'port of /metrics, which is not for clients; 0: any free one. Without it 8084, or any free one where API_PORT is 0'
  })),
  SHUTDOWN_DRAIN_MS: Type.Integer({
    default: 0,
    minimum: 0,
    description: 'after SIGTERM, how long the API goes on answering while /readyz is 503: longer than a load balancer takes to notice. The image sets 10 s'
  }),
  CONNECTIONS_MAX: Type.Integer({
    default: 10_000, minimum: 5, description: 'connections by HTTP that are open at once; a fifth of them may be of strangers'
  }),
  STRANGER_CONNECTIONS_PER_ADDRESS_MAX: Type.Integer({
    default: 128,
    minimum: 1,
    description: 'of one address, connections on which nobody who is known has asked yet; a further one ends the oldest. Not where TRUST_PROXY is set'
  }),
  ...accessSettings,
  ...budgetSettings,
  ...answerSettings,
  RANGE_MAX_DAYS: Type.Integer({
    default: 3_660, minimum: 1, description: 'longest range that one question may be about'
  }),
  ROLLUP_CACHE_MB: Type.Integer({
    default: 64, minimum: 0, description: 'memory for rollups of the past that were merged before; 0: none are kept'
  }),
  DATABASE_STATEMENT_TIMEOUT_MS: Type.Integer({
    default: 10_000, minimum: 100, description: 'longest time that PostgreSQL may take for one statement'
  }),
  DATABASE_BREAKER_MS: Type.Integer({
    default: 1_500,
    minimum: 0,
    description: 'a database that answers nothing for so long, not even a probe, is not asked until a probe is answered: questions have an answer from memory or a 503 at once; 0: it is always asked'
  }),
  PAST_ANSWERS_MB: Type.Integer({
    default: 16,
    minimum: 0,
    description: 'memory for answers about the past, which are given again, marked as stale, while the database is away; 0: none are kept'
  }),
  STEP_MINUTES_MAX: Type.Integer({
    default: 20_000_000,
    minimum: 1,
    description: 'most minutes of devices that one answer may read for increase, rate and timeWeightedAvg'
  }),
  DATABASE_REPLICA_URL: Type.Optional(Type.String({
    description: 'connection string of a streaming replica that answers of /api/v1 are read from'
  })),
  DATABASE_LISTEN_URL: Type.Optional(Type.String({
    description: 'connection string of the same database without a pooler, for the one connection that hears of commits and for migrations: DATABASE_URL may then lead to a pooler that gives transactions different sessions. The event log has to be Kafka'
  })),
  DATABASE_REPLICA_LAG_MAX_MS: Type.Integer({
    default: 10_000,
    minimum: 2_000,
    maximum: 50_000,
    description: 'a replica that is further behind is not asked; its lag is measured once a second'
  }),
  POINTS_MAX: Type.Integer({
    default: 1_000_000, minimum: 1, description: 'most rows of a group in one answer, and most rows of a CSV'
  }),
  ALLOWED_HOSTS: Type.String({
    default: '',
    description: 'names that clients may call this API by, commas between them, besides localhost and addresses. None: any name, but where the token of the local stack is taken'
  }),
  CORS_ORIGINS: Type.String({
    default: '', description: 'origins whose pages may ask, commas between them; `*`: all; none: those of its own'
  }),
  CACHE_PAST_S: Type.Integer({
    default: 60, minimum: 0, description: 'how long clients may keep answers about the past; late events may change it'
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
