/**
 * Settling: what has arrived for the minutes of devices becomes rollups.
 *
 *     arrived ──merge──▶ minute of the device (resends drop out here)
 *     fresh ──fold──▶ delta ──merge──▶ hour, day of the device; minute of its group ──▶ hour, day of the group
 *
 * Two steps, since windows that are not in memory must be read back in between: openTargets, then settle. Both are
 * plain computation.
 */
import {
  bucketStartMs, emptyReadings, emptyRollup, foldReadings, levels, mergeReadings, mergeRollup, MINUTE_MS, type Level,
  type Rollup
} from 'relay-common'

import { ArrivalCounts, type ArrivalCount } from './arrival-counts.ts'
import type { Arrivals } from './arrivals.ts'
import type { Partition } from './partition.ts'
import type { Series } from './series-table.ts'
import { createMinute, createRollupWindow, type KeptMinute, type MinuteWindow, type RollupWindow } from './windows.ts'

export interface SettleRules {
  /** a minute with more readings than this gives them up */
  readonly readingsPerRowMax: number
  readonly keepDuplicates: boolean
}

/** What a flush of one partition has to write. */
export interface Settled {
  /** minutes of devices, with a rollup of all that is in them */
  readonly minutes: Array<{ readonly window: MinuteWindow, readonly total: Rollup }>
  readonly rollups: RollupWindow[]
  /** readings that counted, and resends that did not */
  readonly readings: number
  readonly duplicates: number
  /** what came late or again */
  readonly arrivals: readonly ArrivalCount[]
}

/** A minute in which readings have arrived, and where they are in the sorted arrivals of its partition. */
export interface DirtyMinute {
  readonly window: MinuteWindow
  readonly start: number
  readonly end: number
}

const [, ...coarserLevels] = levels

/** The windows that settling a partition will change and that must be read back first. */
export interface Unknown {
  readonly minutes: MinuteWindow[]
  readonly rollups: RollupWindow[]
}

/** Opens every window that what has arrived in a partition counts in, and says which are not known yet. */
export function openTargets (partition: Partition): Unknown {
  partition.arrivals.sort(partition.series.size)
  partition.dirtyMinutes = dirtyMinutesOf(partition)
  const minutes = partition.dirtyMinutes.map(it => it.window).filter(it => it.kept === undefined)
  const rollups = new Set<RollupWindow>()
  for (const { window: { series, bucketMs } } of partition.dirtyMinutes) {
    for (const window of targetsOf(series, bucketMs)) if (window.rollup === undefined) rollups.add(window)
  }
  return { minutes, rollups: [...rollups] }
}

/** @param partition its arrivals are sorted */
function dirtyMinutesOf ({ arrivals, series: table }: Partition): DirtyMinute[] {
  const { series, timesMs, length } = arrivals
  const dirty: DirtyMinute[] = []
  for (let start = 0, end; start < length; start = end) {
    const bucketMs = bucketStartMs(MINUTE_MS, timesMs[start])
    for (end = start + 1; end < length && series[end] === series[start] && timesMs[end] < bucketMs + MINUTE_MS;) end++
    const ofSeries = table.at(series[start])
    let window = ofSeries.minutes.find(bucketMs)
    if (window === undefined) ofSeries.minutes.add(window = createMinute(ofSeries, bucketMs))
    window.isDirty = true
    dirty.push({ window, start, end })
  }
  return dirty
}

function * targetsOf (series: Series, bucketMs: number): Generator<RollupWindow> {
  for (const level of coarserLevels) yield openRollup(series, level, bucketMs)
  if (series.group) for (const level of levels) yield openRollup(series.group, level, bucketMs)
}

function openRollup (series: Series, level: Level, timeMs: number): RollupWindow {
  const bucketMs = bucketStartMs(level.sizeMs, timeMs)
  const windows = series.rollups[levels.indexOf(level)]
  let window = windows.find(bucketMs)
  if (window === undefined) windows.add(window = createRollupWindow(series, level, bucketMs))
  return window
}

/**
 * Settles what has arrived in a partition. Every window that it touches must be known.
 * @returns what has to be written; windows whose readings were all there before are not among it
 */
export function settle (partition: Partition, rules: SettleRules, flushNumber: number): Settled {
  const settled = { minutes: [] as Settled['minutes'], rollups: [] as RollupWindow[], readings: 0, duplicates: 0 }
  const arrivals = new ArrivalCounts()
  const groupDeltas = new Map<Series, Map<number, Rollup>>()
  const newestMs = new Map<Series, number>()

  for (const dirty of partition.dirtyMinutes) {
    const { window } = dirty
    const { series, bucketMs } = window
    window.isDirty = false
    series.lastFlush = flushNumber
    const { delta, total, duplicates } = settleMinute(dirty, partition.arrivals, rules)
    settled.duplicates += duplicates
    settled.readings += delta.count
    arrivals.add(series, bucketMs, delta.count, duplicates, partition.settledTimeMaxMs)
    if (delta.count === 0) continue

    settled.minutes.push({ window, total })
    for (const level of coarserLevels) addTo(openRollup(series, level, bucketMs), delta, settled.rollups)
    if (series.group) mergeRollup(deltaOf(groupDeltas, series.group, bucketMs), delta)
    newestMs.set(series, Math.max(newestMs.get(series) ?? -Infinity, delta.lastMs))
  }

  for (const [group, deltas] of groupDeltas) {
    for (const [bucketMs, delta] of deltas) {
      for (const level of levels) addTo(openRollup(group, level, bucketMs), delta, settled.rollups)
      newestMs.set(group, Math.max(newestMs.get(group) ?? -Infinity, delta.lastMs))
    }
  }

  // only now: a window that was opened above is new if nothing as late was settled *before*
  for (const [series, timeMs] of newestMs) series.settledMaxMs = Math.max(series.settledMaxMs, timeMs)
  for (const window of settled.rollups) window.isDirty = false
  for (const { window } of partition.dirtyMinutes) forgetOlder(window.series)
  partition.dirtyMinutes = []
  partition.arrivals.clear()
  partition.settledTimeMaxMs = partition.eventTimeMaxMs
  return { ...settled, arrivals: arrivals.all() }
}

/** Keeps the newest windows of a series and its group; a reading that comes later than these has them read back. */
function forgetOlder (series: Series): void {
  series.minutes.forgetOlder()
  for (const windows of series.rollups) windows.forgetOlder()
  if (series.group) forgetOlder(series.group)
}

interface SettledMinute {
  /** the readings that were not there before */
  readonly delta: Rollup
  /** all readings of the minute */
  readonly total: Rollup
  readonly duplicates: number
}

function settleMinute ({ window, start, end }: DirtyMinute, { timesMs, values }: Arrivals, rules: SettleRules): SettledMinute {
  const arrived = emptyReadings()
  for (let n = start; n < end; n++) {
    arrived.timesMs.push(timesMs[n])
    arrived.values.push(values[n])
  }
  const kept = window.kept as KeptMinute
  const before = kept.kind === 'readings' ? kept.readings : emptyReadings()
  const wasEmpty = before.timesMs.length === 0
  const { merged, fresh, duplicates } = mergeReadings(before, arrived, rules.keepDuplicates)
  const delta = emptyRollup()
  foldReadings(delta, fresh)

  if (kept.kind === 'rollup') {
    mergeRollup(kept.rollup, delta)
    return { delta, total: kept.rollup, duplicates }
  }
  let total = delta
  if (!wasEmpty && delta.count > 0) foldReadings(total = emptyRollup(), merged)
  if (merged.timesMs.length > rules.readingsPerRowMax) {
    // a copy: `delta` goes on to other windows, and the kept rollup will change
    const rollup = emptyRollup()
    mergeRollup(rollup, total)
    window.kept = { kind: 'rollup', rollup }
  }
  return { delta, total, duplicates }
}

function addTo (window: RollupWindow, delta: Rollup, dirty: RollupWindow[]): void {
  mergeRollup(window.rollup as Rollup, delta)
  if (window.isDirty) return
  window.isDirty = true
  dirty.push(window)
}

function deltaOf (deltas: Map<Series, Map<number, Rollup>>, group: Series, bucketMs: number): Rollup {
  let ofGroup = deltas.get(group)
  if (!ofGroup) deltas.set(group, ofGroup = new Map())
  let delta = ofGroup.get(bucketMs)
  if (!delta) ofGroup.set(bucketMs, delta = emptyRollup())
  return delta
}
