/**
 * Rollups that are rebuilt beside the live ones, in one PostgreSQL session: temporary tables with the names of the
 * rollup tables, which hide those in this session. So `rollup-rows.ts` works on both, and the end of the session leaves
 * nothing behind.
 *
 *     open ──▶ write, readRows (temporary tables) … ──lock──▶ write, readRows ──swap──▶ live tables, progress; commit
 *                                                       └── whoever owns the partitions waits, and is refused then
 */
import { liftTimeLimits, type Database, type PoolClient } from 'relay-common'
import type { Topic } from 'relay-event-log'
import { levels } from 'relay-rollups'

import { compactAll } from './compact-all.ts'
import { readStoredJournal, writeJournal } from './journal-rows.ts'
import { createPartition } from './partition.ts'
import { clearIncoming, prepareIncoming, readStoredRows, RollupPartitions, writeRows } from './rollup-rows.ts'
import { nameSeries } from './series-ids.ts'
import type { MisplacedRow, ReturnedReadings, RollupStore, SeriesName } from './store.ts'
import type { SettleRules } from './settle.ts'
import {
  compareRebuilt, swapRebuilt, type Comparison, type PartitionRange, type RebuildSession
} from './swap-rebuilt.ts'

export interface RebuildStore extends RollupStore {
  readonly session: RebuildSession
  /**
   * Locks the progress of partitions until `swap` or `close`, and compacts their journal into the live rows.
   * @returns by partition, the offset of the live rows
   */
  lock (topic: Topic, partitions: readonly number[]): Promise<ReadonlyMap<number, bigint>>
  /** Readings of partitions with finished writes that have their home in another one. */
  takeMisplaced (): ReturnedReadings[]
  /** What a swap would change. */
  compare (ranges: readonly PartitionRange[]): Promise<Comparison>
  /**
   * Replaces the live rows by the rebuilt ones, marks the changes as revised, and fences processors that hold the live
   * ones in memory, in the transaction of the lock.
   * @param hasThoseOnTheWay whether the rebuilt rows include readings on their way home
   */
  swap (topicId: string, ranges: readonly PartitionRange[], hasThoseOnTheWay: boolean): Promise<void>
  close (): Promise<void>
}

export async function openRebuildStore (
  database: Database, rules: Pick<SettleRules, 'readingsPerRowMax'>
): Promise<RebuildStore> {
  const client = await database.connect()
  try {
    await prepareIncoming(client)
    await liftTimeLimits(client) // between lock and swap the rest of the log is read, and whole tables are compared
    const { rows: [{ schema }] } = await client.query<{ schema: string }>(
      'select quote_ident(current_schema()) as schema'
    )
    for (const { table } of levels) {
      await client.query(
        `create temporary table ${table} (like ${schema}.${table} including defaults, primary key (series_id, bucket_start, source_partition))`
      )
    }
    await client.query(
      'create temporary table revised_minutes (series_id integer, source_partition integer, minute timestamptz)')
    return new TemporaryTables(database, client, schema, new RollupPartitions(database), rules)
  } catch (error) {
    client.release(true)
    throw error
  }
}

class TemporaryTables implements RebuildStore {
  readonly #database: Database
  readonly session: RebuildSession
  readonly #client: PoolClient
  readonly #livePartitions: RollupPartitions
  readonly #rules: Pick<SettleRules, 'readingsPerRowMax'>
  readonly #names = new Map<number, SeriesName>()
  #misplaced: MisplacedRow[] = []
  #misplacedId = 0n
  #isLocked = false
  /** readings that owners hold as journaled are in rows now */
  #hasCompacted = false

  constructor (
    database: Database, client: PoolClient, schema: string, livePartitions: RollupPartitions,
    rules: Pick<SettleRules, 'readingsPerRowMax'>
  ) {
    this.#database = database
    this.session = { client, schema }
    this.#client = client
    this.#livePartitions = livePartitions
    this.#rules = rules
  }

  nameSeries: RollupStore['nameSeries'] = async names => {
    const ids = await nameSeries(this.#database, names)
    for (const [n, id] of ids.entries()) this.#names.set(id, names[n])
    return ids
  }

  /** Nothing is elsewhere: all readings are rebuilt at their home. */
  readElsewhere: RollupStore['readElsewhere'] = async (_, keys) => ({ rows: keys.map(() => []), journal: [] })

  readRows: RollupStore['readRows'] = (level, sourcePartition, keys) => {
    const session = {
      queryPrepared: async (name: string, text: string, values: unknown[]) => (
        await this.#client.query({ name, text, values })
      ).rows
    }
    return readStoredRows(session as Pick<Database, 'queryPrepared'>, level, sourcePartition, keys)
  }

  write: RollupStore['write'] = async (_, writes) => {
    await this.#livePartitions.ensure(writes.map(it => it.daysMs)) // of the live tables, before anything is locked
    if (!this.#isLocked) await this.#client.query('begin')
    await writeRows(this.#client, writes, true)
    this.#misplaced.push(...writes.flatMap(it => it.misplaced))
    if (this.#isLocked) await clearIncoming(this.#client)
    else await this.#client.query('commit')
    return { kind: 'committed' }
  }

  /** A write is never uncertain: without an answer the session is lost, and with it everything that was rebuilt. */
  readOutcome: RollupStore['readOutcome'] = async () => 'not-moved'

  async lock (topic: Topic, partitions: readonly number[]): Promise<ReadonlyMap<number, bigint>> {
    await this.#client.query('begin')
    this.#isLocked = true
    // in the order that others use too, so that no deadlock is possible
    const { rows } = await this.#client.query<{ topic_id: string, source_partition: number, next_offset: bigint }>(`
      select topic_id, source_partition, next_offset from progress
      where source_partition = any ($1) order by source_partition, topic_id for update`, [partitions])
    for (const partition of partitions) await this.#compact(topic, partition)
    return new Map(rows.filter(it => it.topic_id === topic.topicId).map(it => [it.source_partition, it.next_offset]))
  }

  /** Compacts the journal of a partition into the live rows, as its owner would. */
  async #compact (topic: Topic, number: number): Promise<void> {
    const journal = await readStoredJournal(this.#client, number)
    if (journal.length === 0) return
    const homes = { partitions: topic.partitions, horizonMs: -Infinity }
    // Infinity: all rows are read back
    const claim = { epoch: 0n, historyId: '', nextOffset: 0n, eventTimeMaxMs: Infinity, homes, journal }
    const { write, daysMs } = await this.#withLiveTables(async () => await compactAll(
      createPartition(topic, number, claim), this.#rules, this
    ))
    await this.#livePartitions.ensure([daysMs])
    await this.#withLiveTables(async () => {
      await writeRows(this.#client, [write], false)
      await writeJournal(this.#client, [write])
      await clearIncoming(this.#client)
    })
    this.#hasCompacted = true
  }

  /** Lets unqualified names in `work` refer to the live tables in place of this session's own. */
  async #withLiveTables<T> (work: () => Promise<T>): Promise<T> {
    await this.#client.query(`set local search_path = ${this.session.schema}, pg_temp`)
    const result = await work()
    await this.#client.query('set local search_path to default')
    return result
  }

  takeMisplaced (): ReturnedReadings[] {
    const rows = this.#misplaced
    this.#misplaced = []
    return rows.flatMap(({ homePartition, settledMs, seriesIds, bodies }) => {
      const rowId = ++this.#misplacedId
      return seriesIds.map((id, n) =>
        ({ homePartition, rowId, name: this.#names.get(id) as ReturnedReadings['name'], body: bodies[n], settledMs }))
    })
  }

  compare (ranges: readonly PartitionRange[]): Promise<Comparison> {
    return compareRebuilt(this.session, ranges)
  }

  async swap (topicId: string, ranges: readonly PartitionRange[], hasThoseOnTheWay: boolean): Promise<void> {
    await swapRebuilt(
      this.session, this.#livePartitions, topicId, ranges, { hasThoseOnTheWay, hasCompacted: this.#hasCompacted }
    )
    this.#isLocked = false
  }

  /** Ends the session and drops everything that was not swapped. */
  async close (): Promise<void> {
    this.#client.release(true)
  }
}
