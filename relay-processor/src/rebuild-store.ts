/**
 * Rollups that are rebuilt beside the live ones, in one PostgreSQL session: temporary tables with the names of the
 * rollup tables, which hide those in this session. So `rollup-rows.ts` works on both, and the end of the session leaves
 * nothing behind.
 *
 *     open ──▶ write, readRows (temporary tables) … ──lock──▶ write, readRows ──swap──▶ live tables, progress; commit
 *                                                       └── whoever owns the partitions waits, and is refused then
 */
import {
  DAY_MS, dayLevel, decodeBody, levels, liftTimeLimits, MINUTE_MS, minuteLevel, RelayError, type Database, type Level,
  type PoolClient, type Readings, type Topic
} from 'relay-common'

import { COPY_COLUMNS } from './copy-rows.ts'
import { compactAll } from './compact-all.ts'
import { readStoredJournal, writeJournal } from './journal-rows.ts'
import { createPartition } from './partition.ts'
import { clearIncoming, prepareIncoming, readStoredRows, RollupPartitions, writeRows } from './rollup-rows.ts'
import { writeMisplaced } from './homes.ts'
import { nameSeries } from './series-ids.ts'
import { leftOf } from './misplaced.ts'
import type { MisplacedRow, ReturnedReadings, RollupStore, SeriesName } from './store.ts'
import type { SettleRules } from './settle.ts'

/** The range to replace in one source partition. */
export interface PartitionRange {
  readonly partition: number
  /** by index of the level, ms since the epoch: buckets from here on; -Infinity: all */
  readonly startMs: readonly number[]
  /** exclusive end; Infinity: all */
  readonly endMs: number
}

/** Differences between rebuilt and live rows of a level. */
export interface LevelChanges {
  readonly added: number
  readonly changed: number
  readonly removed: number
}

export interface Comparison {
  /** by index of the level */
  readonly changes: readonly LevelChanges[]
  /** rows with fewer readings rebuilt than live: what a swap would lose */
  readonly fewer: number
}

/** The live row of a device's minute. */
export interface LiveMinute {
  readonly name: ReturnedReadings['name']
  /** undefined: it no longer stores them */
  readonly readings: Readings | undefined
}

export interface RebuildStore extends RollupStore {
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
  /** Source partitions with live rows of a day. */
  readPartitions (dayMs: number): Promise<number[]>
  /** Whether the live minutes of devices contain all readings of their days. */
  isDayWhole (dayMs: number): Promise<boolean>
  /** The live minutes of devices of a day, by series and time; within the lock. */
  readMinutes (dayMs: number): AsyncIterable<LiveMinute>
  /** Number of readings in the rebuilt minutes of devices. */
  countReadings (dayMs: number): Promise<number>
  close (): Promise<void>
}

/**
 * Checks whether this login may swap, before hours of reading: that of a processor may not remove rows.
 * @throws RelayError RELAY_REPLAY_REFUSED
 */
export async function checkMaySwap (database: Database): Promise<void> {
  const denied = await database.query<{ login: string, name: string }>(`
    select current_user as login, name from unnest($1::text[]) name where not has_table_privilege(name, 'delete')`,
  [levels.map(it => it.table)])
  if (denied.length === 0) return
  throw new RelayError('RELAY_REPLAY_REFUSED', `${denied[0].login} may not delete from ${denied.map(it => it.name).join(', ')}: ` +
    'log in as the owner of the database. Nothing was read or changed')
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
  readonly #client: PoolClient
  readonly #schema: string
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
    this.#client = client
    this.#schema = schema
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
    await this.#client.query(`set local search_path = ${this.#schema}, pg_temp`)
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

  async readPartitions (dayMs: number): Promise<number[]> {
    const partitions = new Set<number>()
    for (const { table } of levels) {
      const { rows } = await this.#client.query<{ source_partition: number }>(`
        select distinct source_partition from ${this.#schema}.${table} where bucket_start >= $1 and bucket_start < $2`, dayOf(dayMs))
      for (const it of rows) partitions.add(it.source_partition)
    }
    const { rows } = await this.#client.query<{ source_partition: number }>(
      'select distinct source_partition from journal'
    )
    for (const it of rows) partitions.add(it.source_partition)
    return [...partitions]
  }

  async isDayWhole (dayMs: number): Promise<boolean> {
    const counts = (level: Level) => `
      select series_id, sum(count) as readings from ${this.#schema}.${level.table}
      where bucket_start >= $1 and bucket_start < $2 group by series_id`
    const { rows } = await this.#client.query(`
      select from (${counts(minuteLevel)}) minutes full join (${counts(dayLevel)}) days using (series_id)
      where minutes.readings is distinct from days.readings limit 1`, dayOf(dayMs))
    return rows.length === 0
  }

  async * readMinutes (dayMs: number): AsyncGenerator<LiveMinute> {
    await this.#client.query(`
      declare live_minutes no scroll cursor for
      select device_id, zone, device_type, bucket_start, count, min, max, body
      from ${this.#schema}.rollups_minute join ${this.#schema}.series using (series_id)
      where device_id is not null and bucket_start >= $1 and bucket_start < $2
      order by series_id, bucket_start`, dayOf(dayMs))
    for (;;) {
      const { rows } = await this.#client.query<LiveRow>(`fetch ${MINUTES_PER_FETCH} from live_minutes`)
      for (const row of rows) {
        const { device_id: deviceId, zone, device_type: deviceType, bucket_start: bucketStartMs, count, ...rest } = row
        const { readings } = decodeBody({ ...rest, count: Number(count), bucketStartMs })
        yield { name: { deviceId, zone, deviceType }, readings }
      }
      if (rows.length < MINUTES_PER_FETCH) break
    }
    await this.#client.query('close live_minutes')
  }

  async countReadings (dayMs: number): Promise<number> {
    const { rows: [{ readings }] } = await this.#client.query<{ readings: number }>(`
      select coalesce(sum(count), 0)::float8 as readings from rollups_minute join series using (series_id)
      where device_id is not null and bucket_start >= $1 and bucket_start < $2`, dayOf(dayMs))
    return readings
  }

  async compare (ranges: readonly PartitionRange[]): Promise<Comparison> {
    const changes: LevelChanges[] = []
    let fewer = 0
    for (const [index, { table }] of levels.entries()) {
      await this.#client.query(`analyze ${table}`)
      const { rows: [row] } = await this.#client.query<Record<'added' | 'changed' | 'removed' | 'fewer', bigint>>(`
        with ${RANGES},
        live as (select live.* from ${this.#schema}.${table} live join ranges r on ${isInRange('live')}),
        rebuilt as (select rebuilt.* from ${table} rebuilt join ranges r on ${isInRange('rebuilt')})
        select count(*) filter (where live.count is null) as added,
          count(*) filter (where ${isDifferent('live', 'rebuilt')}) as changed,
          count(*) filter (where rebuilt.count is null) as removed,
          count(*) filter (where live.count > coalesce(rebuilt.count, 0)) as fewer
        from live full join rebuilt using (series_id, bucket_start, source_partition)`, parameters(ranges, index))
      const [added, removed] = [Number(row.added), Number(row.removed)]
      changes.push({ added, changed: Number(row.changed) - added - removed, removed })
      fewer += Number(row.fewer)
    }
    return { changes, fewer }
  }

  async swap (topicId: string, ranges: readonly PartitionRange[], hasThoseOnTheWay: boolean): Promise<void> {
    for (const [index, { table, sizeMs }] of levels.entries()) {
      const live = `${this.#schema}.${table}`
      const note = `insert into revised_minutes ${lastMinutes(sizeMs)}`
      await this.#client.query(`
        with ${RANGES},
        revised as (
          delete from ${live} live using ranges r
          where ${isInRange('live')} and not exists (
            select from ${table} rebuilt
            where rebuilt.series_id = live.series_id and rebuilt.bucket_start = live.bucket_start
              and rebuilt.source_partition = live.source_partition)
          returning live.series_id, live.bucket_start, live.source_partition)
        ${note}`, parameters(ranges, index))
      // equal rows stay untouched, so a rebuild without differences costs almost nothing
      await this.#client.query(`
        with ${RANGES},
        revised as (
          insert into ${live} as live (${COPY_COLUMNS})
          select ${COPY_COLUMNS} from ${table} rebuilt join ranges r on ${isInRange('rebuilt')}
          on conflict (series_id, bucket_start, source_partition) do update
            set count = excluded.count, sum = excluded.sum, min = excluded.min, max = excluded.max, body = excluded.body
            where ${isDifferent('live', 'excluded')}
          returning live.series_id, live.bucket_start, live.source_partition)
        ${note}`, parameters(ranges, index))
    }
    const { rows: [{ revised }] } = await this.#client.query<{ revised: boolean }>(
      'select exists (select from revised_minutes) as revised')
    if (revised) { // otherwise the memory of processors is still right
      if (hasThoseOnTheWay) await this.#dropOnTheWay(ranges)
      await this.#markRevised()
      await this.#announce(ranges)
    }
    if (revised || this.#hasCompacted) await this.#fence(topicId, ranges)
    await this.#client.query('commit')
    this.#isLocked = false
  }

  /** Removes readings that were on their way home and are now among the rebuilt ones. */
  async #dropOnTheWay (ranges: readonly PartitionRange[]): Promise<void> {
    for (const { partition, startMs, endMs } of ranges) {
      const { rows } = await this.#client.query<{ id: bigint, series_ids: number[], bodies: Buffer[] }>(
        `select id, series_ids, bodies from ${this.#schema}.misplaced_readings where home_partition = $1`, [partition])
      const firstMs = Math.min(...startMs)
      for (const { id, series_ids: seriesIds, bodies } of rows) {
        const left = leftOf(seriesIds, bodies, timeMs => timeMs < firstMs || timeMs >= endMs)
        await this.#client.query(
          `delete from ${this.#schema}.misplaced_readings where home_partition = $1 and id = $2`, [partition, id])
        await writeMisplaced(this.#client, left.map(it => ({ ...it, homePartition: partition, settledMs: -Infinity })))
      }
    }
  }

  /** Marks changed minutes that answers may have shown as final: all that are over (arrival_counts). */
  async #markRevised (): Promise<void> {
    const { rows } = await this.#client.query<{ day_s: number }>(
      "select distinct date_part('epoch', date_trunc('day', minute, 'UTC')) as day_s from revised_minutes")
    await this.#livePartitions.ensure([[
      ...levels.map(() => new Set<number>()), new Set(rows.map(it => it.day_s * 1000))
    ]])
    await this.#client.query(`
      insert into ${this.#schema}.arrival_counts as a
        (series_id, bucket_start, source_partition, late, duplicates, late_minutes, late_through, revised_at)
      select series_id, date_trunc('hour', minute, 'UTC'), source_partition, 0, 0,
        bit_or(1::bigint << extract(minute from minute at time zone 'UTC')::integer), now(), now()
      from revised_minutes where minute <= now() - interval '1 minute'
      group by series_id, date_trunc('hour', minute, 'UTC'), source_partition
      on conflict (series_id, bucket_start, source_partition) do update
        set late_minutes = a.late_minutes | excluded.late_minutes,
          late_through = greatest(a.late_through, excluded.late_through), revised_at = excluded.revised_at`)
  }

  /** Fences processors that hold the old rows. */
  async #fence (topicId: string, ranges: readonly PartitionRange[]): Promise<void> {
    await this.#client.query(`
      update progress set epoch = epoch + 1, owner = 'relay replay', updated_at = now()
      where topic_id = $1 and source_partition = any ($2)`, [topicId, ranges.map(it => it.partition)])
  }

  /** Announces that any row of these ranges may have changed. */
  async #announce (ranges: readonly PartitionRange[]): Promise<void> {
    for (const index of levels.keys()) {
      await this.#client.query(`
        insert into rollup_commits (level, first_bucket, last_bucket)
        select $1, greatest(min(starts), '1970-01-01Z'), now() + interval '1 day'
        from unnest($2::timestamptz[]) as r (starts)`, [index, startsOf(ranges, index)])
    }
    await this.#client.query("select pg_notify('rollup_commits', '')")
  }

  /** Ends the session and drops everything that was not swapped. */
  async close (): Promise<void> {
    this.#client.release(true)
  }
}

const MINUTES_PER_FETCH = 5_000

interface LiveRow {
  readonly device_id: string
  readonly zone: string
  readonly device_type: string
  readonly bucket_start: number
  readonly count: bigint
  readonly min: number
  readonly max: number
  readonly body: Buffer
}

function dayOf (dayMs: number): Date[] {
  return [new Date(dayMs), new Date(dayMs + DAY_MS)]
}

const RANGES = `ranges as (
  select * from unnest($1::integer[], $2::timestamptz[], $3::timestamptz[]) as r (partition, starts, ends))`

/**
 * From rows that were `revised`, finest level first, the minutes that show it. If a row was wrong although its parts
 * were right, that is its last minute: it belongs to the row and to longer ones, and to the fewest shorter ones.
 */
function lastMinutes (sizeMs: number): string {
  const size = `interval '${sizeMs / MINUTE_MS} minutes'`
  return `
    select series_id, source_partition, bucket_start + ${size} - interval '1 minute' from revised
    where not exists (
      select from revised_minutes r
      where r.series_id = revised.series_id and r.source_partition = revised.source_partition
        and date_bin(${size}, r.minute, '1970-01-01Z') = revised.bucket_start)`
}

function isInRange (rows: 'live' | 'rebuilt'): string {
  return `${rows}.source_partition = r.partition and ${rows}.bucket_start >= r.starts and ${rows}.bucket_start < r.ends`
}

function isDifferent (one: string, other: string): string {
  const content = (rows: string) => ['count', 'sum', 'min', 'max', 'body'].map(it => `${rows}.${it}`).join(', ')
  return `(${content(one)}) is distinct from (${content(other)})`
}

function parameters (ranges: readonly PartitionRange[], levelIndex: number): unknown[] {
  return [ranges.map(it => it.partition), startsOf(ranges, levelIndex), ranges.map(it => toTimestamp(it.endMs))]
}

function startsOf (ranges: readonly PartitionRange[], levelIndex: number): string[] {
  return ranges.map(it => toTimestamp(it.startMs[levelIndex]))
}

function toTimestamp (timeMs: number): string {
  if (timeMs === Infinity) return 'infinity'
  return timeMs === -Infinity ? '-infinity' : new Date(timeMs).toISOString()
}
