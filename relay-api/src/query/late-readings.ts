/** Late readings and duplicates (`arrival_counts`, by series and hour): their counts, and when late ones arrived. */
import type { Database } from 'relay-common'
import { HOUR_MS, type TimeRange } from 'relay-rollups'

import {
  isFound, kindCondition, selectsDevices, seriesCondition, shapeOf, type Selection
} from '../parameters/selection.ts'
import { piecesOf } from './pieces.ts'

export interface ArrivalTotals {
  readonly late: number
  readonly duplicates: number
}

/** Late readings of a series in an hour. */
export interface LateReadings {
  readonly hourMs: number
  /** bit n: the n-th minute has late readings */
  readonly minutes: bigint
  /** latest event time to which the source partition had been read when one of them arrived */
  readonly throughMs: number
}

/**
 * SELECT of the rows of `arrival_counts` with late readings of a series `s`, for the hours that overlap a range.
 * @param time converts a time in ms into an SQL expression
 * @param bounds further conditions, for the planner
 */
export function lateReadingsOf ({ startMs, endMs }: TimeRange, time: (timeMs: number) => string, bounds = ''): string {
  // `offset 0`, as in rows-statement.ts: by the primary key, one series at a time
  return `
      select * from arrival_counts a where a.series_id = s.series_id and a.late_minutes <> 0
        and a.bucket_start > ${time(startMs - HOUR_MS)} and a.bucket_start < ${time(endMs)}${bounds} offset 0`
}

/**
 * SELECT of the counts `late` and `duplicates` of a series `s`: sums of its rows of `arrival_counts`.
 * @param after SQL of the time after which hours start
 * @param before SQL of the time before which they start
 * @param bounds further conditions, for the planner
 */
export function arrivalTotalsOf (after: string, before: string, bounds = ''): string {
  // `offset 0`: as above
  return `
        select sum(late) as late, sum(duplicates) as duplicates from arrival_counts a
        where a.series_id = s.series_id and a.bucket_start > ${after} and a.bucket_start < ${before}${bounds} offset 0`
}

/** Counts late readings and duplicates of a selection, in all hours that overlap a range. */
export async function readArrivalTotals (
  database: Database, selection: Selection, range: TimeRange
): Promise<ArrivalTotals> {
  const total = { late: 0, duplicates: 0 }
  for (const piece of piecesOf(selection)) {
    const { late, duplicates } = await readArrivalsOf(database, piece, range)
    total.late += late
    total.duplicates += duplicates
  }
  return total
}

/** Series of a page: one statement looks for the hours of so many. */
const PAGE_SERIES = 2_000

async function readArrivalsOf (
  database: Database, selection: Selection, { startMs, endMs }: TimeRange
): Promise<ArrivalTotals> {
  // which are named, or were found and cut into pieces before; groups may be many
  const isOfDevices = selectsDevices(selection)
  const total = { late: 0, duplicates: 0 }
  for (let after: Page = { zone: '', type: '' }; ;) {
    const values: unknown[] = [(startMs - HOUR_MS) / 1000, endMs / 1000]
    const condition = seriesCondition(selection, values)
    const isBehind = `(s.zone, s.device_type) > ($${values.length + 1}::text, $${values.length + 2}::text)`
    if (!isOfDevices) values.push(after.zone, after.type)
    const page = isOfDevices ? '' : `and ${isBehind} order by s.zone, s.device_type limit ${PAGE_SERIES}`
    // as in read-buckets.ts: by the primary key, a series at a time
    const [read] = await database.queryPrepared<ArrivalTotals & Page & { series: number }>(`arrivals ${shapeOf(selection)}`, `
      with page as materialized (
        select s.series_id, s.zone, s.device_type from series s
        where ${kindCondition(isOfDevices ? 'devices' : 'groups', isFound(selection))} and ${condition} ${page})
      select coalesce(sum(a.late), 0)::float8 as late, coalesce(sum(a.duplicates), 0)::float8 as duplicates, count(*)::integer as series,
        max(s.zone) as zone, (select max(device_type) from page where zone = (select max(zone) from page)) as type
      from page s cross join lateral (${arrivalTotalsOf('to_timestamp($1)', 'to_timestamp($2)')}) a`, values)
    total.late += read.late
    total.duplicates += read.duplicates
    if (isOfDevices || read.series < PAGE_SERIES) return total
    after = read
  }
}

/** Where a page of groups ends. */
interface Page {
  readonly zone: string
  readonly type: string
}
