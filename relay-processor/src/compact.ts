/**
 * Compacting: what the journal has of a block becomes rows, in the transaction that removes it there. It changes no content
 * of any window, so nobody has to be told.
 */
import { bucketStartMs, levels, MINUTE_MS, type Readings } from 'relay-common'

import type { FlushRows } from './flush-rows.ts'
import type { DueBlock } from './journal.ts'
import { ascending, within, type Gathered } from './journal-block.ts'
import type { RowOwner, SeriesTable } from './series-table.ts'
import { addToMinute, OpenRollups, type SettleRules } from './settle.ts'
import { forgetLate, openWindow } from './windows.ts'

const MINUTE = 0
const [, ...coarserIndexes] = levels.keys()

/**
 * Makes rows of what a block has up to its cut. Every window is known.
 * @returns what is newer than that
 */
export function compactBlock (
  block: DueBlock, table: SeriesTable, { readingsPerRowMax }: SettleRules, rows: FlushRows
): Pick<Gathered, 'readings'> {
  const left = new Map<number, Readings>()
  const coarser = new OpenRollups(rows)
  const ownerOf = (id: number) => block.owners.get(id) ?? table.ownerOf(id)
  for (const id of ascending(block.readings.keys())) {
    const readings = block.readings.get(id)!
    const old = block.cutMs === Infinity ? readings : within(readings, -Infinity, block.cutMs)
    const newer = within(readings, block.cutMs, Infinity)
    if (newer.timesMs.length > 0) left.set(id, newer)
    const owner = ownerOf(id)
    if (old.timesMs.length > 0) compactSeries(owner, old, readingsPerRowMax, coarser, rows)
    forgetLate(owner)
  }
  for (const id of ascending(block.rollups.keys())) {
    const owner = ownerOf(id)
    const minutes = block.rollups.get(id)!
    for (const minuteMs of ascending(minutes.keys())) {
      for (const level of levels.keys()) coarser.add(owner, level, minutes.get(minuteMs)!)
    }
    coarser.write()
    owner.rowsMaxMs = Math.max(owner.rowsMaxMs, minutes.values().reduce((most, it) => Math.max(most, it.lastMs), -Infinity))
    forgetLate(owner)
  }
  return { readings: left }
}

function compactSeries (
  owner: RowOwner, readings: Readings, readingsPerRowMax: number, coarser: OpenRollups, rows: FlushRows
): void {
  const { timesMs } = readings
  for (let start = 0, end; start < timesMs.length; start = end) {
    const minuteEndMs = bucketStartMs(MINUTE_MS, timesMs[start]) + MINUTE_MS
    for (end = start + 1; end < timesMs.length && timesMs[end] < minuteEndMs;) end++
    const ofMinute = { timesMs: timesMs.slice(start, end), values: readings.values.slice(start, end) }
    const delta = addToMinute(openWindow(owner, MINUTE, timesMs[start]), ofMinute, true, readingsPerRowMax, rows)
    for (const level of coarserIndexes) coarser.add(owner, level, delta)
  }
  coarser.write()
  owner.rowsMaxMs = Math.max(owner.rowsMaxMs, timesMs[timesMs.length - 1])
}
