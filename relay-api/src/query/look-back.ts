/**
 * Looking back: the last row before the range that has readings, for `fill=previous`.
 *
 *     newest reading before `start`, at most 30 days back      one look-up a series, by the primary key
 *     the row of the interval that it is in, up to `start`     read as any other row
 *
 * Finer buckets are looked at first; where retention may have dropped some of them, the coarser ones as well.
 */
import { bucketStartMs, DAY_MS, decodeBody, levels, MINUTE_MS, type Database, type Level } from 'relay-common'

import { seriesCondition, shapeOf } from '../parameters/selection.ts'
import type { RowNumbers } from './fill.ts'
import { groupColumn, usesDevices } from './groups.ts'
import { longestMs, rowAround, type Interval } from './interval.ts'
import { planRange, type KeptSince, type TimeRange } from './plan.ts'
import type { Question } from './question.ts'
import type { ZoneClock } from './zone-clock.ts'

/** What it takes to know which rows there would be before the range. */
export interface LookBack {
  readonly interval: Interval
  readonly clock: ZoneClock
  readonly keptSince: KeptSince
}

const LOOK_BACK_MS = 30 * DAY_MS

/** How far back a reading is looked for: 30 days, or one interval where that is longer. */
function reachMs (interval: Interval): number {
  return Math.max(LOOK_BACK_MS, longestMs(interval))
}

/** Reads one row of some groups. */
export type ReadRow = (keys: readonly string[], range: TimeRange) => Promise<ReadonlyMap<string, RowNumbers>>

/**
 * Reads the last row before the range of each group that has one.
 * @param keys of the groups
 * @throws RelayError RELAY_DATABASE_UNREACHABLE, RELAY_ROLLUP_CORRUPT
 */
export async function readRowsBefore (
  database: Database, question: Question, { interval, clock, keptSince }: LookBack, keys: readonly string[], readRow: ReadRow
): Promise<Map<string, RowNumbers>> {
  const found = new Map<string, RowNumbers>()
  if (keys.length === 0) return found
  const startMs = question.boundaries[0]
  const rowOf = (timeMs: number) => {
    const row = rowAround(timeMs, interval, clock)
    return { startMs: row.startMs, endMs: Math.min(row.endMs, startMs) }
  }
  const missing = () => keys.filter(it => !found.has(it))
  const read = async (keys: readonly string[], row: TimeRange) => {
    const { coverage } = planRange(row, keptSince)
    if (coverage.startMs !== row.startMs || coverage.endMs !== row.endMs) return // what is kept is too coarse for it
    for (const [key, numbers] of await readRow(keys, row)) found.set(key, numbers)
  }

  if (startMs % MINUTE_MS !== 0) await read(keys, rowOf(startMs - 1)) // a part of a minute: no bucket ends there
  const fromMs = startMs - reachMs(interval)
  for (const level of levels) {
    const left = missing()
    if (left.length === 0) break
    const keysByRow = new Map<number, string[]>()
    for (const [key, lastMs] of await readNewest(database, question, left, level, { startMs: fromMs, endMs: startMs })) {
      const row = rowOf(lastMs)
      keysByRow.set(row.startMs, [...keysByRow.get(row.startMs) ?? [], key])
    }
    for (const [rowStartMs, keys] of keysByRow) await read(keys, rowOf(rowStartMs))
    if (keptSince[level.name] <= fromMs) break
  }
  return found
}

type Columns = [key: string, bucketStartS: number, count: number, min: number, max: number, body: Buffer]

/** By group: the time of the newest reading that the whole buckets of a level in a range have. */
async function readNewest (
  database: Database, { selection, groupBy }: Question, keys: readonly string[], level: Level, { startMs, endMs }: TimeRange
): Promise<Map<string, number>> {
  const newest = new Map<string, number>()
  const kind = usesDevices(selection, groupBy) ? 'devices' : 'groups'
  const values: unknown[] = [bucketStartMs(level.sizeMs, startMs) / 1000, (bucketStartMs(level.sizeMs, endMs) - level.sizeMs) / 1000]
  const condition = seriesCondition(selection, values)
  const column = groupColumn(groupBy)
  const ofGroups = groupBy === undefined ? 'true' : `${column} = any($${values.push(keys)}::text[])`
  const name = `newest ${level.name} by ${groupBy ?? 'all'} of ${kind} where ${shapeOf(selection)}`
  await database.streamPrepared(name, `
    select ${column}, date_part('epoch', r.bucket_start), r.count::float8, r.min, r.max, r.body
    from series s cross join lateral (
      select * from ${level.table} r where r.series_id = s.series_id
        and r.bucket_start >= to_timestamp($1) and r.bucket_start <= to_timestamp($2)
      order by r.bucket_start desc fetch first 1 rows with ties) r
    where s.device_id is ${kind === 'devices' ? 'not ' : ''}null and ${condition} and ${ofGroups}`, values, columns => {
    const [key, bucketStartS, count, min, max, body] = columns as Columns
    const { lastMs } = decodeBody({ bucketStartMs: bucketStartS * 1000, count, min, max, body }).rollup
    if (lastMs >= startMs) newest.set(key, Math.max(lastMs, newest.get(key) ?? -Infinity))
  })
  return newest
}
