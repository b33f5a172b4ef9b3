/**
 * Plans the flush of a partition: whether arrivals become rows directly or are journaled, which blocks of the journal
 * become rows, and which windows must be read back for that.
 *
 *     many readings of each series: a backlog     rows, and all of the journal with them
 *     few: a live fleet                           the journal; blocks that are due become rows
 */
import { bucketStartMs, deviceBlockOf, groupBlockOf, kindOfBlock, lateBlockOf, levels, MINUTE_MS } from 'relay-rollups'

import { emptyBlock, LATE_MS, type DueBlock } from './journal.ts'
import { addReadings } from './journal-block.ts'
import type { Partition } from './partition.ts'
import type { Series } from './series-table.ts'
import type { RowOwner } from './windows.ts'
import { endOfMinute, type SettleRules } from './settle.ts'
import { findUnknown, type Window } from './windows.ts'

/** The arrivals of a partition, before anything is read. */
export interface Arrived {
  /** of devices: each is a row, and opens or changes some others */
  readonly minutes: number
  readonly series: number
  /** series without an id */
  readonly unnamed: ReadonlySet<Series>
}

export interface JournalPlan {
  readonly kind: 'journal'
  readonly due: readonly DueBlock[]
  /** empty blocks are due as well */
  readonly isAllDue: boolean
  /** windows that must be read back */
  readonly unknown: ReadonlySet<Window>
}

export type FlushPlan = JournalPlan | { readonly kind: 'rows', readonly unknown: ReadonlySet<Window> }

/** Sorts the arrivals of a partition, and lists their content. */
export function findArrived ({ arrivals, series: table }: Partition): Arrived {
  arrivals.sort(table.size)
  const unnamed = new Set<Series>()
  let minutes = 0
  let series = 0
  for (let start = 0, end; start < arrivals.length; start = end) {
    end = endOfMinute(arrivals, start)
    minutes++
    if (start > 0 && arrivals.series[start] === arrivals.series[start - 1]) continue
    series++
    const it = table.at(arrivals.series[start])
    if (it.seriesId === 0) unnamed.add(it)
    if (it.homePartition === undefined && it.group!.seriesId === 0) unnamed.add(it.group!)
  }
  return { minutes, series, unnamed }
}

/** Plans the flush of a partition whose series have ids. Blocks that it takes from the journal belong to the flush. */
export function planFlush (partition: Partition, { series }: Arrived, rules: SettleRules, steadyMs: number): FlushPlan {
  const { arrivals, journal } = partition
  const isAllDue = journal.isPassed(arrivals.length, series)
  const unknown = new Set<Window>()
  const need = (owner: RowOwner, levelIndex: number, timeMs: number) => {
    const window = findUnknown(owner, levelIndex, timeMs)
    if (window !== undefined) unknown.add(window)
  }
  const needAll = (owner: RowOwner, timeMs: number) => { for (const index of levels.keys()) need(owner, index, timeMs) }
  if (isAllDue && journal.isEmpty) {
    forEachMinute(partition, (series, timeMs) => {
      needAll(series, timeMs)
      needAll(series.group!, timeMs)
    })
    return { kind: 'rows', unknown }
  }

  const taken = isAllDue ? journal.takeAll() : journal.takeDue(steadyMs, partition.eventTimeMaxMs)
  const due = withoutRepeats(taken, isAllDue)
  const cuts = new Map(due.map(it => [it.number, it.cutMs]))
  for (const block of due) needOfBlock(partition, block, needAll)
  const cutOf = (number: number) => isAllDue ? Infinity : cuts.get(number) ?? -Infinity
  forEachMinute(partition, (series, timeMs) => {
    if (due.length === 0 && timeMs > series.settledMaxMs && !isAllDue) return // it needs nothing
    const { seriesId, group } = series
    const isLate = bucketStartMs(MINUTE_MS, timeMs) < partition.eventTimeMaxMs - LATE_MS
    if (timeMs < cutOf(deviceBlockOf(seriesId)) || (isLate && cuts.has(lateBlockOf(seriesId)))) needAll(series, timeMs)
    else if (timeMs <= series.settledMaxMs && !rules.keepDuplicates) need(series, MINUTE, timeMs)
    if (cutOf(groupBlockOf(group!.seriesId)) === Infinity) needAll(group!, timeMs)
  })
  return { kind: 'journal', due, isAllDue, unknown }
}

const MINUTE = 0

/** A flush writes a row once: if both blocks of a device are due, its late readings move to the other one. */
function withoutRepeats (due: DueBlock[], isAllDue: boolean): DueBlock[] {
  const byNumber = new Map(due.map(it => [it.number, it]))
  for (const late of due) {
    if (kindOfBlock(late.number) !== 'late') continue
    for (const [id, readings] of late.readings) {
      const number = deviceBlockOf(id)
      let block = byNumber.get(number)
      if (block === undefined && isAllDue) byNumber.set(number, block = emptyBlock(number))
      if (block === undefined) continue
      addReadings(block, id, readings)
      late.readings.delete(id)
    }
  }
  return [...byNumber.values()]
}

/** Visits each minute of each device with its home in the partition, with the time of its first reading. */
function forEachMinute ({ arrivals, series: table }: Partition, visit: (series: Series, timeMs: number) => void): void {
  for (let start = 0; start < arrivals.length; start = endOfMinute(arrivals, start)) {
    const series = table.at(arrivals.series[start])
    if (series.homePartition === undefined) visit(series, arrivals.timesMs[start])
  }
}

function needOfBlock (
  { series: table }: Partition, { readings, rollups, cutMs, owners }: DueBlock,
  need: (owner: RowOwner, timeMs: number) => void
): void {
  for (const [id, { timesMs }] of readings) {
    const owner = table.ownerOf(id)
    owners.set(id, owner)
    let minuteMs = NaN
    for (const timeMs of timesMs) {
      if (timeMs >= cutMs) break
      if (bucketStartMs(MINUTE_MS, timeMs) === minuteMs) continue
      minuteMs = bucketStartMs(MINUTE_MS, timeMs)
      need(owner, timeMs)
    }
  }
  for (const [id, minutes] of rollups) {
    const owner = table.ownerOf(id)
    owners.set(id, owner)
    for (const minuteMs of minutes.keys()) need(owner, minuteMs)
  }
}
