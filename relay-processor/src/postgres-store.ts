/**
 * The store in PostgreSQL. The statements are in progress.ts, series-ids.ts, rollup-rows.ts, journal-rows.ts and
 * late-count-rows.ts.
 */
import { formatTraceparent, spanned, type Database, type PoolClient, type Span } from 'relay-common'

import { announceRollups, announceTrace } from './announce.ts'
import { writeArrivals } from './late-count-rows.ts'
import { readMisplaced, removeMisplaced, writeMisplaced } from './homes.ts'
import { writeJournal } from './journal-rows.ts'
import {
  claimPartition, findGap, moveProgress, readOutcome, readStanding, recordGap, skipGap, type StoreSettings
} from './progress.ts'
import {
  isPartitionMissing, isUniqueViolation, prepareIncoming, readElsewhere, readStoredRows, RollupPartitions, writeRows
} from './rollup-rows.ts'
import { nameSeries } from './series-ids.ts'
import type { PartitionRows, Store, WriteOutcome } from './store.ts'

/** Opens the store of one group. Close it before the database. */
export async function openPostgresStore (database: Database, settings: StoreSettings): Promise<Store> {
  const partitions = new RollupPartitions(database)
  const writer = new Writer(database)
  return {
    claim: (topic, partition, owner, startOffset) => claimPartition(
      database, settings, topic, partition, owner, startOffset
    ),
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

/** Writes on its own connection, because that holds the temporary table for rows. One write at a time. */
class Writer {
  readonly #database: Database
  #client: PoolClient | undefined

  constructor (database: Database) {
    this.#database = database
  }

  async write (topicId: string, writes: readonly PartitionRows[], span?: Span): Promise<WriteOutcome> {
    try {
      return await this.#write(topicId, writes, span, true)
    } catch (error) {
      if (!isUniqueViolation(error)) throw error
      return await this.#write(topicId, writes, span, false)
    }
  }

  async #write (
    topicId: string, writes: readonly PartitionRows[], span: Span | undefined, isNewTrusted: boolean
  ): Promise<WriteOutcome> {
    const client = await this.#connected()
    let isCommitting = false
    try {
      await client.query('begin')
      const moves = writes.map(it => it.move)
      const fenced = await moveProgress(client, topicId, moves)
      const refused = fenced.length > 0 ? fenced : await removeMisplaced(client, moves)
      if (refused.length > 0) {
        const { rows: [row] } = await client.query<{ history_id: string }>('select history_id from current_history')
        await client.query('rollback')
        return { kind: 'refused', partitions: refused, historyId: row?.history_id ?? null }
      }
      await spanned(span, 'COPY', async () => {
        await writeRows(client, writes, isNewTrusted)
        await writeJournal(client, writes)
        await writeMisplaced(client, writes.flatMap(it => it.misplaced))
        await writeArrivals(client, writes)
        await announceRollups(client, writes)
        if (span) await announceTrace(client, formatTraceparent(span))
      })
      isCommitting = true
      await spanned(span, 'COMMIT', () => client.query('commit'))
      return { kind: 'committed' }
    } catch (error) {
      this.#client = undefined
      client.release(true) // its state is unknown, so the next write gets a new one
      if (isCommitting) return { kind: 'unknown', error }
      throw error
    }
  }

  close (): void {
    this.#client?.release(true)
    this.#client = undefined
  }

  async #connected (): Promise<PoolClient> {
    if (this.#client) return this.#client
    const client = await this.#database.connect()
    try {
      await prepareIncoming(client)
    } catch (error) {
      client.release(true)
      throw error
    }
    return (this.#client = client)
  }
}
