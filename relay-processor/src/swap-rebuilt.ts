/**
 * Compares rebuilt rows with the live ones, and swaps them, in the transaction that has the lock (rebuild-store.ts).
 * Equal rows stay as they are.
 */
import { RelayError, type Database, type PoolClient } from 'relay-common'
import { levels, MINUTE_MS } from 'relay-rollups'

import { COPY_COLUMNS } from './copy-rows.ts'
import { writeMisplaced } from './homes.ts'
import { leftOf } from './misplaced.ts'
import type { RollupPartitions } from './rollup-rows.ts'

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

/** The session of a rebuild: unqualified names are its temporary tables, those with the schema the live ones. */
export interface RebuildSession {
  readonly client: PoolClient
  readonly schema: string
}

interface SwapSettings {
  /** whether the rebuilt rows include readings on their way home */
  readonly hasThoseOnTheWay: boolean
  /** whether readings that owners hold as journaled are in rows now */
  readonly hasCompacted: boolean
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

/** What a swap would change. */
export async function compareRebuilt (
  { client, schema }: RebuildSession, ranges: readonly PartitionRange[]
): Promise<Comparison> {
  const changes: LevelChanges[] = []
  let fewer = 0
  for (const [index, { table }] of levels.entries()) {
    await client.query(`analyze ${table}`)
    const { rows: [row] } = await client.query<Record<'added' | 'changed' | 'removed' | 'fewer', bigint>>(`
      with ${RANGES},
      live as (select live.* from ${schema}.${table} live join ranges r on ${isInRange('live')}),
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

/**
 * Replaces the live rows by the rebuilt ones, marks the changes as revised, and fences processors that hold the live
 * ones in memory.
 */
export async function swapRebuilt (
  session: RebuildSession, livePartitions: RollupPartitions, topicId: string, ranges: readonly PartitionRange[],
  { hasThoseOnTheWay, hasCompacted }: SwapSettings
): Promise<void> {
  const { client, schema } = session
  for (const [index, { table, sizeMs }] of levels.entries()) {
    const live = `${schema}.${table}`
    const note = `insert into revised_minutes ${lastMinutes(sizeMs)}`
    await client.query(`
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
    await client.query(`
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
  const { rows: [{ revised }] } = await client.query<{ revised: boolean }>(
    'select exists (select from revised_minutes) as revised')
  if (revised) { // otherwise the memory of processors is still right
    if (hasThoseOnTheWay) await dropOnTheWay(session, ranges)
    await markRevised(session, livePartitions)
    await announce(client, ranges)
  }
  if (revised || hasCompacted) await fence(client, topicId, ranges)
  await client.query('commit')
}

/** Removes readings that were on their way home and are now among the rebuilt ones. */
async function dropOnTheWay ({ client, schema }: RebuildSession, ranges: readonly PartitionRange[]): Promise<void> {
  for (const { partition, startMs, endMs } of ranges) {
    const { rows } = await client.query<{ id: bigint, series_ids: number[], bodies: Buffer[] }>(
      `select id, series_ids, bodies from ${schema}.misplaced_readings where home_partition = $1`, [partition])
    const firstMs = Math.min(...startMs)
    for (const { id, series_ids: seriesIds, bodies } of rows) {
      const left = leftOf(seriesIds, bodies, timeMs => timeMs < firstMs || timeMs >= endMs)
      await client.query(
        `delete from ${schema}.misplaced_readings where home_partition = $1 and id = $2`, [partition, id])
      await writeMisplaced(client, left.map(it => ({ ...it, homePartition: partition, settledMs: -Infinity })))
    }
  }
}

/** Marks changed minutes that answers may have shown as final: all that are over (arrival_counts). */
async function markRevised ({ client, schema }: RebuildSession, livePartitions: RollupPartitions): Promise<void> {
  const { rows } = await client.query<{ day_s: number }>(
    "select distinct date_part('epoch', date_trunc('day', minute, 'UTC')) as day_s from revised_minutes")
  await livePartitions.ensure([[
    ...levels.map(() => new Set<number>()), new Set(rows.map(it => it.day_s * 1000))
  ]])
  await client.query(`
    insert into ${schema}.arrival_counts as a
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
async function fence (client: PoolClient, topicId: string, ranges: readonly PartitionRange[]): Promise<void> {
  await client.query(`
    update progress set epoch = epoch + 1, owner = 'relay replay', updated_at = now()
    where topic_id = $1 and source_partition = any ($2)`, [topicId, ranges.map(it => it.partition)])
}

/** Announces that any row of these ranges may have changed. */
async function announce (client: PoolClient, ranges: readonly PartitionRange[]): Promise<void> {
  for (const index of levels.keys()) {
    await client.query(`
      insert into rollup_commits (level, first_bucket, last_bucket)
      select $1, greatest(min(starts), '1970-01-01Z'), now() + interval '1 day'
      from unnest($2::timestamptz[]) as r (starts)`, [index, startsOf(ranges, index)])
  }
  await client.query("select pg_notify('rollup_commits', '')")
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
