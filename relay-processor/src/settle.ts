/**
 * Settling: what has arrived for the minutes of devices becomes rows.
 *
 *     arrived ──merge──▶ minute of the device (resends drop out here)
 *     fresh ──fold──▶ delta ──merge──▶ hour, day of the device; minute of its group ──▶ hour, day of the group
 *
 * So it is where a flush brings many readings of each series, as in a backlog. Where it brings few they are journaled first
 * (admit.ts). Windows that are not in memory were read back before (plan-flush.ts); all here is plain computation.
 *
 * Hot path: where each event opens a row, a row takes 5 us here, its share of hours, days and groups included. One
 * series follows the other, and of each one minute, hour and day are unpacked at a time: written when time has passed
 * them, they leave nothing behind but their bytes.
 */
import {
  bucketStartMs, emptyReadings, emptyRollup, firstAtOrAfter, foldReadings, levels, mergeReadings, mergeRollup, MINUTE_MS, sumReadings,
  type Readings, type Rollup
} from 'relay-common'

import { LateCounts, type LateCount } from './late-counts.ts'
import type { Arrivals } from './arrivals.ts'
import { EMPTY_ROW, unpackMinute, unpackRollup } from './packed-row.ts'
import { lateBeforeMs } from './misplaced.ts'
import { lagOf, type Partition } from './partition.ts'
import type { FlushRows } from './flush-rows.ts'
import type { Series } from './series-table.ts'
import type { RowOwner } from './windows.ts'
import { forgetLate, openWindow, type Window } from './windows.ts'

export interface SettleRules {
  /** a minute with more readings than this gives them up */
  readonly readingsPerRowMax: number
  readonly keepDuplicates: boolean
}

/** What settling has counted. */
export interface Settled {
  /** that were not there before */
  readonly readings: number
  /** resends */
  readonly duplicates: number
  /** that count in another partition */
  readonly misplaced: number
  /** what came late or again */
  readonly arrivals: readonly LateCount[]
}

const MINUTE = 0
const [, ...coarserIndexes] = levels.keys()

/** Where the readings of a series end, in sorted arrivals. */
export function endOfSeries ({ series, length }: Arrivals, start: number): number {
  let end = start + 1
  while (end < length && series[end] === series[start]) end++
  return end
}

/** Where the minute of a reading ends, in sorted arrivals. */
export function endOfMinute ({ series, timesMs, length }: Arrivals, start: number): number {
  const endMs = bucketStartMs(MINUTE_MS, timesMs[start]) + MINUTE_MS
  let end = start + 1
  while (end < length && series[end] === series[start] && timesMs[end] < endMs) end++
  return end
}

/**
 * Settles what has arrived in a partition, which is sorted; every window that it touches is known, every series has its id,
 * and nothing of it is in the journal.
 * @param rows where rows go; windows whose readings were all there before have none
 */
export function settle (partition: Partition, rules: SettleRules, rows: FlushRows, flushNumber: number): Settled {
  const { arrivals, series: table } = partition
  const { series: indexes, timesMs, length } = arrivals
  let readings = 0
  let duplicates = 0
  let misplaced = 0
  const counts = new LateCounts()
  const groupDeltas = new Map<Series, Deltas>()
  const coarser = new OpenRollups(rows)

  for (let start = 0; start < length;) {
    const series = table.at(indexes[start])
    series.lastFlush = flushNumber
    if (series.homePartition !== undefined) {
      const end = endOfSeries(arrivals, start)
      partition.misplaced.add(series.homePartition, series.seriesId, arrivals, start, end, partition.settledTimeMaxMs)
      misplaced += end - start
      start = end
      continue
    }
    const ofGroup = deltasOf(groupDeltas, series.group!)
    for (const index = indexes[start]; start < length && indexes[start] === index;) {
      const end = endOfMinute(arrivals, start)
      const window = openWindow(series, MINUTE, timesMs[start])
      const delta = settleMinute(window, arrivals, start, end, rules, rows)
      const again = end - start - delta.count
      readings += delta.count
      duplicates += again
      counts.add(series, window.bucketMs, delta.count, again, lateBeforeMs(partition, indexes[start], window.bucketMs))
      if (delta.count > 0) {
        for (const level of coarserIndexes) coarser.add(series, level, delta)
        mergeRollup(deltaOf(ofGroup, window.bucketMs), delta)
      }
      start = end
    }
    coarser.write()
    close(series, timesMs[start - 1])
  }

  for (const [group, deltas] of groupDeltas) {
    const inOrder = [...deltas].sort(([aMs], [bMs]) => aMs - bMs)
    for (const [, delta] of inOrder) for (const level of levels.keys()) coarser.add(group, level, delta)
    coarser.write()
    close(group, inOrder.at(-1)?.[1].lastMs ?? -Infinity) // none: all of it was there before
  }
  arrivals.clear(lagOf(partition))
  partition.returnedSettledMs.clear()
  partition.settledTimeMaxMs = partition.eventTimeMaxMs
  return { readings, duplicates, misplaced, arrivals: counts.all() }
}

/** @param newestMs newest time that was settled: a window that begins later is new from now on */
function close (series: Series, newestMs: number): void {
  if (newestMs > series.settledMaxMs) {
    series.settledMaxMs = newestMs
    series.settledMaxValue = NaN
  }
  series.rowsMaxMs = Math.max(series.rowsMaxMs, newestMs)
  forgetLate(series)
}

/** Adds what has arrived in a minute of a device. @returns a rollup of what was not there before */
function settleMinute (
  window: Window, { timesMs, values }: Arrivals, start: number, end: number, rules: SettleRules, rows: FlushRows
): Rollup {
  const arrived = emptyReadings()
  for (let n = start; n < end; n++) {
    arrived.timesMs.push(timesMs[n])
    arrived.values.push(values[n])
  }
  const own = rules.keepDuplicates || window.elsewhere === undefined ? arrived : readingsWithout(arrived, window.elsewhere)
  return addToMinute(window, own, rules.keepDuplicates, rules.readingsPerRowMax, rows)
}

/**
 * Adds readings to the minute of a device.
 * @param arrived given away
 * @param readingsMax a minute that has more gives them up
 * @returns a rollup of what was not there before
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

/** Readings but for those that are in others as well, which are sorted. */
export function readingsWithout ({ timesMs, values }: Readings, others: Readings): Readings {
  const kept = [...timesMs.keys()].filter(n => !has(others, timesMs[n], values[n]))
  return { timesMs: kept.map(n => timesMs[n]), values: kept.map(n => values[n]) }
}

function has ({ timesMs, values }: Readings, timeMs: number, value: number): boolean {
  const start = firstAtOrAfter(timesMs, timeMs)
  const end = firstAtOrAfter(timesMs, timeMs + 1, start) // times are whole; clocks of whole minutes have many readings at one
  const at = firstAtOrAfter(values, value, start, end)
  return at < end && values[at] === value
}

/** The windows of a series that deltas are merged into, one of each level: the order of time, please. */
export class OpenRollups {
  readonly #rows: FlushRows
  readonly #open: Array<{ readonly window: Window, readonly rollup: Rollup } | undefined> = levels.map(() => undefined)

  constructor (rows: FlushRows) {
    this.#rows = rows
  }

  /** @param delta of one minute */
  add (series: RowOwner, levelIndex: number, delta: Rollup): void {
    let open = this.#open[levelIndex]
    if (open === undefined || delta.firstMs >= open.window.bucketMs + levels[levelIndex].sizeMs) {
      if (open !== undefined) this.#rows.addRollup(open.window, open.rollup)
      const window = openWindow(series, levelIndex, delta.firstMs)
      open = this.#open[levelIndex] = { window, rollup: unpackRollup(window.packed!, window.bucketMs) }
    }
    mergeRollup(open.rollup, delta)
  }

  /** Writes what is open: the series is done. */
  write (): void {
    for (const [index, open] of this.#open.entries()) {
      if (open !== undefined) this.#rows.addRollup(open.window, open.rollup)
      this.#open[index] = undefined
    }
  }
}

/** By bucket, what is new in the minutes of a group. */
type Deltas = Map<number, Rollup>

function deltasOf (groups: Map<Series, Deltas>, group: Series): Deltas {
  let deltas = groups.get(group)
  if (!deltas) groups.set(group, deltas = new Map())
  return deltas
}

function deltaOf (deltas: Deltas, bucketMs: number): Rollup {
  let delta = deltas.get(bucketMs)
  if (!delta) deltas.set(bucketMs, delta = emptyRollup())
  return delta
}
