/**
 * The store in PostgreSQL: which function does what. The transaction of a flush is in write-flush.ts; the statements
 * are in progress.ts, series-ids.ts, rollup-rows.ts, journal-rows.ts and late-count-rows.ts.
 */
import type { Database } from 'relay-common'

import { readOwned } from './generations.ts'
import { readMisplaced } from './homes.ts'
import {
  claimPartition, findGap, readOutcome, readStanding, recordGap, skipGap, type StoreSettings
} from './progress.ts'
import { isPartitionMissing, readElsewhere, readStoredRows, RollupPartitions } from './rollup-rows.ts'
import { nameSeries } from './series-ids.ts'
import type { Store } from './store.ts'
import { FlushWriter } from './write-flush.ts'

/** Opens the store of one group and generation. Close it before the database. */
export async function openPostgresStore (database: Database, settings: StoreSettings): Promise<Store> {
  const partitions = new RollupPartitions(database)
  const writer = new FlushWriter(database)
  return {
    claim: (topic, partition, owner, startOffset) => claimPartition(
      database, settings, topic, partition, owner, startOffset
    ),
    readOwned: (topicId, partitions) => readOwned(database, topicId, partitions, settings.generation),
    findGap: (topic, partition, startOffset) => findGap(database, settings.kind, topic, partition, startOffset),
    nameSeries: names => nameSeries(database, names),
    readRows: (level, sourcePartition, keys) => readStoredRows(database, level, sourcePartition, keys),
    readElsewhere: (sourcePartition, keys) => readElsewhere(database, sourcePartition, keys),
    readMisplaced: wanted => readMisplaced(database, wanted),
    write: async (topicId, writes, span) => {
      const write = async () => {
        await partitions.ensure(writes.map(it => it.daysMs))
        return await writer.write(topicId, writes, span)
      }
      try {
        return await write()
      } catch (error) {
        if (!isPartitionMissing(error)) throw error
        partitions.forget()
        return await write()
      }
    },
    readOutcome: (topicId, move) => readOutcome(database, topicId, move),
    recordGap: (topic, gap, claim) => recordGap(database, topic, gap, claim),
    skipGap: (topic, gap, claim) => skipGap(database, topic, gap, claim),
    readStanding: (topicId, partitions) => readStanding(database, topicId, partitions),
    close: async () => writer.close()
  }
}
