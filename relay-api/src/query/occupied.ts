/**
 * Occupied: which rows of an answer can have readings. Most fleets do not cover the whole range, and devices that
 * report once a day leave 1,439 minutes empty. So one statement first reads the buckets of a coarser level for many
 * groups, and a row is read only if it overlaps an existing one:
 *
 *     days      ▁▁▁▁▁▁▁▁█▁▁▁█▁▁▁▁▁▁▁▁▁▁▁▁▁     730 of two years, by the primary key
 *     minutes           ╰─┴──── 2,880 of 1,051,200 are planned, read and merged
 *
 * Readings that are not in rows yet are in the journal, whose rows have many series: their times count for all of those
 * groups.
 */
import type { Database } from 'relay-common'
import { bucketStartMs, levels, type Level, type TimeRange } from 'relay-rollups'

import { isFound, kindCondition, seriesCondition, shapeOf } from '../parameters/selection.ts'
import { groupColumn, groupKey, type SeriesKind } from './groups.ts'
import type { Group } from './group-by.ts'
import { journalOfMany } from './read-journal.ts'
import { rowOf, type RowsQuery } from './rows-query.ts'

/** Indexes of rows in their group's part of the answer: from `first` up to `end`, exclusive. */
export interface Ordinals {
  readonly first: number
  readonly end: number
}

/** Fewer rows are not worth a statement. */
const ROWS_MIN = 100
/** A bucket is at least one row, and contains this many rows of the answer. */
const ROWS_PER_BUCKET_MIN = 8
/** Most buckets of a series that are checked. */
const BUCKETS_MAX = 2_000
/** Approximate number of buckets that one statement checks, for one source partition. */
const STATEMENT_BUCKETS = 10_000

/** @returns the level to check; undefined: none is worth it */
function levelFor ({ boundaries, statistics }: RowsQuery): Level | undefined {
  const rowCount = boundaries.length - 1
  if (rowCount < ROWS_MIN || statistics.some(it => it.needsSteps)) return undefined
  const rangeMs = boundaries.at(-1) - boundaries.at(0)
  const coarser = levels.filter(({ sizeMs }) => sizeMs >= ROWS_PER_BUCKET_MIN * rangeMs / rowCount)
  return coarser.find(({ sizeMs }) => rangeMs / sizeMs <= BUCKETS_MAX) ?? coarser.at(-1)
}

/**
 * Reads which rows of some groups may have readings.
 * @returns by group, ascending, not adjacent; undefined: not checked, so all of them may
 * @throws RelayError RELAY_DATABASE_UNREACHABLE
 */
export async function readOccupied (
  database: Database, query: RowsQuery, kind: SeriesKind, groups: readonly Group[]
): Promise<Map<string, Ordinals[]> | undefined> {
  const level = levelFor(query)
  if (level === undefined) return undefined
  const { boundaries } = query
  const range = { startMs: bucketStartMs(level.sizeMs, boundaries.at(0)), endMs: boundaries.at(-1) }
  const buckets = Math.ceil((range.endMs - range.startMs) / level.sizeMs)
  const found = new Map<string, TimeRange[]>()
  let keys: string[] = []
  let size = 0
  const readSome = async () => {
    if (keys.length === 0) return
    for (const key of keys) found.set(key, [])
    const journaled: TimeRange[] = []
    await readBucketStarts(database, query, kind, level, range, keys, (key, stretch) => {
      if (key === null) journaled.push(stretch)
      else found.get(key)!.push(stretch)
    })
    for (const key of keys) found.get(key)!.push(...journaled)
    keys = []
    size = 0
  }
  for (const { key, seriesCount } of groups) {
    if (seriesCount * buckets > STATEMENT_BUCKETS) continue // not checked
    if (size + seriesCount * buckets > STATEMENT_BUCKETS) await readSome()
    keys.push(key)
    size += seriesCount * buckets
  }
  await readSome()
  return new Map([...found].map(([key, stretches]) => [key, rowsAt(query, level, stretches)]))
}

/** @param visit gets buckets by group, and with null those of the journal for some of the groups */
async function readBucketStarts (
  database: Database, { selection, groupBy }: RowsQuery, kind: SeriesKind, level: Level, { startMs, endMs }: TimeRange,
  keys: readonly string[], visit: (key: string | null, stretch: TimeRange) => void
): Promise<void> {
  const namesDevices = isFound(selection) || groupBy === 'device'
  const values: unknown[] = [startMs / 1000, endMs / 1000]
  const condition = seriesCondition(selection, values, namesDevices)
  const ofGroups = groupBy === undefined
    ? 'true'
    : `${groupKey(groupBy, namesDevices)} = any($${values.push(keys)}::text[])`
  const series = `series s where ${kindCondition(kind, namesDevices)} and ${condition} and ${ofGroups}`
  const [startTime, endTime] = ['to_timestamp($1)', 'to_timestamp($2)']
  const { blocks, arms: [, journal] } = journalOfMany({ kind, series, startTime, endTime }, 'blocks', '',
    "null::text, date_part('epoch', j.first_time), date_part('epoch', j.last_time)")
  await database.streamPrepared(`occupied by ${groupBy ?? 'all'} of ${kind} where ${shapeOf(selection)} in ${level.name}`, `
    with ${blocks}
    select ${groupColumn(groupBy)}, date_part('epoch', r.bucket_start), null::float8 from series s cross join lateral (
      select distinct bucket_start from ${level.table} r where r.series_id = s.series_id
        and r.bucket_start >= ${startTime} and r.bucket_start < ${endTime} offset 0) r
    where ${kindCondition(kind, namesDevices)} and ${condition} and ${ofGroups}
    group by 1, 2
    union all ${journal}`, values, columns => {
    const [key, startS, lastS] = columns as [string | null, number, number | null]
    visit(key, { startMs: startS * 1000, endMs: lastS === null ? startS * 1000 + level.sizeMs : lastS * 1000 + 1 })
  })
}

/** The rows that some ranges overlap, and those before the time from which all buckets are kept. */
function rowsAt (query: RowsQuery, level: Level, stretches: readonly TimeRange[]): Ordinals[] {
  const { boundaries, isDescending, keptSince } = query
  const rowCount = boundaries.length - 1
  const wholeMs = { startMs: boundaries.at(0), endMs: boundaries.at(-1) }
  const isSureMs = keptSince[level.name] + level.sizeMs
  const unsure = isSureMs > wholeMs.startMs ? [{ startMs: wholeMs.startMs, endMs: isSureMs }] : []
  const rows =
    union([[...unsure, ...stretches].filter(it => it.endMs > wholeMs.startMs && it.startMs < wholeMs.endMs).map(it => ({
      first: boundaries.lastAtOrBefore(it.startMs),
      end: Math.min(boundaries.lastAtOrBefore(it.endMs - 1) + 1, rowCount)
    }))])
  return isDescending
    ? rows.reverse().map(({ first, end }) => ({ first: rowOf(query, end - 1), end: rowOf(query, first) + 1 }))
    : rows
}

/** The parts of rows that lie within others. @param rows ascending */
export function within (rows: readonly Ordinals[], { first, end }: Ordinals): Ordinals[] {
  return rows.filter(it => it.end > first && it.first < end)
    .map(it => ({ first: Math.max(it.first, first), end: Math.min(it.end, end) }))
}

/** All rows that are in at least one list. @param all each ascending */
export function union (all: ReadonlyArray<readonly Ordinals[]>): Ordinals[] {
  const rows: Array<{ first: number, end: number }> = []
  for (const it of all.flat().sort((a, b) => a.first - b.first)) {
    const before = rows.at(-1)
    if (before !== undefined && it.first <= before.end) before.end = Math.max(before.end, it.end)
    else rows.push({ ...it })
  }
  return rows
}

export function countOf (rows: readonly Ordinals[]): number {
  return rows.reduce((sum, it) => sum + it.end - it.first, 0)
}

/** Where to stop after `first` to get a number of these rows, with everything in between. @param rows ascending */
export function endOfSome (rows: readonly Ordinals[], first: number, count: number): number {
  let left = count
  for (const it of rows) {
    const own = it.end - Math.max(it.first, first)
    if (own <= 0) continue
    if (own >= left) return Math.max(it.first, first) + left
    left -= own
  }
  return Infinity
}
