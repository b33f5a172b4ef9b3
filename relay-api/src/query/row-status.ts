/**
 * The status of a row: provisional until everything up to its end was read, then final, or revised.
 *
 *     a row that ends at e is revised    ◀──  a late reading in one of its minutes arrived after its source partition
 *                                             had been read to e; or a replay changed one of its minutes after e
 *
 * Exact for rows of a minute and of whole hours. Other rows in the same hour share the latest of its times: a row may
 * be marked revised because of a late reading in a neighbouring row.
 */
import { HOUR_MS, MINUTE_MS, type TimeRange } from 'relay-rollups'

import type { LateReadings } from './late-readings.ts'

export const rowStatuses = ['final', 'provisional', 'revised'] as const

export type RowStatus = typeof rowStatuses[number]

/** @param completeThroughMs event time up to which everything was read; undefined: unknown */
export function rowStatusOf (
  { endMs, isRevised }: { readonly endMs: number, readonly isRevised: boolean }, completeThroughMs: number | undefined
): RowStatus {
  if (completeThroughMs === undefined || endMs > completeThroughMs) return 'provisional'
  return isRevised ? 'revised' : 'final'
}

/**
 * The rows of an answer that late readings have revised.
 * @param ranges of the rows, ascending, without overlap
 * @param first index of the first range that does not end before the hour
 */
export function * rowsRevisedBy (
  { hourMs, minutes, throughMs }: LateReadings, ranges: readonly TimeRange[], first: number
): Generator<number> {
  for (let row = first; row < ranges.length && ranges[row].startMs < hourMs + HOUR_MS; row++) {
    const { startMs, endMs } = ranges[row]
    if (endMs <= throughMs && (minutes & minutesOf(hourMs, startMs, endMs)) !== 0n) yield row
  }
}

/** The minutes of an hour that a range overlaps, one bit each. */
function minutesOf (hourMs: number, startMs: number, endMs: number): bigint {
  const first = Math.floor(Math.max(startMs - hourMs, 0) / MINUTE_MS)
  const end = Math.ceil(Math.min(endMs - hourMs, HOUR_MS) / MINUTE_MS)
  return end <= first ? 0n : ((1n << BigInt(end - first)) - 1n) << BigInt(first)
}
