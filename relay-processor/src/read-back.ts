/** Reads data of the store into memory: ids of series, and windows that settling will change. */
import {
  cutReadings, decodeBody, emptyReadings, levels, mergeReadings, MINUTE_MS, decodeJournal, type Readings
} from 'relay-rollups'

import { EMPTY_ROW, packStored } from './packed-row.ts'
import type { Partition } from './partition.ts'
import type { Series } from './series-table.ts'
import type { RollupStore, StoredRow } from './store.ts'
import type { Window } from './windows.ts'

/** Assigns ids to series without one. */
export async function nameSeries (store: RollupStore, series: Iterable<Series>): Promise<void> {
  // a group is a series of its own in each partition, with the same id in all
  const byName = Map.groupBy(series, nameOf)
  if (byName.size === 0) return
  const named = [...byName.values()]
  const ids = await store.nameSeries(named.map(([first]) => first))
  for (const [index, ofName] of named.entries()) {
    for (const it of ofName) it.seriesId = ids[index]
  }
}

function nameOf ({ deviceId, deviceType, zone }: Series): string {
  return [deviceId ?? '', deviceType, zone].join('\n') // ids are not empty and contain no control characters
}

/**
 * Reads back windows of a partition whose series have ids. A window that is not in the store becomes known and empty.
 */
export async function readBack (
  store: RollupStore, { partition, homes }: Partition, unknown: ReadonlySet<Window>
): Promise<void> {
  for (const [index, level] of levels.entries()) {
    const windows = [...unknown].filter(it => it.levelIndex === index)
    if (windows.length === 0) continue
    const keys = windows.map(({ series, bucketMs }) => ({ seriesId: series.seriesId, bucketMs }))
    const rows = await store.readRows(level, partition, keys)
    for (const [n, window] of windows.entries()) {
      const row = rows[n]
      window.packed = row === undefined ? EMPTY_ROW : packStored(row, window.bucketMs)
      window.isStored = row !== undefined
    }
    if (index > 0) continue
    await addElsewhere(
      store, partition, windows.filter(it => it.series.group !== undefined && it.bucketMs <= homes.horizonMs)
    )
  }
}

/**
 * Reads what other partitions have of minutes from before their devices had their home here: a duplicate of it counts
 * there. A minute that no longer stores its readings can't be compared.
 */
async function addElsewhere (store: RollupStore, partition: number, windows: readonly Window[]): Promise<void> {
  if (windows.length === 0) return
  const keys = windows.map(({ series, bucketMs }) => ({ seriesId: series.seriesId, bucketMs }))
  const { rows, journal } = await store.readElsewhere(partition, keys)
  const journaled = journaledOf(journal, new Set(keys.map(it => it.seriesId)))
  for (const [n, window] of windows.entries()) {
    window.elsewhere = readingsOf(rows[n], journaled.get(keys[n].seriesId), keys[n].bucketMs)
  }
}

/** What rows of the journal have of some series, sorted. Each row is read once, for any number of minutes. */
function journaledOf (journal: readonly Buffer[], seriesIds: ReadonlySet<number>): Map<number, Readings> {
  const found = new Map<number, Readings>()
  for (const body of journal) {
    decodeJournal(body, {
      readings (id, { timesMs, values }) {
        let all = found.get(id)
        if (all === undefined) found.set(id, all = emptyReadings())
        for (let n = 0; n < timesMs.length; n++) {
          all.timesMs.push(timesMs[n])
          all.values.push(values[n])
        }
      },
      rollup: () => {}
    }, it => seriesIds.has(it))
  }
  for (const [id, all] of found) found.set(id, mergeReadings(emptyReadings(), all, false).merged) // sorted at once
  return found
}

function readingsOf (
  rows: readonly StoredRow[], journaled: Readings | undefined, minuteMs: number
): Readings | undefined {
  const all = journaled === undefined
    ? emptyReadings()
    : cutReadings(journaled, { startMs: minuteMs, endMs: minuteMs + MINUTE_MS })
  if (rows.length === 0 && all.timesMs.length === 0) return undefined
  for (const row of rows) {
    const { readings } = decodeBody({ ...row, bucketStartMs: minuteMs })
    if (readings) mergeReadings(all, readings, false)
  }
  return all
}
