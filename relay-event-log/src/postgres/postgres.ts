/**
 * The event log on PostgreSQL: for machines without Java, and for small sites without a broker.
 *
 *     postgres.ts     topics, and who opens what
 *     connection.ts   meaning of errors, how to listen
 *     topics.ts       topics, offsets, retention
 *     producer.ts     sends; batch.ts encodes
 *     reader.ts       reads record by record, for tools
 *     consumer.ts     one sequence of news; membership.ts knows our partitions (leases.ts stores the group, balance.ts
 *                     assigns), fetcher.ts reads ahead, records.ts is the walk
 *
 * The tables and their partitioning are in `migrations/0004-event-log.sql`.
 */
import { type Database, type DatabaseSettings, describeDatabase, type Logger } from 'relay-common'
import type { EventLog } from '../port.ts'
import { explain, topicMissing } from './connection.ts'
import { openPostgresGroup, PostgresConsumer } from './consumer.ts'
import { openPostgresProducer } from './producer.ts'
import { readRecords } from './reader.ts'
import { describeTopic, ensureTopic, findOffsets, readOffsets, startMaintenance } from './topics.ts'

export interface PostgresLogOptions {
  /** how often segments are opened and dropped; a segment lasts at least a minute */
  readonly maintenanceIntervalMs?: number
}

const MAINTENANCE_INTERVAL_MS = 60_000

/**
 * Opens the event log in a migrated database. It shares the pool: each consumer takes one connection while open and one
 * while it reads; each producer takes one while it sends. Close users of the log first. Closing the log leaves the
 * database open.
 * @param settings of the database, for messages
 */
export async function openPostgresEventLog (
  database: Database, settings: DatabaseSettings, log: Logger, options: PostgresLogOptions = {}
): Promise<EventLog> {
  const { maintenanceIntervalMs = MAINTENANCE_INTERVAL_MS } = options
  const description = `postgres at ${describeDatabase(settings)}`
  const maintenance = startMaintenance(database, maintenanceIntervalMs, log)
  const orExplain = (error: unknown) => { throw explain(error, description) }
  return {
    kind: 'postgres',
    description,
    ensureTopic: topic => ensureTopic(database, topic).catch(orExplain),
    describeTopic: name => describeTopic(database, name).catch(orExplain),
    isCompacted: async () => false,
    readOffsets: async name => {
      const offsets = await readOffsets(database, name).catch(orExplain)
      if (!offsets) throw topicMissing(name, description)
      return offsets
    },
    findOffsets: async (name, timeMs) => {
      const offsets = await findOffsets(database, name, timeMs).catch(orExplain)
      if (!offsets) throw topicMissing(name, description)
      return offsets
    },
    readRecords: (name, partition, fromOffset, toOffset) => readRecords(
      database, name, partition, fromOffset, toOffset
    ),
    openProducer: async () => openPostgresProducer(database, description),
    openGroup: consumer => openPostgresGroup(database, description, consumer, log),
    openConsumer: async (consumer, join) => new PostgresConsumer(database, consumer,
      join ?? await openPostgresGroup(database, description, consumer, log), log),
    close: () => maintenance.close()
  }
}
