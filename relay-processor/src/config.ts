import { databaseSettings, healthPort, programSettings, readConfig, tracingSettings } from 'relay-common'
import { eventLogSettings } from 'relay-event-log'
import { eventSettings, READINGS_PER_ROW_MAX_DEFAULT, retentionSettings } from 'relay-rollups'
import { Type, type Static } from 'typebox'

import { GENERATION_DEFAULT } from './generations.ts'

export const processorSettings = Type.Object({
  ...programSettings,
  ...databaseSettings,
  DATABASE_POOL_MAX: Type.Integer({
    default: 10,
    minimum: 4,
    description: 'most connections to PostgreSQL; writers and an event log in PostgreSQL each hold some permanently'
  }),
  DATABASE_STATEMENT_TIMEOUT_MS: Type.Integer({
    default: 120_000,
    minimum: 0,
    description: 'statement timeout of ' +
    'PostgreSQL, also for the COPY of a large flush, which is then retried (`RELAY_STATEMENT_TIMEOUT`); 0: no limit'
  }),
  ...eventLogSettings,
  ...eventSettings,
  ...retentionSettings,
  ...tracingSettings,
  ...healthPort(8082),
  PROCESSOR_THREADS: Type.Integer({
    default: 1,
    minimum: 1,
    maximum: 64,
    description: 'threads that share the partitions of this processor; each can use one core'
  }),
  CONSUMER_GROUP: Type.String({
    default: 'relay-processor',
    description: 'consumer group; its processors share the partitions, and a database holds the rollups of one group'
  }),
  CONSUMER_GROUP_TAKEOVER_FROM: Type.Optional(Type.String({
    description: 'previous consumer group of this database, ' +
    'which CONSUMER_GROUP replaces; otherwise a second group is refused (`RELAY_GROUP_REFUSED`)'
  })),
  PROCESSOR_GENERATION: Type.String({
    default: GENERATION_DEFAULT,
    pattern: '^[a-z0-9][a-z0-9-]{0,30}$',
    description: 'generation of this processor: one that is not active stands by until `relay deploy` gives it ' +
      'partitions (docs/upgrading.md). Another one than blue joins the group `CONSUMER_GROUP-generation`'
  }),
  CONSUMER_INSTANCE_ID: Type.Optional(Type.String({
    description: 'stable name of this processor; a quick restart with the same name moves no partition'
  })),
  SESSION_TIMEOUT_MS: Type.Integer({
    default: 10_000, minimum: 1_000, description: 'a processor without a heartbeat for this long loses its partitions'
  }),
  FETCH_BUFFER_MAX_BYTES: Type.Integer({
    default: 16 * 1024 * 1024, minimum: 1024 * 1024, description: 'most bytes prefetched from the event log'
  }),
  FLUSH_INTERVAL_MS: Type.Integer({
    default: 300, minimum: 10, description: 'time between two flushes while the processor keeps up'
  }),
  FLUSH_INTERVAL_MAX_MS: Type.Integer({
    default: 5_000, minimum: 10, description: 'time between two flushes while it catches up with a backlog'
  }),
  FLUSH_STALLED_MS: Type.Integer({
    default: 30_000,
    minimum: 100,
    description: '`/readyz` reports a stall if the log ' +
    'has new records and nothing was flushed for this long; nothing is restarted'
  }),
  FLUSH_READINGS_MAX: Type.Integer({
    default: 4_000_000,
    minimum: 1,
    description: 'flush at the latest when this ' +
    'many readings are in memory, at 20 bytes each; a million is enough if many share a row'
  }),
  JOURNAL_INTERVAL_S: Type.Integer({
    default: 120,
    minimum: 0,
    maximum: 600,
    description: 'how often the rows of live devices are written. Until then answers read their new readings from ' +
      'the journal. 0: no journal, each flush writes the rows of all devices in it'
  }),
  READINGS_PER_ROW_MAX: Type.Integer({
    default: READINGS_PER_ROW_MAX_DEFAULT,
    minimum: 0,
    maximum: 60_000,
    description: 'most readings stored per device and minute; above it only their distribution is stored'
  }),
  KEY_POLICY: Type.String({
    default: 'accept',
    enum: ['accept', 'reject'],
    description: 'what to do with a record ' +
    'whose key is not its device id: accept takes any key, reject writes a dead letter'
  }),
  KEEP_DUPLICATES: Type.Boolean({
    default: false, description: 'count a resent reading (same device, time and value) again'
  }),
  SERIES_IN_MEMORY_MAX: Type.Integer({
    default: 200_000,
    minimum: 1,
    description: 'most series in memory; the least recently used are evicted and read back when needed'
  }),
  GAP_POLICY: Type.String({
    default: 'stop',
    enum: ['stop', 'continue'],
    description: 'what to do if events were deleted from the log before they were read'
  })
})

export type ProcessorConfig = Readonly<Static<typeof processorSettings>>

/** @throws RelayError RELAY_CONFIG_INVALID */
export function readProcessorConfig (environment: NodeJS.ProcessEnv = process.env): ProcessorConfig {
  return readConfig(processorSettings, environment)
}
