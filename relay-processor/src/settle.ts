/**
 * Settle: arrivals of devices' minutes become rows.
 *
 *     arrived ──merge──▶ minute of the device (resends drop out here)
 *     fresh ──fold──▶ delta ──merge──▶ hour, day of the device; minute of its group ──▶ hour, day of the group
 *
 * This is for flushes with many readings per series, as in a backlog. Flushes with few are journaled first (admit.ts).
 * Missing windows were read back before (plan-flush.ts); this file only computes.
 *
 * Hot path: if each event opens a row, a row takes 5 us, including its share of hours, days and groups. Series are
 * settled one by one, with one minute, hour and day unpacked at a time. Once time has passed them, they are written,
 * and only their bytes remain.
 */
import { bucketStartMs, emptyReadings, emptyRollup, levels, mergeRollup, MINUTE_MS, type Rollup } from 'relay-rollups'

import { LateCounts, type LateCount } from './late-counts.ts'
import type { Arrivals } from './arrivals.ts'
import { addToMinute, readingsWithout } from './minute-readings.ts'
import { lateBeforeMs } from './misplaced.ts'
import { unpackRollup } from './packed-row.ts'
import { lagOf, type Partition } from './partition.ts'
import type { FlushRows } from './flush-rows.ts'
import type { Series } from './series-table.ts'
import type { RowOwner } from './windows.ts'
import { forgetLate, openWindow, type Window } from './windows.ts'

export interface SettleRules {
  /** a minute with more readings no longer stores them */
  readonly readingsPerRowMax: number
  readonly keepDuplicates: boolean
}

/** Counts of a settling. */
export interface Settled {
  /** new readings */
  readonly readings: number
  /** duplicates */
  readonly duplicates: number
  /** readings that count in another partition */
  readonly misplaced: number
  /** late readings and duplicates */
  readonly arrivals: readonly LateCount[]
}

const MINUTE = 0
const [, ...coarserIndexes] = levels.keys()

/** End of the readings of a series, in sorted arrivals. */
export function endOfSeries ({ series, length }: Arrivals, start: number): number {
  let end = start + 1
  while (end < length && series[end] === series[start]) end++
  return end
}

/** End of the minute of a reading, in sorted arrivals. */
export function endOfMinute ({ series, timesMs, length }: Arrivals, start: number): number {
  const endMs = bucketStartMs(MINUTE_MS, timesMs[start]) + MINUTE_MS
  let end = start + 1
  while (end < length && series[end] === series[start] && timesMs[end] < endMs) end++
  return end
}

/**
 * Settles the sorted arrivals of a partition. All windows that they touch are known, all series have an id, and the
 * journal has none of them.
 * @param rows receives the rows; windows without new readings have none
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
    close(group, inOrder.at(-1)?.[1].lastMs ?? -Infinity) // none: all readings were known
  }
  arrivals.clear(lagOf(partition))
  partition.returnedSettledMs.clear()
  partition.settledTimeMaxMs = partition.eventTimeMaxMs
  return { readings, duplicates, misplaced, arrivals: counts.all() }
}

/** @param newestMs newest settled time: later windows are new from now on */
function close (series: Series, newestMs: number): void {
  if (newestMs > series.settledMaxMs) {
    series.settledMaxMs = newestMs
    series.settledMaxValue = NaN
  }
  series.rowsMaxMs = Math.max(series.rowsMaxMs, newestMs)
  forgetLate(series)
}

/** Adds the arrivals of a device's minute. @returns a rollup of the new readings */
function settleMinute (
  window: Window, { timesMs, values }: Arrivals, start: number, end: number, rules: SettleRules, rows: FlushRows
): Rollup {
  const arrived = emptyReadings()
  for (let n = start; n < end; n++) {
    arrived.timesMs.push(timesMs[n])
    arrived.values.push(values[n])
  }
  const own = rules.keepDuplicates || window.elsewhere === undefined
    ? arrived
    : readingsWithout(arrived, window.elsewhere)
  return addToMinute(window, own, rules.keepDuplicates, rules.readingsPerRowMax, rows)
}

/** The windows of a series that deltas are merged into, one per level. Call it in the order of time. */
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

  /** Writes the open windows: the series is done. */
  write (): void {
    for (const [index, open] of this.#open.entries()) {
      if (open !== undefined) this.#rows.addRollup(open.window, open.rollup)
      this.#open[index] = undefined
    }
  }
}

/** By bucket, new readings in the minutes of a group. */
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
