/**
 * Reads the rollups of consecutive rows of an answer for some groups in one statement, so all numbers are of one
 * moment. For a caller who may see only some devices, it is a statement per piece of them (`granted.ts`).
 *
 * Each row has a plan of its own (`plan.ts`) with the fewest buckets. Plans of neighbours that use one level are read
 * as one range. Every arm walks the primary key, once per series and range.
 */
import type { Database } from 'relay-common'
import {
  lastAtOrBefore, levels, MINUTE_MS, minuteLevel, type Level, type RollupParts, type TimeRange
} from 'relay-rollups'

import { isFound, kindCondition, seriesCondition, shapeOf, type Selection } from '../parameters/selection.ts'
import { nobody, type Asker } from '../sharing/asker.ts'
import { lateReadingsOf } from './late-readings.ts'
import { rowsRevisedBy } from './row-status.ts'
import { grantedOf, groupOfGranted, piecesOf, seriesOf } from './pieces.ts'
import type { Granted } from './granted-series.ts'
import { groupColumn, groupKey, type SeriesKind } from './groups.ts'
import type { GroupBy } from './group-by.ts'
import {
  allTime, around, blocksOfGranted, createJournalCollector, createPlaces, journalOfBlocks, journalOfMany,
  type JournalCollector
} from './read-journal.ts'
import { mayPack, packedColumns, packRows, plainColumns, unpackRows } from './packed-rows.ts'
import { createMerge, type BucketContent, type Merge, type Merged, type Source } from './merge.ts'
import { planRange, type Edge, type Plan } from './plan.ts'

export interface BucketQuery {
  readonly selection: Selection
  readonly groupBy: GroupBy | undefined
  /** series of whole buckets; edges are always cut out of the minutes of devices */
  readonly kind: SeriesKind
  /** what the answer needs; left out: everything */
  readonly parts?: RollupParts
  /** whether to mark revised rows; otherwise none is marked */
  readonly marksRevised?: boolean
}

export interface MergedRow extends Merged {
  /** late readings or a replay changed it after it may have been final */
  readonly isRevised: boolean
}

export function planRows (boundaries: { at (n: number): number | undefined }, first: number, end: number): Plan[] {
  const plans: Plan[] = []
  for (let row = first; row < end; row++) {
    plans.push(planRange({ startMs: boundaries.at(row)!, endMs: boundaries.at(row + 1)! }))
  }
  return plans
}

/** By group, and by row in it: rows with readings. */
export type MergedRows = Map<string, Map<number, MergedRow>>

/**
 * Reads one plan per row.
 * @param keys of the groups
 * @throws RelayError RELAY_DATABASE_UNREACHABLE, RELAY_ROLLUP_CORRUPT
 */
export async function readBuckets (
  database: Database, query: BucketQuery, keys: readonly string[], plans: readonly Plan[], asker: Asker = nobody
): Promise<MergedRows> {
  const merges = new Map(keys.map(key => [key, new Map<number, Merge>()]))
  const mergeOf = (key: string, row: number) => {
    const rows = merges.get(key)!
    let merge = rows.get(row)
    if (merge === undefined) rows.set(row, merge = createMerge(plans[row], query.parts))
    return merge
  }

  const revised = new Map(keys.map(key => [key, new Set<number>()]))
  const ranges = plans.map(it => it.coverage)
  const starts = ranges.map(it => it.startMs)
  const edges = edgesByMinute(plans)
  const minutes = [...edges.keys()]
  const stretches = stretchesByLevel(plans)
  const buckets = [...stretches].flatMap(([level, them]) => them.map(it => ({ level, ...it })))
  const places = createPlaces(buckets, minutes)
  const time = around([...buckets, ...minutes.map(minuteAt)]) ?? allTime
  const add = (key: string, isEdge: boolean, found: BucketContent) => {
    if (!isEdge) mergeOf(key, lastAtOrBefore(starts, found.bucketStartMs)).add({ ...found, edge: undefined })
    else for (const { row, edge } of edges.get(found.bucketStartMs)!) mergeOf(key, row).add({ ...found, edge })
  }
  const visit = (columns: unknown[], journal: JournalCollector<Source & { readonly key: string }>) => {
    const [
      key, isEdge, zone, deviceType, bucketStartS, count, min, max, body, lateMinutes, throughS
    ] = columns as Columns
    if (bucketStartS === null && zone !== null && body !== null) {
      for (const row of unpackRows(body)) {
        asker.countRead(1)
        add(key, isEdge, { zone, deviceType, ...row })
      }
      return
    }
    if (bucketStartS === null) {
      if (body === null) journal.addSeries(count, { key, zone, deviceType })
      else journal.addRow(body)
      return
    }
    const bucketStartMs = bucketStartS * 1000
    if (lateMinutes !== null) {
      const late = { hourMs: bucketStartMs, minutes: lateMinutes, throughMs: throughS * 1000 }
      for (const row of rowsRevisedBy(late, ranges, lastAtOrBefore(starts, bucketStartMs))) revised.get(key)!.add(row)
      return
    }
    add(key, isEdge, { zone, deviceType, bucketStartMs, count, min, max, body })
  }
  for (const piece of piecesOf(grantedOf(query.selection, query.groupBy, keys))) {
    const journal = createJournalCollector<Source & { readonly key: string }>(time)
    if (piece.granted && query.groupBy !== 'device') addGranted(journal, piece.granted, query.groupBy)
    const { name, sql, values } = statementFor({ ...query, selection: piece }, keys, plans, stretches, minutes)
    await database.streamPrepared(name, sql, values, columns => visit(columns, journal))
    journal.finish({
      readings: ({ key, ...source }, readings) => places.readings(readings, (bucketStartMs, isEdge, content) => {
        if (isEdge || query.kind === 'devices') add(key, isEdge, { ...source, bucketStartMs, content })
      }),
      rollup: ({ key, ...source }, minuteMs, rollup) => places.minute(minuteMs, (bucketStartMs, isEdge) => {
        if (!isEdge) add(key, false, { ...source, bucketStartMs, content: { rollup, readings: undefined } })
      })
    })
    asker.countRead(seriesOf(piece.granted))
  }

  const finished: MergedRows = new Map()
  for (const [key, rows] of merges) {
    const merged = new Map<number, MergedRow>()
    for (const [row, merge] of rows) {
      const turn = asker.pace()
      if (turn) await turn
      const it = merge.finish()
      if (it.rollup.count > 0) merged.set(row, { ...it, isRevised: revised.get(key)!.has(row) })
    }
    finished.set(key, merged)
  }
  return finished
}

type Columns = [
  key: string, isEdge: boolean, zone: string, deviceType: string,
  // null: packed rows, or of the journal: without a zone a row of it, without a body a series, with its id in count
  bucketStartS: number, count: number, min: number, max: number, body: Buffer,
  // only of late readings; then everything between the hour and these is null
  lateMinutes: bigint | null, throughS: number
]

const minuteAt = (startMs: number): TimeRange => ({ startMs, endMs: startMs + MINUTE_MS })

function addGranted (
  journal: JournalCollector<Source & { readonly key: string }>, { series }: Granted,
  groupBy: Exclude<GroupBy, 'device'> | undefined
): void {
  for (const { zone, type, ids } of series) {
    const source = { key: groupOfGranted({ zone, type }, groupBy), zone, deviceType: type }
    for (const id of ids) journal.addSeries(id, source)
  }
}

/** By minute: the row, and the edge of that row. */
function edgesByMinute (plans: readonly Plan[]): Map<number, Array<{ readonly row: number, readonly edge: number }>> {
  const byMinute = new Map<number, Array<{ row: number, edge: number }>>()
  for (const [row, plan] of plans.entries()) {
    for (const [edge, { bucketMs }] of plan.edges.entries() as Iterable<[number, Edge]>) {
      byMinute.set(bucketMs, [...byMinute.get(bucketMs) ?? [], { row, edge }])
    }
  }
  return byMinute
}

/** Ranges of each used level, with neighbours joined. */
function stretchesByLevel (plans: readonly Plan[]): Map<Level, TimeRange[]> {
  const byLevel = new Map<Level, TimeRange[]>()
  for (const { level, startMs, endMs } of plans.flatMap(it => it.buckets)) {
    const stretches = byLevel.get(level) ?? []
    byLevel.set(level, stretches)
    const last = stretches.at(-1)
    if (last?.endMs === startMs) stretches[stretches.length - 1] = { startMs: last.startMs, endMs }
    else stretches.push({ startMs, endMs })
  }
  return byLevel
}

function statementFor (
  { selection, groupBy, kind, marksRevised }: BucketQuery, keys: readonly string[], plans: readonly Plan[],
  stretches: ReadonlyMap<Level, TimeRange[]>, edgeMinutes: readonly number[]
) {
  const values: unknown[] = []
  const namesDevices = isFound(selection) || groupBy === 'device'
  const condition = seriesCondition(selection, values, namesDevices)
  const column = groupColumn(groupBy)
  const ofGroups = groupBy === undefined
    ? 'true'
    : `${groupKey(groupBy, namesDevices)} = any($${values.push(keys)}::text[])`
  const seriesOfKind = (kind: SeriesKind) => `${kindCondition(kind, namesDevices)} and ${condition} and ${ofGroups}`
  const seconds = (timesMs: readonly number[]) => `$${values.push(timesMs.map(it => it / 1000))}::float8[]`

  // of all windows together, so that the planner excludes other partitions
  const within = (startMs: number, endMs: number) => {
    const [start, end] = [startMs, endMs].map(it => `to_timestamp($${values.push(it / 1000)}::float8)`)
    return ` and r.bucket_start >= ${start} and r.bucket_start < ${end}`
  }

  /** @param packs whether the rows of a series and a window are one value */
  const arm = (table: string, isEdge: boolean, devices: boolean, windows: string, when: string, packs = false) => {
    // `offset 0` forces the planner to join by the primary key
    const rows = `select * from ${table} r where r.series_id = s.series_id and ${when} offset 0`
    const [numbers, found] = packs ? [packedColumns, packRows(rows)] : [plainColumns, rows]
    return `
    select ${column}, ${isEdge}, s.zone, s.device_type, ${numbers}, null::bigint, null::float8
    from series s cross join unnest(${windows}) as w (start_s, end_s) cross join lateral (${found}) r
    where ${seriesOfKind(devices ? 'devices' : 'groups')}`
  }

  const used = levels.filter(it => stretches.has(it))
  const packed: string[] = []
  const arms = used.map(level => {
    const ranges = stretches.get(level)!
    const windows = `${seconds(ranges.map(it => it.startMs))}, ${seconds(ranges.map(it => it.endMs))}`
    const bounds = within(ranges[0].startMs, ranges[ranges.length - 1].endMs)
    const packs = ranges.every(it => mayPack((it.endMs - it.startMs) / level.sizeMs, kind))
    if (packs) packed.push(level.name)
    return arm(level.table, false, kind === 'devices', windows,
      `r.bucket_start >= to_timestamp(w.start_s) and r.bucket_start < to_timestamp(w.end_s)${bounds}`, packs)
  })
  if (edgeMinutes.length > 0) {
    const minutes = seconds(edgeMinutes)
    arms.push(arm(minuteLevel.table, true, true, `${minutes}, ${minutes}`,
      `r.bucket_start = to_timestamp(w.start_s)${within(Math.min(...edgeMinutes), Math.max(...edgeMinutes) + MINUTE_MS)}`))
  }
  if (marksRevised && plans.length > 0) {
    const time = (timeMs: number) => `to_timestamp($${values.push(timeMs / 1000)})`
    const late = lateReadingsOf({ startMs: plans[0].coverage.startMs, endMs: plans.at(-1)!.coverage.endMs }, time)
    arms.push(`
    select ${column}, false, null, null, date_part('epoch', a.bucket_start), null, null, null, null, a.late_minutes,
      date_part('epoch', a.late_through)
    from series s cross join lateral (${late}) a
    where ${seriesOfKind(kind)}`)
  }
  const journals: string[] = []
  for (const whose of ['devices', 'groups'] as const) {
    const range = around([
      ...kind === whose ? [...stretches.values()].flat() : [], ...whose === 'devices' ? edgeMinutes.map(minuteAt) : []
    ])
    if (!range) continue
    const [startTime, endTime] = [range.startMs, range.endMs].map(it =>
      `to_timestamp($${values.push(it / 1000)}::float8)`)
    const rowColumns = 'null, false, null, null, null::float8, null::float8, null::float8, null::float8, j.body, ' +
      'null::bigint, null::float8'
    if (selection.granted && groupBy !== 'device') { // their ids are known
      arms.push(journalOfBlocks(
        `$${values.push(blocksOfGranted(selection.granted))}::integer[]`, { startTime, endTime }, rowColumns
      ))
      continue
    }
    const it = journalOfMany({
      kind: whose, series: `series s where ${seriesOfKind(whose)}`, startTime, endTime
    }, `journal_of_${whose}`,
      `${column}, false, s.zone, s.device_type, null::float8, s.series_id::float8, null::float8, null::float8, null::bytea, null::bigint, null::float8`,
      rowColumns)
    journals.push(it.blocks)
    arms.push(...it.arms)
  }
  const tables = used.map(it => it.name[0]).join('') + (edgeMinutes.length > 0 ? 'e' : '') + (marksRevised ? 'r' : '')
  const name = `buckets by ${groupBy ?? 'all'} of ${kind} where ${shapeOf(selection)} from ${tables}${packed.length === 0 ? '' : `, packed ${packed.join()}`}`
  return {
    name, sql: `${journals.length === 0 ? '' : `with ${journals.join(', ')}`}${arms.join('\n    union all')}`, values
  }
}
