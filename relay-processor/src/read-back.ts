/** What the store knows comes to memory: ids of series, and windows that settling will change. */
import { cutReadings, decodeBody, emptyReadings, levels, mergeReadings, MINUTE_MS, readJournal, type Readings } from 'relay-common'

import { EMPTY_ROW, packStored } from './packed-row.ts'
import type { Partition } from './partition.ts'
import type { Series } from './series-table.ts'
import type { BucketKey, Elsewhere, RollupStore } from './store.ts'
import type { Window } from './windows.ts'

/** Gives their ids to series that have none. */
export async function nameSeries (store: RollupStore, series: Iterable<Series>): Promise<void> {
  // one group is a series of its own in each partition, and has one id in all of them
  const byName = Map.groupBy(series, nameOf)
  if (byName.size === 0) return
  const named = [...byName.values()]
  const ids = await store.nameSeries(named.map(([first]) => first))
  for (const [index, ofName] of named.entries()) {
    for (const it of ofName) it.seriesId = ids[index]
  }
}

function nameOf ({ deviceId, deviceType, zone }: Series): string {
  return [deviceId ?? '', deviceType, zone].join('\n') // ids are not empty and hold no control characters
}

/** Reads windows of a partition back, whose series have their ids; one that the store does not have becomes known and empty. */
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
    await readElsewhere(store, partition, windows.filter(it => it.series.group !== undefined && it.bucketMs <= homes.horizonMs))
  }
}

/**
 * Reads what other partitions have of minutes from before their devices were at home here: a resend of it counts there.
 * Of a minute that gave its readings up nothing can be told.
 */
async function readElsewhere (store: RollupStore, partition: number, windows: readonly Window[]): Promise<void> {
  if (windows.length === 0) return
  const keys = windows.map(({ series, bucketMs }) => ({ seriesId: series.seriesId, bucketMs }))
  const rows = await store.readElsewhere(partition, keys)
  for (const [n, window] of windows.entries()) window.elsewhere = readingsOf(rows[n], keys[n])
}

function readingsOf ({ rows, journal }: Elsewhere, { seriesId, bucketMs }: BucketKey): Readings | undefined {
  if (rows.length + journal.length === 0) return undefined
  const all = emptyReadings()
  for (const body of journal) {
    readJournal(body, {
      readings: (_, readings) => { mergeReadings(all, cutReadings(readings, { startMs: bucketMs, endMs: bucketMs + MINUTE_MS }), false) },
      rollup: () => {}
    }, it => it === seriesId)
  }
  for (const row of rows) {
    const { readings } = decodeBody({ ...row, bucketStartMs: bucketMs })
    if (readings) mergeReadings(all, readings, false)
  }
  return all
}
