/**
 * Compaction: readings of a block in the journal become rows, in the transaction that removes them from the journal.
 * The content of windows stays the same, so nothing is announced. `Journal.takeDue` (journal.ts) decides when a block
 * is due, by JOURNAL_INTERVAL_S.
 */
import { cutReadings, levels, MINUTE_MS, readingsByBucket, type Readings } from 'relay-rollups'

import type { FlushRows } from './flush-rows.ts'
import type { DueBlock } from './journal.ts'
import { ascending, type FragmentContent } from './journal-block.ts'
import type { SeriesTable } from './series-table.ts'
import type { RowOwner } from './windows.ts'
import { addToMinute } from './minute-readings.ts'
import { OpenRollups, type SettleRules } from './settle.ts'
import { forgetLate, openWindow } from './windows.ts'

const MINUTE = 0
const [, ...coarserIndexes] = levels.keys()

/**
 * Writes rows for a block, up to its cut. All windows are known.
 * @returns the readings after the cut
 */
export function compactBlock (
  block: DueBlock, table: SeriesTable, { readingsPerRowMax }: SettleRules, rows: FlushRows
): Pick<FragmentContent, 'readings'> {
  const left = new Map<number, Readings>()
  const coarser = new OpenRollups(rows)
  const ownerOf = (id: number) => block.owners.get(id) ?? table.ownerOf(id)
  for (const id of ascending(block.readings.keys())) {
    const readings = block.readings.get(id)!
    const old = block.cutMs === Infinity ? readings : cutReadings(readings, { startMs: -Infinity, endMs: block.cutMs })
    const newer = cutReadings(readings, { startMs: block.cutMs, endMs: Infinity })
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
    owner.rowsMaxMs = Math.max(
      owner.rowsMaxMs, minutes.values().reduce((most, it) => Math.max(most, it.lastMs), -Infinity)
    )
    forgetLate(owner)
  }
  return { readings: left }
}

function compactSeries (
  owner: RowOwner, readings: Readings, readingsPerRowMax: number, coarser: OpenRollups, rows: FlushRows
): void {
  for (const [minuteMs, ofMinute] of readingsByBucket(readings, MINUTE_MS)) {
    const delta = addToMinute(openWindow(owner, MINUTE, minuteMs), ofMinute, true, readingsPerRowMax, rows)
    for (const level of coarserIndexes) coarser.add(owner, level, delta)
  }
  coarser.write()
  owner.rowsMaxMs = Math.max(owner.rowsMaxMs, readings.timesMs.at(-1)!)
}
