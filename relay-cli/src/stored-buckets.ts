/**
 * Stored windows, from rows and journal of all source partitions. A device's readings are in one partition, except for
 * those from before its home was there; readings on their way home are in none yet.
 */
import { RelayError, type PoolClient } from 'relay-common'
import {
  bucketStartMs, decodeBody, emptyReadings, emptyRollup, encodeReadingsBody, encodeRollupBody, foldReadings, isBodyOf,
  levels, mergeReadings, mergeRollup, MINUTE_MS, type Readings, type Rollup
} from 'relay-rollups'
import { decodeMisplaced } from 'relay-processor/misplaced'

import { windowKey, type Journaled, type JournaledPart } from './journaled.ts'
import type { ExpectedRow } from './recompute.ts'

export interface StoredRow {
  readonly series_id: number
  readonly bucket_start: number
  readonly count: bigint
  readonly min: number
  readonly max: number
  readonly body: Buffer
}

export interface StoredBucket {
  readonly seriesId: number
  readonly bucketMs: number
  /** number of rows, counting the journal of each partition as one */
  readonly rows: number
  /** readings, according to the columns */
  readonly count: number
  readonly rollup: Rollup
  /** of a device's minute that stores them, as often as they appear in partitions */
  readonly readings: Readings | undefined
  /** readings in several partitions, which count several times */
  readonly doubled: number
  /** false: a row can't be decoded */
  readonly isReadable: boolean
}

/** Reads the windows of some series in a range of one day, by series and time. @param journaled of the same snapshot */
export async function readStoredBuckets (
  client: PoolClient, journaled: Journaled, levelIndex: number, seriesIds: readonly number[], fromMs: number,
  toMs: number
): Promise<StoredBucket[]> {
  const { rows } = await client.query<StoredRow>(`
    select r.* from unnest($1::integer[]) as k (series_id)
    cross join lateral (
      select series_id, bucket_start, count, min, max, body from ${levels[levelIndex].table} r
      where r.series_id = k.series_id and r.bucket_start >= $2 and r.bucket_start < $3 offset 0) r
    order by series_id, bucket_start`,
  [seriesIds, new Date(fromMs).toISOString(), new Date(toMs).toISOString()])
  const found = new Map<string, { seriesId: number, bucketMs: number, rows: StoredRow[], parts: JournaledPart[] }>()
  for (const row of rows) {
    const { series_id: seriesId, bucket_start: bucketMs } = row
    const key = windowKey(seriesId, bucketMs)
    const window = found.get(key)
    if (window) window.rows.push(row)
    else found.set(key, { seriesId, bucketMs, rows: [row], parts: [] })
  }
  for (const { seriesId, bucketMs, parts } of journaled.find(levelIndex, new Set(seriesIds), fromMs, toMs)) {
    const key = windowKey(seriesId, bucketMs)
    const window = found.get(key)
    if (window) window.parts.push(...parts.values())
    else found.set(key, { seriesId, bucketMs, rows: [], parts: [...parts.values()] })
  }
  return found.values().map(it => mergeParts(levelIndex, it.seriesId, it.bucketMs, it.rows, it.parts)).toArray()
    .sort((a, b) => a.seriesId - b.seriesId || a.bucketMs - b.bucketMs)
}

function mergeParts (
  levelIndex: number, seriesId: number, bucketMs: number, rows: readonly StoredRow[], parts: readonly JournaledPart[]
): StoredBucket {
  const rollup = emptyRollup()
  const all = emptyReadings()
  const distinct = emptyReadings()
  let keepsReadings = true
  let doubled = 0
  let isReadable = true
  const add = (part: JournaledPart) => {
    mergeRollup(rollup, part.rollup)
    if (part.readings === undefined || levelIndex > 0) {
      keepsReadings = false
      return
    }
    doubled += mergeReadings(distinct, copyOf(part.readings), false).duplicates
    mergeReadings(all, copyOf(part.readings), true)
  }
  for (const { count, min, max, body } of rows) {
    try {
      const { rollup, readings } = decodeBody({ bucketStartMs: bucketMs, count: Number(count), min, max, body })
      add({ rollup, readings })
    } catch (error) {
      if (!(error instanceof RelayError)) throw error
      isReadable = false
    }
  }
  for (const part of parts) add(part)
  const count = rows.reduce((sum, it) => sum + Number(it.count), 0) + parts.reduce(
    (sum, it) => sum + it.rollup.count, 0
  )
  return {
    seriesId,
    bucketMs,
    rows: rows.length + parts.length,
    count,
    rollup,
    readings: keepsReadings ? all : undefined,
    doubled,
    isReadable
  }
}

function copyOf ({ timesMs, values }: Readings): Readings {
  return { timesMs: [...timesMs], values: [...values] }
}

/** Whether a window is as expected, to the byte. */
export function isAsExpected (
  expected: ExpectedRow, { bucketMs, rollup, readings, isReadable }: StoredBucket
): boolean {
  const { count, min, max, body } = expected
  if (!isReadable || rollup.count !== count || rollup.min !== min || rollup.max !== max) return false
  const wanted = decodeBody({ bucketStartMs: bucketMs, count, min, max, body })
  if (readings && wanted.readings && !encodeReadingsBody(readings, bucketMs).equals(body)) return false
  return isBodyOf(encodeRollupBody(rollup, bucketMs), encodeRollupBody(wanted.rollup, bucketMs), bucketMs)
}

/** Readings on their way home, by series and minute. */
export class OnTheWay {
  readonly #series: ReadonlyMap<number, ReadonlyMap<number, Readings>>

  private constructor (series: ReadonlyMap<number, ReadonlyMap<number, Readings>>) {
    this.#series = series
  }

  static async read (client: PoolClient): Promise<OnTheWay> {
    const series = new Map<number, Map<number, Readings>>()
    const { rows } = await client.query<{ series_id: number, body: Buffer }>(`
      select r.series_id, r.body from misplaced_readings m
      cross join lateral unnest(m.series_ids, m.bodies) as r (series_id, body)`)
    for (const { series_id: seriesId, body } of rows) {
      const { timesMs, values } = decodeMisplaced(body)
      let minutes = series.get(seriesId)
      if (!minutes) series.set(seriesId, minutes = new Map())
      for (const [n, timeMs] of timesMs.entries()) {
        const minuteMs = bucketStartMs(MINUTE_MS, timeMs)
        let minute = minutes.get(minuteMs)
        if (!minute) minutes.set(minuteMs, minute = emptyReadings())
        minute.timesMs.push(timeMs)
        minute.values.push(values[n])
      }
    }
    return new OnTheWay(series)
  }

  has (seriesId: number, timeMs: number, value: number): boolean {
    const minute = this.#series.get(seriesId)?.get(bucketStartMs(MINUTE_MS, timeMs))
    return minute !== undefined && minute.timesMs.some((it, n) => it === timeMs && minute.values[n] === value)
  }

  /** Minutes of a device with readings on their way, in a range. */
  minutesOf (seriesId: number, fromMs: number, toMs: number): number[] {
    return [...this.#series.get(seriesId)?.keys() ?? []].filter(it => it >= fromMs && it < toMs).sort((a, b) => a - b)
  }

  /**
   * Adds readings on their way home to a device's minute.
   * @returns the minute, and what is new in it
   */
  addTo (window: StoredBucket, keepDuplicates: boolean): { readonly window: StoredBucket, readonly delta: Rollup } {
    const arrived = this.#series.get(window.seriesId)?.get(window.bucketMs)
    const delta = emptyRollup()
    if (!arrived) return { window, delta }
    const readings = window.readings && copyOf(window.readings)
    const { fresh } = mergeReadings(readings ?? emptyReadings(), copyOf(arrived), keepDuplicates)
    foldReadings(delta, fresh)
    const rollup = emptyRollup()
    mergeRollup(rollup, window.rollup)
    mergeRollup(rollup, delta)
    return { window: { ...window, count: rollup.count, readings, rollup }, delta }
  }
}

/** A window without a row. */
export function emptyWindow (seriesId: number, bucketMs: number, isDeviceMinute: boolean): StoredBucket {
  const readings = isDeviceMinute ? emptyReadings() : undefined
  return { seriesId, bucketMs, rows: 0, count: 0, rollup: emptyRollup(), readings, doubled: 0, isReadable: true }
}
