import { databaseSettings, eventLogSettings, eventSettings, healthPort, programSettings, readConfig, retentionSettings } from 'relay-common'
import { Type, type Static } from 'typebox'

export const processorSettings = Type.Object({
  ...programSettings,
  ...databaseSettings,
  DATABASE_POOL_MAX: Type.Integer({ default: 10, minimum: 4, description: 'most connections to PostgreSQL; writing and an event log in PostgreSQL hold some for good' }),
  DATABASE_STATEMENT_TIMEOUT_MS: Type.Integer({ default: 120_000, minimum: 0, description: 'longest time that PostgreSQL may take for one statement, as the COPY of a large flush; it is then tried again (`RELAY_STATEMENT_TIMEOUT`); 0: no limit' }),
  ...eventLogSettings,
  ...eventSettings,
  ...retentionSettings,
  ...healthPort(8082),
  PROCESSOR_THREADS: Type.Integer({ default: 1, minimum: 1, maximum: 64, description: 'threads that share the partitions of this processor; one core each is what they can use' }),
  CONSUMER_GROUP: Type.String({ default: 'relay-processor', description: 'processors of one group share the partitions; a database has the rollups of one group' }),
  CONSUMER_GROUP_TAKEOVER_FROM: Type.Optional(Type.String({ description: 'the group that wrote to this database before, whose place CONSUMER_GROUP takes; without it a second group is refused (`RELAY_GROUP_REFUSED`)' })),
  CONSUMER_INSTANCE_ID: Type.Optional(Type.String({ description: 'stable name of this processor; a quick restart under it moves no partition' })),
  SESSION_TIMEOUT_MS: Type.Integer({ default: 10_000, minimum: 1_000, description: 'a processor that was not heard of for so long loses its partitions' }),
  FETCH_BUFFER_MAX_BYTES: Type.Integer({ default: 16 * 1024 * 1024, minimum: 1024 * 1024, description: 'most bytes fetched ahead' }),
  FLUSH_INTERVAL_MS: Type.Integer({ default: 200, minimum: 10, description: 'wait between two flushes while the processor keeps up' }),
  FLUSH_INTERVAL_MAX_MS: Type.Integer({ default: 5_000, minimum: 10, description: 'wait between two flushes while it catches up with a backlog' }),
  FLUSH_STALLED_MS: Type.Integer({ default: 30_000, minimum: 100, description: 'the log has news, and nothing was flushed for so long: `/readyz` says so. Nothing is restarted for it' }),
  FLUSH_READINGS_MAX: Type.Integer({ default: 4_000_000, minimum: 1, description: 'most readings in memory, at 20 bytes each, before it flushes whatever the interval; where many share a row, a million is enough' }),
  JOURNAL_INTERVAL_S: Type.Integer({ default: 120, minimum: 0, maximum: 600, description: 'rows of live devices are written once in so long; until then their readings are in the journal, where answers find them. 0: no journal, every flush writes the rows of all devices that it touches' }),
  READINGS_PER_ROW_MAX: Type.Integer({ default: 600, minimum: 0, maximum: 60_000, description: 'a minute with more readings of one device keeps their distribution alone' }),
  KEY_POLICY: Type.String({ default: 'accept', enum: ['accept', 'reject'], description: 'what to do with a record whose key is not its device id: producers may use what they like, or it is a dead letter' }),
  KEEP_DUPLICATES: Type.Boolean({ default: false, description: 'count a resent reading (same device, time and value) again' }),
  SERIES_IN_MEMORY_MAX: Type.Integer({ default: 200_000, minimum: 1, description: 'series held in memory; the coldest leave first and are read back when needed' }),
  GAP_POLICY: Type.String({ default: 'stop', enum: ['stop', 'continue'], description: 'what to do when events are gone from the log before they were read' })
})

export type ProcessorConfig = Readonly<Static<typeof processorSettings>>

/** @throws RelayError RELAY_CONFIG_INVALID */
export function readProcessorConfig (environment: NodeJS.ProcessEnv = process.env): ProcessorConfig {
  return readConfig(processorSettings, environment)
}
