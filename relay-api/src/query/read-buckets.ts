/**
 * Reads the rollups of consecutive rows of an answer, for some groups at once, in one statement: so all numbers of
 * these rows are of one moment. Where a caller may see some devices alone it is a statement for each piece of them
 * (`granted.ts`).
 *
 * Each row has a plan of its own (`plan.ts`), the fewest buckets that make it; plans of neighbours that use one level
 * are read as one stretch. Every arm walks the primary key, once a series and stretch.
 */
import { levels, MINUTE_MS, minuteLevel, type Database, type Level } from 'relay-common'

import { isFound, kindCondition, seriesCondition, shapeOf, type Selection } from '../parameters/selection.ts'
import { nobody, type Asker } from './asker.ts'
import { lateReadingsOf, rowsRevisedBy } from './arrivals.ts'
import { lastAtOrBefore } from './ascending.ts'
import { grantedOf, piecesOf, seriesOf } from './granted.ts'
import { groupColumn, groupKey, type GroupBy, type SeriesKind } from './groups.ts'
import { createMerge, type Merge, type Merged } from './merge.ts'
import { planRange, type Edge, type Plan, type TimeRange } from './plan.ts'

export interface BucketQuery {
  readonly selection: Selection
  readonly groupBy: GroupBy | undefined
  /** of which series whole buckets are read; edges are always cut out of the minutes of devices */
  readonly kind: SeriesKind
  /** whether to say which rows were revised; else none is said to be */
  readonly marksRevised?: boolean
}

export interface MergedRow extends Merged {
  /** readings came late, or a replay put it right: it was changed after it may have been final */
  readonly isRevised: boolean
}

export function planRows (boundaries: { at (n: number): number | undefined }, first: number, end: number): Plan[] {
  const plans: Plan[] = []
  for (let row = first; row < end; row++) {
    plans.push(planRange({ startMs: boundaries.at(row)!, endMs: boundaries.at(row + 1)! }))
  }
  return plans
}

/** By group, and by row in it: what has readings. */
export type MergedRows = Map<string, Map<number, MergedRow>>

/**
 * Reads what a plan a row asks for.
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
    if (merge === undefined) rows.set(row, merge = createMerge(plans[row]))
    return merge
  }

  const revised = new Map(keys.map(key => [key, new Set<number>()]))
  const ranges = plans.map(it => it.coverage)
  const starts = ranges.map(it => it.startMs)
  const edges = edgesByMinute(plans)
  const visit = (columns: unknown[]) => {
    const [key, isEdge, zone, deviceType, bucketStartS, count, min, max, body, lateMinutes, throughS] = columns as Columns
    const bucketStartMs = bucketStartS * 1000
    if (lateMinutes !== null) {
      const late = { hourMs: bucketStartMs, minutes: lateMinutes, throughMs: throughS * 1000 }
      for (const row of rowsRevisedBy(late, ranges, lastAtOrBefore(starts, bucketStartMs))) revised.get(key)!.add(row)
      return
    }
    const found = { zone, deviceType, bucketStartMs, count, min, max, body }
    if (!isEdge) {
      mergeOf(key, lastAtOrBefore(starts, bucketStartMs)).add({ ...found, edge: undefined })
      return
    }
    for (const { row, edge } of edges.get(bucketStartMs)!) mergeOf(key, row).add({ ...found, edge })
  }
  for (const piece of piecesOf(grantedOf(query.selection, query.groupBy, keys))) {
    const { name, sql, values } = statementFor({ ...query, selection: piece }, keys, plans, [...edges.keys()])
    await database.streamPrepared(name, sql, values, visit)
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
  key: string, isEdge: boolean, zone: string, deviceType: string, bucketStartS: number, count: number, min: number,
  max: number, body: Buffer,
  // of late readings alone, and then all between the hour and these is null
  lateMinutes: bigint | null, throughS: number
]

/** By the minute that they are parts of: of which row, and which of the row's edges. */
function edgesByMinute (plans: readonly Plan[]): Map<number, Array<{ readonly row: number, readonly edge: number }>> {
  const byMinute = new Map<number, Array<{ row: number, edge: number }>>()
  for (const [row, plan] of plans.entries()) {
    for (const [edge, { bucketMs }] of plan.edges.entries() as Iterable<[number, Edge]>) {
      byMinute.set(bucketMs, [...byMinute.get(bucketMs) ?? [], { row, edge }])
    }
  }
  return byMinute
}

/** Stretches of each level that is used, neighbours joined. */
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
  edgeMinutes: readonly number[]
) {
  const values: unknown[] = []
  const namesDevices = isFound(selection) || groupBy === 'device'
  const condition = seriesCondition(selection, values, namesDevices)
  const ofKind = (kind: SeriesKind) => kindCondition(kind, namesDevices)
  const column = groupColumn(groupBy)
  const ofGroups = groupBy === undefined ? 'true' : `${groupKey(groupBy, namesDevices)} = any($${values.push(keys)}::text[])`
  const seconds = (timesMs: readonly number[]) => `$${values.push(timesMs.map(it => it / 1000))}::float8[]`

  // of all windows together, for the planner: it leaves out partitions that none of them is in
  const within = (startMs: number, endMs: number) => {
    const [start, end] = [startMs, endMs].map(it => `to_timestamp($${values.push(it / 1000)}::float8)`)
    return ` and r.bucket_start >= ${start} and r.bucket_start < ${end}`
  }

  // `offset 0` keeps the planner from joining in any other way than by the primary key
  const arm = (table: string, isEdge: boolean, devices: boolean, windows: string, when: string) => `
    select ${column}, ${isEdge}, s.zone, s.device_type, date_part('epoch', r.bucket_start), r.count::float8,
      r.min, r.max, r.body, null::bigint, null::float8
    from series s cross join unnest(${windows}) as w (start_s, end_s) cross join lateral (
      select * from ${table} r where r.series_id = s.series_id and ${when} offset 0) r
    where ${ofKind(devices ? 'devices' : 'groups')} and ${condition} and ${ofGroups}`

  const stretches = stretchesByLevel(plans)
  const used = levels.filter(it => stretches.has(it))
  const arms = used.map(level => {
    const ranges = stretches.get(level)!
    const windows = `${seconds(ranges.map(it => it.startMs))}, ${seconds(ranges.map(it => it.endMs))}`
    const bounds = within(ranges[0].startMs, ranges[ranges.length - 1].endMs)
    return arm(level.table, false, kind === 'devices', windows,
      `r.bucket_start >= to_timestamp(w.start_s) and r.bucket_start < to_timestamp(w.end_s)${bounds}`)
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
    where ${ofKind(kind)} and ${condition} and ${ofGroups}`)
  }
  const tables = used.map(it => it.name[0]).join('') + (edgeMinutes.length > 0 ? 'e' : '') + (marksRevised ? 'r' : '')
  const name = `buckets by ${groupBy ?? 'all'} of ${kind} where ${shapeOf(selection)} from ${tables}`
  return { name, sql: arms.join('\n    union all'), values }
}
