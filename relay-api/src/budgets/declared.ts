/**
 * Budgets: how much of what all callers share one of them may take. This is the only place where they are declared; the
 * settings, the checks and the table of docs/security.md come from here.
 *
 *     spent   an amount per time, such as new series per hour: it refills evenly, and a full one allows a burst
 *     held    an amount at once, such as open streams: whoever ends one gives it back
 *
 * Past a budget a caller is refused with RELAY_BUDGET_EXCEEDED, and nobody else is.
 */
import { Type, type Static } from 'typebox'

const SECOND_MS = 1_000
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const MIB = 1024 * 1024

/** By setting: the size of each budget. */
export const budgetSettings = {
  ANSWERS_PER_CALLER_MAX: Type.Integer({
    default: 100, minimum: 1, description: 'answers of one caller that may be under way at once'
  }),
  CONNECTIONS_PER_CALLER_MAX: Type.Integer({
    default: 2_000, minimum: 1, description: 'connections by HTTP of one caller that stay open; further ones are closed after each answer'
  }),
  INGEST_IN_FLIGHT_PER_CALLER_MAX_BYTES: Type.Integer({
    default: 16 * MIB,
    minimum: 1_024,
    description: 'bytes of events of one caller that may be in memory at once; at least INGEST_BODY_MAX_BYTES'
  }),
  INGEST_BYTES_PER_MINUTE_MAX: Type.Integer({
    default: 512 * MIB, minimum: 1_024, description: 'bytes of events, inflated, that one caller may send per minute'
  }),
  LONG_ANSWERS_PER_CALLER_MAX: Type.Integer({
    default: 16, minimum: 1, description: 'long answers, of many statements or a stream, of one caller that may be under way at once'
  }),
  STREAMS_PER_CALLER_MAX: Type.Integer({
    default: 500, minimum: 1, description: 'streams of live changes that one caller may have open at once'
  }),
  STREAM_VIEWS_PER_CALLER_MAX: Type.Integer({
    default: 100, minimum: 1, description: 'streams of different questions that one caller may have open at once'
  }),
  STREAM_BYTES_PER_CALLER_MAX: Type.Integer({
    default: 32 * MIB,
    minimum: 1_024,
    description: 'bytes that may wait for the streams of one caller together; past them those are dropped that most waits for'
  }),
  STREAM_RESUMES_PER_MINUTE_MAX: Type.Integer({
    default: 1_000,
    minimum: 1,
    description: 'streams with a Last-Event-ID that one caller may open per minute: what each has missed is read for it alone'
  }),
  NEW_SERIES_PER_HOUR_MAX: Type.Integer({
    default: 20_000, minimum: 1, description: 'new series (device, zone and type) that one caller may add per hour'
  }),
  MQTT_CONNECTS_PER_MINUTE_MAX: Type.Integer({
    default: 6_000, minimum: 1, description: 'connections by MQTT that one address (IPv6: one /64) may open per minute'
  }),
  MQTT_CONNECTIONS_PER_CALLER_MAX: Type.Integer({
    default: 5_000, minimum: 1, description: 'clients by MQTT of one caller that may be connected at once'
  }),
  MQTT_MESSAGES_PER_SECOND_MAX: Type.Integer({
    default: 5_000, minimum: 1, description: 'packets by MQTT that one caller may send per second, over all its connections'
  }),
  MQTT_BYTES_PER_SECOND_MAX: Type.Integer({
    default: 2 * 1024 * 1024, minimum: 128 * 1024, description: 'bytes of events by MQTT that one caller may send per second, over all its connections'
  }),
  DEAD_LETTERS_PER_HOUR_MAX: Type.Integer({
    default: 20_000, minimum: 1, description: 'dead letters that are kept per hour of what one caller sends by MQTT'
  }),
  NEW_ZONES_PER_HOUR_MAX: Type.Integer({
    default: 1_000, minimum: 1, description: 'new zones that one caller may add per hour'
  }),
  NEW_PARTITIONS_PER_HOUR_MAX: Type.Integer({
    default: 30,
    minimum: 1,
    description: 'partitions that events of one caller may make per hour: years of the past without rollups, weeks of the newest quarter'
  }),
  SERIES_LOOKUPS_PER_MINUTE_MAX: Type.Integer({
    default: 300_000,
    minimum: 1,
    description: 'series of one caller that this process has not in memory and may look up per minute'
  }),
  KEPT_ANSWERS_PER_HOUR_MAX: Type.Integer({
    default: 50_000, minimum: 1, description: 'requests with an Idempotency-Key that one caller may send per hour'
  }),
  KEPT_ANSWER_BYTES_PER_HOUR_MAX: Type.Integer({
    default: 64 * MIB,
    minimum: 1_024,
    description: 'bytes of answers that are kept for one caller per hour; past them an answer is not kept'
  })
}

export type BudgetConfig = Readonly<Static<ReturnType<typeof Type.Object<typeof budgetSettings>>>>

export interface Budget {
  readonly setting: keyof BudgetConfig
  /** what is counted, for messages and docs: `answers under way` */
  readonly what: string
  /** over which time a spent budget refills; undefined: it is held */
  readonly refillMs?: number
  /** the test that shows what happens past it */
  readonly shownBy: string
}

export const budgets = {
  answers: {
    setting: 'ANSWERS_PER_CALLER_MAX', what: 'answers under way', shownBy: 'relay-api/test/answers.test.ts'
  },
  longAnswers: {
    setting: 'LONG_ANSWERS_PER_CALLER_MAX', what: 'long answers under way', shownBy: 'relay-api/test/answers.test.ts'
  },
  streams: {
    setting: 'STREAMS_PER_CALLER_MAX', what: 'streams open', shownBy: 'relay-api/test/stream-budgets.test.ts'
  },
  streamViews: {
    setting: 'STREAM_VIEWS_PER_CALLER_MAX', what: 'questions of streams open', shownBy: 'relay-api/test/stream-budgets.test.ts'
  },
  streamBytes: {
    setting: 'STREAM_BYTES_PER_CALLER_MAX', what: 'bytes that wait for streams', shownBy: 'relay-api/test/stream-budgets.test.ts'
  },
  streamResumes: {
    setting: 'STREAM_RESUMES_PER_MINUTE_MAX',
    what: 'streams that go on from an id',
    refillMs: MINUTE_MS,
    shownBy: 'relay-api/test/stream-budgets.test.ts'
  },
  connections: {
    setting: 'CONNECTIONS_PER_CALLER_MAX', what: 'connections by HTTP that stay open', shownBy: 'relay-api/test/connections.test.ts'
  },
  mqttConnects: {
    setting: 'MQTT_CONNECTS_PER_MINUTE_MAX', what: 'connects by MQTT (of an address)', refillMs: MINUTE_MS, shownBy: 'relay-api/test/mqtt-limits.test.ts'
  },
  mqttConnections: {
    setting: 'MQTT_CONNECTIONS_PER_CALLER_MAX', what: 'clients by MQTT', shownBy: 'relay-api/test/mqtt-limits.test.ts'
  },
  mqttMessages: {
    setting: 'MQTT_MESSAGES_PER_SECOND_MAX', what: 'packets by MQTT', refillMs: SECOND_MS, shownBy: 'relay-api/test/mqtt-limits.test.ts'
  },
  mqttBytes: {
    setting: 'MQTT_BYTES_PER_SECOND_MAX', what: 'bytes of events by MQTT', refillMs: SECOND_MS, shownBy: 'relay-api/test/mqtt-limits.test.ts'
  },
  deadLetters: {
    setting: 'DEAD_LETTERS_PER_HOUR_MAX', what: 'dead letters kept', refillMs: HOUR_MS, shownBy: 'relay-api/test/mqtt-grants.test.ts'
  },
  ingestInFlight: {
    setting: 'INGEST_IN_FLIGHT_PER_CALLER_MAX_BYTES',
    what: 'bytes of events in memory',
    shownBy: 'relay-api/test/ingest-budgets.test.ts'
  },
  ingestBytes: {
    setting: 'INGEST_BYTES_PER_MINUTE_MAX',
    what: 'bytes of events, inflated',
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
    what: 'look-ups of series',
    refillMs: MINUTE_MS,
    shownBy: 'relay-api/test/quotas.test.ts'
  },
  keptAnswers: {
    setting: 'KEPT_ANSWERS_PER_HOUR_MAX',
    what: 'requests with an Idempotency-Key',
    refillMs: HOUR_MS,
    shownBy: 'relay-api/test/ingest-budgets.test.ts'
  },
  keptAnswerBytes: {
    setting: 'KEPT_ANSWER_BYTES_PER_HOUR_MAX',
    what: 'bytes of kept answers',
    refillMs: HOUR_MS,
    shownBy: 'relay-api/test/ingest-budgets.test.ts'
  }
} as const satisfies Readonly<Record<string, Budget>>

export type BudgetName = keyof typeof budgets
export type SpentBudget = { [N in BudgetName]: typeof budgets[N] extends { refillMs: number } ? N : never }[BudgetName]
export type HeldBudget = Exclude<BudgetName, SpentBudget>
