/**
 * Look-back: the last row with readings before the range, for `fill=previous`.
 *
 *     newest reading before `start`, at most 30 days back      one look-up a series, by the primary key
 *     the row of the interval that it is in, up to `start`     the rows of many groups in one statement
 *
 * Finer buckets come first; if retention may have dropped some, coarser ones are read as well.
 */
import type { Database } from 'relay-common'
import {
  bucketStartMs, DAY_MS, decodeBody, levels, MINUTE_MS, type DecodedRow, type Level, type TimeRange
} from 'relay-rollups'

import { isFound, kindCondition, seriesCondition, shapeOf } from '../parameters/selection.ts'
import { nobody, type Asker } from '../sharing/asker.ts'
import type { RowNumbers } from './fill.ts'
import { grantedOf, piecesOf } from './pieces.ts'
import { groupColumn, groupKey, readsDeviceSeries } from './groups.ts'
import { longestMs, rowAround, type Interval } from './interval.ts'
import { around, createJournalCollector, createPlaces, journalOfMany } from './read-journal.ts'
import { createMerge, type Merge, type Source } from './merge.ts'
import { planRange, type KeptSince, type Plan } from './plan.ts'
import type { LookBack, RowsQuery } from './rows-query.ts'
import type { MergedRow } from './read-buckets.ts'
import { readSteps } from './read-steps.ts'
import { numbersOf } from './row-numbers.ts'

const LOOK_BACK_MS = 30 * DAY_MS

/** How far back to look for a reading: 30 days, or one interval if that is longer. */
function reachMs (interval: Interval): number {
  return Math.max(LOOK_BACK_MS, longestMs(interval))
}

/** Reads one row of some groups. */
export type RowReader = (keys: readonly string[], range: TimeRange) => Promise<ReadonlyMap<string, RowNumbers>>

/**
 * Reads the last row before the range, for each group that has one.
 * @param keys of the groups
 * @throws RelayError RELAY_DATABASE_UNREACHABLE, RELAY_ROLLUP_CORRUPT
 */
export async function readRowsBefore (
  database: Database, query: RowsQuery, { interval, clock, keptSince }: LookBack, keys: readonly string[],
  readRow: RowReader, asker: Asker = nobody
): Promise<Map<string, RowNumbers>> {
  const found = new Map<string, RowNumbers>()
  if (keys.length === 0) return found
  const startMs = query.boundaries.at(0)
  const rowOf = (timeMs: number) => {
    const row = rowAround(timeMs, interval, clock)
    return { startMs: row.startMs, endMs: Math.min(row.endMs, startMs) }
  }
  const read = async (rows: ReadonlyMap<string, TimeRange>) => {
    for (const [key, numbers] of await readEach(database, query, keptSince, rows, readRow, asker)) {
      found.set(key, numbers)
    }
  }

  if (startMs % MINUTE_MS !== 0) { // a part of a minute: no bucket ends there
    const row = rowOf(startMs - 1)
    await read(new Map(keys.map(key => [key, row])))
  }
  const fromMs = startMs - reachMs(interval)
  for (const level of levels) {
    const missing = keys.filter(it => !found.has(it))
    if (missing.length === 0) break
    const newest = await readNewest(database, query, missing, level, { startMs: fromMs, endMs: startMs })
    await read(new Map([...newest].map(([key, lastMs]) => [key, rowOf(lastMs)])))
    if (keptSince[level.name] <= fromMs) break
  }
  return found
}

/** Reads a row of each group: together if it only needs buckets. */
async function readEach (
  database: Database, query: RowsQuery, keptSince: KeptSince, rows: ReadonlyMap<string, TimeRange>, readRow: RowReader,
  asker: Asker
): Promise<Map<string, RowNumbers>> {
  const found = new Map<string, RowNumbers>()
  const together = new Map<string, Plan>()
  const alone = new Map<string, { readonly row: TimeRange, readonly keys: string[] }>()
  const isOne = query.groupBy === undefined
  for (const [key, row] of rows) {
    const plan = planRange(row, keptSince)
    const { coverage } = plan
    if (coverage.startMs !== row.startMs || coverage.endMs !== row.endMs) continue // the kept levels are too coarse
    if (!isOne && plan.edges.length === 0) {
      together.set(key, plan)
      continue
    }
    const name = `${row.startMs} ${row.endMs}`
    const same = alone.get(name) ?? { row, keys: [] }
    alone.set(name, same)
    same.keys.push(key)
  }

  const plans = [...together]
  for (let n = 0; n < plans.length; n += GROUPS_AT_ONCE) {
    const merged = await readTogether(database, query, new Map(plans.slice(n, n + GROUPS_AT_ONCE)))
    const steps = merged.size > 0 && query.statistics.some(it => it.needsSteps)
      ? await readSteps(
        database, query,
        new Map([...merged].map(([key, { coverage: { startMs, endMs } }]) => [key, [startMs, endMs]])), asker
      )
      : undefined
    for (const [key, it] of merged) {
      const turn = asker.pace()
      if (turn) await turn
      found.set(key, numbersOf(query, it, steps?.get(key)![0]))
    }
  }
  for (const { row, keys } of alone.values()) {
    for (const [key, numbers] of await readRow(keys, row)) found.set(key, numbers)
  }
  return found
}

/** A row needs at most 140 buckets, each of some source partitions. */
const GROUPS_AT_ONCE = 100

/** Reads the buckets of one plan per group, in one statement. */
async function readTogether (
  database: Database, { selection, groupBy }: RowsQuery, plans: ReadonlyMap<string, Plan>
): Promise<Map<string, MergedRow>> {
  const merges = new Map([...plans].map(([key, plan]) => [key, createMerge(plan)]))
  if (selection.granted === undefined) {
    await readInto(merges, database, { selection, groupBy }, plans)
  } else {
    for (const [key, plan] of plans) {
      for (const piece of piecesOf(grantedOf(selection, groupBy, [key]))) {
        await readInto(merges, database, { selection: piece, groupBy }, new Map([[key, plan]]))
      }
    }
  }
  const rows = [...merges].map(([key, merge]) => [key, { ...merge.finish(), isRevised: false }] as const)
  return new Map(rows.filter(([, it]) => it.rollup.count > 0))
}

/** One statement. @param merges by group: receive the rows */
async function readInto (
  merges: ReadonlyMap<string, Merge>, database: Database,
  { selection, groupBy }: Pick<RowsQuery, 'selection' | 'groupBy'>,
  plans: ReadonlyMap<string, Plan>
): Promise<void> {
  const kind = readsDeviceSeries(selection, groupBy) ? 'devices' : 'groups'
  const values: unknown[] = []
  const namesDevices = isFound(selection) || groupBy === 'device'
  const condition = seriesCondition(selection, values, namesDevices)
  const ofKind = `${kindCondition(kind, namesDevices)} and ${condition}`
  const keyColumn = groupKey(groupBy, namesDevices)
  const ofGroup = `${keyColumn} = w.key and ${ofKind}`
  const series = `${keyColumn} = any($${values.push([...plans.keys()])}::text[]) and ${ofKind}`
  const windows = [...plans].flatMap(([key, { buckets }]) => buckets.map(it => ({ key, ...it })))
  const range = around(windows)!
  const [startTime, endTime] = [range.startMs, range.endMs].map(it =>
    `to_timestamp($${values.push(it / 1000)}::float8)`)
  const inJournal = journalOfMany({ kind, series: `series s where ${series}`, startTime, endTime }, 'of_journal',
    `${groupColumn(groupBy)}, s.zone, s.device_type, null::float8, s.series_id::float8, null::float8, null::float8, null::bytea`,
    'null, null, null, null::float8, null::float8, null::float8, null::float8, j.body')
  const used = levels.filter(level => windows.some(it => it.level === level))
  const arms = used.map(level => {
    const ofLevel = windows.filter(it => it.level === level)
    const keys = `$${values.push(ofLevel.map(it => it.key))}::text[]`
    const starts = `$${values.push(ofLevel.map(it => it.startMs / 1000))}::float8[]`
    const ends = `$${values.push(ofLevel.map(it => it.endMs / 1000))}::float8[]`
    return `
    select w.key, s.zone, s.device_type, date_part('epoch', r.bucket_start), r.count::float8, r.min, r.max, r.body
    from unnest(${keys}, ${starts}, ${ends}) as w (key, start_s, end_s)
      cross join lateral (select * from series s where ${ofGroup} offset 0) s
      cross join lateral (select * from ${level.table} r where r.series_id = s.series_id
        and r.bucket_start >= to_timestamp(w.start_s) and r.bucket_start < to_timestamp(w.end_s) offset 0) r`
  })
  const name =
    `rows before by ${groupBy} of ${kind} where ${shapeOf(selection)} from ${used.map(it => it.name[0]).join('')}`
  const journal = createJournalCollector<Source & { readonly key: string }>(range)
  await database.streamPrepared(name, `with ${inJournal.blocks}${[...arms, ...inJournal.arms].join('\n    union all')}`, values, columns => {
    const [key, zone, deviceType, bucketStartS, count, min, max, body] = columns as BucketColumns
    if (bucketStartS !== null) {
      merges.get(key)!.add({
        edge: undefined, zone, deviceType, bucketStartMs: bucketStartS * 1000, count, min, max, body
      })
    } else if (body === null) journal.addSeries(count, { key, zone, deviceType })
    else journal.addRow(body)
  })
  const places = new Map([...plans].map(([key, { buckets }]) => [key, createPlaces(buckets, [])]))
  const add = ({ key, ...source }: Source & { readonly key: string }, bucketStartMs: number, content: DecodedRow) =>
    merges.get(key)!.add({ ...source, edge: undefined, bucketStartMs, content })
  journal.finish({
    readings: (series, readings) => places.get(series.key)!.readings(
      readings, (it, _, content) => add(series, it, content)
    ),
    rollup: (series, minuteMs, rollup) =>
      places.get(series.key)!.minute(minuteMs, it => add(series, it, { rollup, readings: undefined }))
  })
}

type BucketColumns = [
  key: string, zone: string, deviceType: string,
  // null: of the journal; without a body it is a series, with its id in count
  bucketStartS: number, count: number, min: number, max: number, body: Buffer
]

/** as above */
type Columns = [key: string, bucketStartS: number, count: number, min: number, max: number, body: Buffer]

/** By group: the time of the newest reading in whole buckets of a level in a range. */
async function readNewest (
  database: Database, { selection: asked, groupBy }: RowsQuery, keys: readonly string[], level: Level, range: TimeRange
): Promise<Map<string, number>> {
  const newest = new Map<string, number>()
  for (const selection of piecesOf(grantedOf(asked, groupBy, keys))) {
    for (const [key, lastMs] of await readNewestOf(database, { selection, groupBy }, keys, level, range)) {
      newest.set(key, Math.max(lastMs, newest.get(key) ?? -Infinity))
    }
  }
  return newest
}

async function readNewestOf (
  database: Database, { selection, groupBy }: Pick<RowsQuery, 'selection' | 'groupBy'>, keys: readonly string[],
  level: Level,
  { startMs, endMs }: TimeRange
): Promise<Map<string, number>> {
  const newest = new Map<string, number>()
  const kind = readsDeviceSeries(selection, groupBy) ? 'devices' : 'groups'
  const whole = { startMs: bucketStartMs(level.sizeMs, startMs), endMs: bucketStartMs(level.sizeMs, endMs) }
  const values: unknown[] = [whole.startMs / 1000, whole.endMs / 1000]
  const namesDevices = isFound(selection) || groupBy === 'device'
  const condition = seriesCondition(selection, values, namesDevices)
  const column = groupColumn(groupBy)
  const ofGroups = groupBy === undefined
    ? 'true'
    : `${groupKey(groupBy, namesDevices)} = any($${values.push(keys)}::text[])`
  const name = `newest ${level.name} by ${groupBy ?? 'all'} of ${kind} where ${shapeOf(selection)}`
  const series = `${kindCondition(kind, namesDevices)} and ${condition} and ${ofGroups}`
  const inJournal = journalOfMany({
    kind, series: `series s where ${series}`, startTime: 'to_timestamp($1)', endTime: 'to_timestamp($2)'
  }, 'of_journal',
    `${column}, null::float8, s.series_id::float8, null::float8, null::float8, null::bytea`,
    'null, null::float8, null::float8, null::float8, null::float8, j.body')
  const journal = createJournalCollector<string>(whole)
  const note = (key: string, lastMs: number) => {
    if (lastMs >= startMs) newest.set(key, Math.max(lastMs, newest.get(key) ?? -Infinity))
  }
  await database.streamPrepared(name, `with ${inJournal.blocks}
    select ${column}, date_part('epoch', r.bucket_start), r.count::float8, r.min, r.max, r.body
    from series s cross join lateral (
      select * from ${level.table} r where r.series_id = s.series_id
        and r.bucket_start >= to_timestamp($1) and r.bucket_start < to_timestamp($2)
      order by r.bucket_start desc fetch first 1 rows with ties) r
    where ${series}
    union all ${inJournal.arms.join(' union all ')}`, values, columns => {
    const [key, bucketStartS, count, min, max, body] = columns as Columns
    if (bucketStartS !== null) {
      note(
        key, decodeBody({ bucketStartMs: bucketStartS * 1000, count, min, max, body }).rollup.lastMs
      )
    } else if (body === null) journal.addSeries(count, key)
    else journal.addRow(body)
  })
  journal.finish({
    readings: (key, { timesMs }) => note(key, timesMs[timesMs.length - 1]),
    rollup: (key, _, { lastMs }) => note(key, lastMs)
  })
  return newest
}
