/** What the store knows comes to memory: ids of series, and windows that settling will change. */
import { levels } from 'relay-common'

import { EMPTY_ROW, packStored } from './packed-row.ts'
import type { Partition } from './partition.ts'
import type { Series } from './series-table.ts'
import type { RollupStore } from './store.ts'
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
export async function readBack (store: RollupStore, { partition }: Partition, unknown: ReadonlySet<Window>): Promise<void> {
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
  }
}
