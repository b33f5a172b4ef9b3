/**
 * The readings of a device's minute: duplicates drop out, and a minute with too many (`READINGS_PER_ROW_MAX`) stores
 * only its rollup.
 */
import {
  emptyReadings, emptyRollup, firstAtOrAfter, foldReadings, mergeReadings, mergeRollup, sumReadings, type Readings,
  type Rollup
} from 'relay-rollups'

import type { FlushRows } from './flush-rows.ts'
import { EMPTY_ROW, unpackMinute } from './packed-row.ts'
import type { Window } from './windows.ts'

/**
 * Adds readings to a device's minute.
 * @param arrived ownership passes here
 * @param readingsMax a minute with more no longer stores them
 * @returns a rollup of the new readings
 */
export function addToMinute (
  window: Window, arrived: Readings, keepDuplicates: boolean, readingsMax: number, rows: FlushRows
): Rollup {
  const isFirst = window.packed === EMPTY_ROW
  const content = unpackMinute(window.packed!, window.bucketMs)
  const before = content.kind === 'readings' ? content.readings : emptyReadings()
  const { merged, fresh } = mergeReadings(before, arrived, keepDuplicates)
  const delta = emptyRollup()
  foldReadings(delta, fresh)
  if (delta.count === 0) return delta

  if (content.kind === 'rollup') {
    mergeRollup(content.rollup, delta)
    rows.addRollup(window, content.rollup)
  } else if (merged.timesMs.length <= readingsMax) {
    rows.addReadings(window, merged, isFirst ? delta : sumReadings(merged))
  } else {
    const total = isFirst ? delta : emptyRollup()
    if (!isFirst) foldReadings(total, merged)
    rows.addRollup(window, total)
  }
  return delta
}

/** Readings without those that `others`, which are sorted, also have. */
export function readingsWithout ({ timesMs, values }: Readings, others: Readings): Readings {
  const kept = [...timesMs.keys()].filter(n => !has(others, timesMs[n], values[n]))
  return { timesMs: kept.map(n => timesMs[n]), values: kept.map(n => values[n]) }
}

function has ({ timesMs, values }: Readings, timeMs: number, value: number): boolean {
  const start = firstAtOrAfter(timesMs, timeMs)
  // times are whole; clocks without seconds give many readings at one time
  const end = firstAtOrAfter(timesMs, timeMs + 1, start)
  const at = firstAtOrAfter(values, value, start, end)
  return at < end && values[at] === value
}
