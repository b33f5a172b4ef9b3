/** Compares the events of a range with the database, day by day. */
import type { PoolClient } from 'relay-common'
import { partitionOf } from 'relay-event-log'
import {
  bucketStartMs, DAY_MS, decodeBody, emptyRollup, encodeRollupBody, levels, mergeRollup, type Level, type Rollup
} from 'relay-rollups'

import type { DayFiles } from './day-files.ts'
import type { Journaled } from './journaled.ts'
import { recomputeDay, rowKey, type ExpectedRow, type RecomputeRules, type RowName } from './recompute.ts'
import { emptyWindow, isAsExpected, readStoredBuckets, type OnTheWay, type StoredBucket } from './stored-buckets.ts'

export interface VerifiedRange {
  readonly fromMs: number
  readonly toMs: number
}

export interface Difference extends RowName {
  /** home of the device; undefined: of a group, which is in all partitions */
  readonly partition: number | undefined
  readonly kind: 'missing' | 'unexpected' | 'different' | 'doubled'
  readonly expectedCount: number
  readonly foundCount: number
}

interface Series extends Pick<RowName, 'deviceId' | 'deviceType' | 'zone'> {
  readonly seriesId: number
}

/** Parameters of a comparison. */
export interface Checked {
  readonly client: PoolClient
  readonly range: VerifiedRange
  readonly onTheWay: OnTheWay
  readonly journaled: Journaled
  readonly rules: RecomputeRules
  /** by index of the level: retention may have deleted earlier rows */
  readonly keptFromMs: readonly number[]
  readonly counts: { rows: number, uncertain: number }
}

/**
 * Compares the rows of a range with its events, by day and home partition.
 * @param files events by home partition and day
 * @param homes number of partitions that devices are assigned to
 */
export async function * compare (checked: Checked, files: DayFiles, homes: number): AsyncGenerator<Difference> {
  const { client } = checked
  const series = await readSeries(client)
  const groups = series.filter(it => it.deviceId === null)
  const groupIds = new Map(groups.map(it => [groupKey(it), it.seriesId]))
  const shards = Map.groupBy(series.filter(it => it.deviceId !== null), it => homeOf(it.deviceId!, homes))
  for (const dayMs of await readDays(checked, files)) {
    const ofGroups = new Map<string, ExpectedRow>()
    const groupDeltas = new Map<string, Rollup>()
    for (let home = 0; home < homes; home++) {
      const expected = recomputeDay(await files.read(home, dayMs), checked.rules)
      for (const [key, row] of expected) {
        if (row.deviceId !== null) continue
        expected.delete(key)
        ofGroups.set(key, mergeExpected(ofGroups.get(key), row))
      }
      const devices = shards.get(home) ?? []
      const deltas = new Map<string, Rollup>()
      yield * compareDay(checked, dayMs, devices, expected, home, (index, windows, fromMs, toMs) =>
        addOnTheWay(checked, devices, index, windows, fromMs, toMs, deltas, (it, delta) => {
          const groupId = groupIds.get(groupKey(it))
          if (groupId !== undefined) for (const level of levels) addDelta(groupDeltas, level, groupId, delta)
        }))
    }
    yield * compareDay(
      checked, dayMs, groups, ofGroups, undefined,
      (index, windows) => windows.map(it => withDelta(groupDeltas, index, it))
    )
  }
}

/** Adds readings on their way home to windows of a level. */
type Completed = (levelIndex: number, windows: StoredBucket[], fromMs: number, toMs: number) => StoredBucket[]

async function * compareDay (
  { client, journaled, range: { fromMs, toMs }, keptFromMs, counts }: Checked, dayMs: number, series: readonly Series[],
  expected: Map<string, ExpectedRow>, partition: number | undefined, completed: Completed
): AsyncGenerator<Difference> {
  const names = new Map(series.map(it => [it.seriesId, it]))
  for (const [index, { name: level, sizeMs }] of levels.entries()) {
    const firstMs = Math.max(dayMs, Math.ceil(fromMs / sizeMs) * sizeMs)
    const endMs = Math.min(dayMs + DAY_MS, Math.floor(toMs / sizeMs) * sizeMs)
    if (firstMs >= endMs) continue
    const stored = await readStoredBuckets(client, journaled, index, [...names.keys()], firstMs, endMs)
    for (const window of completed(index, stored, firstMs, endMs)) {
      const { deviceId, deviceType, zone } = names.get(window.seriesId)!
      const name: RowName = { level, bucketMs: window.bucketMs, deviceId, deviceType, zone }
      const wanted = expected.get(rowKey(name))
      expected.delete(rowKey(name))
      counts.rows += window.rows
      const found = { ...name, partition, expectedCount: wanted?.count ?? 0, foundCount: window.count }
      if (!wanted) yield { ...found, kind: 'unexpected' }
      else if (!isAsExpected(wanted, window)) {
        if (wanted.isUncertain) counts.uncertain++
        else yield { ...found, kind: window.doubled > 0 ? 'doubled' : 'different' }
      }
    }
    for (const { body, min, max, isUncertain, ...name } of expected.values()) {
      const isWithin = name.level === level && name.bucketMs >= firstMs && name.bucketMs < endMs
      if (!isWithin || name.bucketMs < keptFromMs[index]) continue // retention may have deleted it
      counts.rows++
      yield { ...name, partition, kind: 'missing', expectedCount: name.count, foundCount: 0 }
    }
  }
}

/** For minutes, adds readings on their way home; for hours and days, what these changed in their minutes. */
function addOnTheWay (
  { onTheWay, rules }: Checked, devices: readonly Series[], levelIndex: number, windows: readonly StoredBucket[],
  fromMs: number,
  toMs: number, deltas: Map<string, Rollup>, isNew: (device: Series, delta: Rollup) => void
): StoredBucket[] {
  if (levelIndex > 0) return windows.map(it => withDelta(deltas, levelIndex, it))
  const names = new Map(devices.map(it => [it.seriesId, it]))
  const stored = new Set(windows.map(it => `${it.seriesId} ${it.bucketMs}`))
  const others = devices.flatMap(({ seriesId }) => onTheWay.minutesOf(seriesId, fromMs, toMs)
    .filter(it => !stored.has(`${seriesId} ${it}`)).map(it => emptyWindow(seriesId, it, true)))
  return [...windows, ...others].map(it => {
    const { window, delta } = onTheWay.addTo(it, rules.keepDuplicates)
    if (delta.count > 0) {
      for (const level of levels.slice(1)) addDelta(deltas, level, it.seriesId, delta)
      isNew(names.get(it.seriesId)!, delta)
    }
    return window
  })
}

function addDelta (deltas: Map<string, Rollup>, { name, sizeMs }: Level, seriesId: number, delta: Rollup): void {
  const key = `${name} ${seriesId} ${bucketStartMs(sizeMs, delta.firstMs)}`
  let sum = deltas.get(key)
  if (!sum) deltas.set(key, sum = emptyRollup())
  mergeRollup(sum, delta)
}

function withDelta (deltas: ReadonlyMap<string, Rollup>, levelIndex: number, window: StoredBucket): StoredBucket {
  const delta = deltas.get(`${levels[levelIndex].name} ${window.seriesId} ${window.bucketMs}`)
  if (!delta) return window
  const rollup = emptyRollup()
  for (const it of [window.rollup, delta]) if (it.count > 0) mergeRollup(rollup, it)
  return { ...window, count: rollup.count, rollup }
}

function mergeExpected (a: ExpectedRow | undefined, b: ExpectedRow): ExpectedRow {
  if (!a) return b
  const rollup = emptyRollup()
  for (const it of [a, b]) mergeRollup(rollup, decodeBody({ ...it, bucketStartMs: it.bucketMs }).rollup)
  const { count, min, max } = rollup
  return {
    ...a, count, min, max, body: encodeRollupBody(rollup, a.bucketMs), isUncertain: a.isUncertain || b.isUncertain
  }
}

async function readSeries (client: PoolClient): Promise<Series[]> {
  const { rows } = await client.query<{
    series_id: number, device_id: string | null, device_type: string, zone: string
  }>(
    'select series_id, device_id, device_type, zone from series')
  return rows.map(it => ({ seriesId: it.series_id, deviceId: it.device_id, deviceType: it.device_type, zone: it.zone }))
}

function groupKey ({ deviceType, zone }: Pick<RowName, 'deviceType' | 'zone'>): string {
  return `${deviceType}\n${zone}`
}

/** The home partition of a device. @param homes number of partitions that devices are assigned to */
export function homeOf (deviceId: string, homes: number): number {
  return partitionOf(Buffer.from(deviceId), homes)
}

/** Days of the range with events in the log, rows, or readings in the journal. */
async function readDays ({ client, journaled, range: { fromMs, toMs } }: Checked, files: DayFiles): Promise<number[]> {
  const days = new Set([...files.daysMs(), ...journaled.daysMs(fromMs, toMs)])
  for (const { table } of levels) {
    const { rows } = await client.query<{ day: number }>(`
      select distinct date_trunc('day', bucket_start) as day from ${table} where bucket_start >= $1 and bucket_start < $2`,
    [new Date(fromMs).toISOString(), new Date(toMs).toISOString()])
    for (const { day } of rows) days.add(day)
  }
  return [...days].sort((a, b) => a - b)
}
