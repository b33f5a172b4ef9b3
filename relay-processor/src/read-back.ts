/** What the store knows comes to memory: ids of series, and windows that settling will change. */
import { emptyReadings, emptyRollup, levels, type DecodedRow } from 'relay-common'

import type { Partition } from './partition.ts'
import type { Series } from './series-table.ts'
import type { Unknown } from './settle.ts'
import type { BucketKey, RollupStore } from './store.ts'
import type { KeptMinute, MinuteWindow, RollupWindow } from './windows.ts'

/** Gives their ids to series that have none. */
export async function nameSeries (store: RollupStore, series: Iterable<Series>): Promise<void> {
  // one group is a series of its own in each partition, and has one id in all of them
  const byName = Map.groupBy([...series].filter(it => it.seriesId === 0), nameOf)
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

/** Reads windows of a partition back; one that the store does not have becomes known and empty. */
export async function readBack (store: RollupStore, { partition }: Partition, { minutes, rollups }: Unknown): Promise<void> {
  // a series without an id in memory may have one in the store all the same
  await nameSeries(store, new Set([...minutes, ...rollups].map(it => it.series)))
  for (const level of levels) {
    const minutesHere = level === levels[0] ? minutes : []
    const rollupsHere = rollups.filter(it => it.level === level)
    const keys = [...minutesHere, ...rollupsHere].map(keyOf)
    if (keys.length === 0) continue
    const rows = await store.readRows(level, partition, keys)
    for (const [index, window] of minutesHere.entries()) window.kept = keptOf(rows[index])
    for (const [index, window] of rollupsHere.entries()) {
      window.rollup = rows[minutesHere.length + index]?.rollup ?? emptyRollup()
    }
  }
}

function keyOf ({ series, bucketMs }: MinuteWindow | RollupWindow): BucketKey {
  return { seriesId: series.seriesId, bucketMs }
}

function keptOf (row: DecodedRow | undefined): KeptMinute {
  if (!row) return { kind: 'readings', readings: emptyReadings() }
  const { rollup, readings } = row
  return readings ? { kind: 'readings', readings } : { kind: 'rollup', rollup }
}
