/**
 * Budgets: how much of shared resources one caller may use. They are only declared here; settings, checks and the table
 * of docs/security.md are derived.
 *
 *     spent   an amount per time, such as new series per hour: it refills evenly, and a full one allows a burst
 *     held    an amount at once, such as open streams: whoever ends one gives it back
 *
 * A caller above a budget is refused with RELAY_BUDGET_EXCEEDED; others are not affected.
 */
import { Type, type Static } from 'typebox'

const SECOND_MS = 1_000
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const MIB = 1024 * 1024

/** By setting: the size of each budget. */
export const budgetSettings = {
  ANSWERS_PER_CALLER_MAX: Type.Integer({
    default: 100, minimum: 1, description: 'most answers in progress at once for one caller'
  }),
  CONNECTIONS_PER_CALLER_MAX: Type.Integer({
    default: 2_000,
    minimum: 1,
    description: 'most HTTP connections of one caller that are kept alive; further ones are closed after each response'
  }),
  INGEST_IN_FLIGHT_PER_CALLER_MAX_BYTES: Type.Integer({
    default: 16 * MIB,
    minimum: 1_024,
    description: 'most bytes of events of one caller in memory at once; at least INGEST_BODY_MAX_BYTES'
  }),
  INGEST_BYTES_PER_MINUTE_MAX: Type.Integer({
    default: 512 * MIB,
    minimum: 1_024,
    description: 'most bytes of events, uncompressed, that one caller may send per minute'
  }),
  LONG_ANSWERS_PER_CALLER_MAX: Type.Integer({
    default: 16,
    minimum: 1,
    description: 'most long answers (many statements, or a stream) in progress at once for one caller'
  }),
  STREAMS_PER_CALLER_MAX: Type.Integer({
    default: 500, minimum: 1, description: 'most streams of live changes that one caller may have open at once'
  }),
  STREAM_VIEWS_PER_CALLER_MAX: Type.Integer({
    default: 100, minimum: 1, description: 'most streams with different queries that one caller may have open at once'
  }),
  STREAM_BYTES_PER_CALLER_MAX: Type.Integer({
    default: 32 * MIB,
    minimum: 1_024,
    description: 'most bytes buffered for all streams of one caller; above it the streams with the fullest buffers ' +
      'are closed'
  }),
  STREAM_RESUMES_PER_MINUTE_MAX: Type.Integer({
    default: 1_000,
    minimum: 1,
    description: 'most streams with a Last-Event-ID that one caller may open per minute; each needs its own read of ' +
      'missed changes'
  }),
  NEW_SERIES_PER_HOUR_MAX: Type.Integer({
    default: 20_000, minimum: 1, description: 'most new series (device, zone and type) that one caller may add per hour'
  }),
  MQTT_CONNECTS_PER_MINUTE_MAX: Type.Integer({
    default: 6_000,
    minimum: 1,
    description: 'most MQTT connections that one address (IPv6: one /64) may open per minute'
  }),
  MQTT_CONNECTIONS_PER_CALLER_MAX: Type.Integer({
    default: 5_000, minimum: 1, description: 'most MQTT clients of one caller connected at once'
  }),
  MQTT_MESSAGES_PER_SECOND_MAX: Type.Integer({
    default: 5_000,
    minimum: 1,
    description: 'most MQTT packets that one caller may send per second, over all its connections'
  }),
  MQTT_BYTES_PER_SECOND_MAX: Type.Integer({
    default: 2 * 1024 * 1024,
    minimum: 128 * 1024,
    description: 'most bytes of MQTT events that one caller may send per second, over all its connections'
  }),
  DEAD_LETTERS_PER_HOUR_MAX: Type.Integer({
    default: 20_000, minimum: 1, description: 'most dead letters kept per hour for the MQTT events of one caller'
  }),
  NEW_ZONES_PER_HOUR_MAX: Type.Integer({
    default: 1_000, minimum: 1, description: 'most new zones that one caller may add per hour'
  }),
  NEW_PARTITIONS_PER_HOUR_MAX: Type.Integer({
    default: 30,
    minimum: 1,
    description: 'most table partitions that the events of one caller may create per hour (one per past year or ' +
      'recent week without rollups)'
  }),
  SERIES_LOOKUPS_PER_MINUTE_MAX: Type.Integer({
    default: 300_000,
    minimum: 1,
    description: 'most database look-ups per minute for series of one caller that are not in memory'
  }),
  TRACED_REQUESTS_PER_MINUTE_MAX: Type.Integer({
    default: 60,
    minimum: 1,
    description: 'most requests and MQTT messages per minute that are traced because their caller sent a ' +
      '`traceparent` with the sampled flag; further ones are traced if their devices are'
  }),
  KEPT_ANSWERS_PER_HOUR_MAX: Type.Integer({
    default: 50_000, minimum: 1, description: 'most requests with an Idempotency-Key that one caller may send per hour'
  }),
  KEPT_ANSWER_BYTES_PER_HOUR_MAX: Type.Integer({
    default: 64 * MIB,
    minimum: 1_024,
    description: 'most bytes of answers stored per hour for the Idempotency-Keys of one caller; above it an answer ' +
      'is not stored'
  })
}

export type BudgetConfig = Readonly<Static<ReturnType<typeof Type.Object<typeof budgetSettings>>>>

export interface Budget {
  readonly setting: keyof BudgetConfig
  /** what is counted, for messages and docs: `answers in progress` */
  readonly what: string
  /** refill time of a spent budget; undefined: it is held */
  readonly refillMs?: number
  /** the test that shows the effect of exceeding it */
  readonly shownBy: string
}

export const budgets = {
  answers: {
    setting: 'ANSWERS_PER_CALLER_MAX', what: 'answers in progress', shownBy: 'relay-api/test/answers.test.ts'
  },
  longAnswers: {
    setting: 'LONG_ANSWERS_PER_CALLER_MAX', what: 'long answers in progress', shownBy: 'relay-api/test/answers.test.ts'
  },
  streams: {
    setting: 'STREAMS_PER_CALLER_MAX', what: 'open streams', shownBy: 'relay-api/test/stream-budgets.test.ts'
  },
  streamViews: {
    setting: 'STREAM_VIEWS_PER_CALLER_MAX',
    what: 'open streams with different queries',
    shownBy: 'relay-api/test/stream-budgets.test.ts'
  },
  streamBytes: {
    setting: 'STREAM_BYTES_PER_CALLER_MAX',
    what: 'bytes buffered for streams',
    shownBy: 'relay-api/test/stream-budgets.test.ts'
  },
  streamResumes: {
    setting: 'STREAM_RESUMES_PER_MINUTE_MAX',
    what: 'resumed streams',
    refillMs: MINUTE_MS,
    shownBy: 'relay-api/test/stream-budgets.test.ts'
  },
  connections: {
    setting: 'CONNECTIONS_PER_CALLER_MAX',
    what: 'kept-alive HTTP connections',
    shownBy: 'relay-api/test/connections.test.ts'
  },
  mqttConnects: {
    setting: 'MQTT_CONNECTS_PER_MINUTE_MAX',
    what: 'MQTT connects of an address',
    refillMs: MINUTE_MS,
    shownBy: 'relay-api/test/mqtt-limits.test.ts'
  },
  mqttConnections: {
    setting: 'MQTT_CONNECTIONS_PER_CALLER_MAX', what: 'MQTT clients', shownBy: 'relay-api/test/mqtt-limits.test.ts'
  },
  mqttMessages: {
    setting: 'MQTT_MESSAGES_PER_SECOND_MAX',
    what: 'MQTT packets',
    refillMs: SECOND_MS,
    shownBy: 'relay-api/test/mqtt-limits.test.ts'
  },
  mqttBytes: {
    setting: 'MQTT_BYTES_PER_SECOND_MAX',
    what: 'bytes of MQTT events',
    refillMs: SECOND_MS,
    shownBy: 'relay-api/test/mqtt-limits.test.ts'
  },
  deadLetters: {
    setting: 'DEAD_LETTERS_PER_HOUR_MAX',
    what: 'stored dead letters',
    refillMs: HOUR_MS,
    shownBy: 'relay-api/test/mqtt-grants.test.ts'
  },
  ingestInFlight: {
    setting: 'INGEST_IN_FLIGHT_PER_CALLER_MAX_BYTES',
    what: 'bytes of events in memory',
    shownBy: 'relay-api/test/ingest-budgets.test.ts'
  },
  ingestBytes: {
    setting: 'INGEST_BYTES_PER_MINUTE_MAX',
    what: 'bytes of events, uncompressed',
    refillMs: MINUTE_MS,
    shownBy: 'relay-api/test/ingest-budgets.test.ts'
  },
  newSeries: {
    setting: 'NEW_SERIES_PER_HOUR_MAX', what: 'new series', refillMs: HOUR_MS, shownBy: 'relay-api/test/quotas.test.ts'
  },
  newZones: {
    setting: 'NEW_ZONES_PER_HOUR_MAX', what: 'new zones', refillMs: HOUR_MS, shownBy: 'relay-api/test/quotas.test.ts'
  },
  newPartitions: {
    setting: 'NEW_PARTITIONS_PER_HOUR_MAX',
    what: 'new partitions',
    refillMs: HOUR_MS,
    shownBy: 'relay-api/test/quotas.test.ts'
  },
  seriesLookups: {
    setting: 'SERIES_LOOKUPS_PER_MINUTE_MAX',
    what: 'series look-ups',
    refillMs: MINUTE_MS,
    shownBy: 'relay-api/test/quotas.test.ts'
  },
  tracedRequests: {
    setting: 'TRACED_REQUESTS_PER_MINUTE_MAX',
    what: 'traced requests',
    refillMs: MINUTE_MS,
    shownBy: 'relay-api/test/tracing.test.ts'
  },
  keptAnswers: {
    setting: 'KEPT_ANSWERS_PER_HOUR_MAX',
    what: 'requests with an Idempotency-Key',
    refillMs: HOUR_MS,
    shownBy: 'relay-api/test/ingest-budgets.test.ts'
  },
  keptAnswerBytes: {
    setting: 'KEPT_ANSWER_BYTES_PER_HOUR_MAX',
    what: 'bytes of stored answers',
    refillMs: HOUR_MS,
    shownBy: 'relay-api/test/ingest-budgets.test.ts'
  }
} as const satisfies Readonly<Record<string, Budget>>

export type BudgetName = keyof typeof budgets
export type SpentBudget = { [N in BudgetName]: typeof budgets[N] extends { refillMs: number } ? N : never }[BudgetName]
export type HeldBudget = Exclude<BudgetName, SpentBudget>
