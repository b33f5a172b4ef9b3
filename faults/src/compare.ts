/**
 * Compares every window of the rollups with the recomputation, by every column: its rows together with its journal, as
 * in answers. Rows of several source partitions are merged, because homes change when partitions are added.
 */
import { RelayError, type Database } from 'relay-common'
import {
  bucketStartMs, decodeBody, emptyReadings, emptyRollup, encodeReadingsBody, encodeRollupBody, foldReadings, levels,
  mergeReadings, mergeRollup, READINGS_PER_ROW_MAX_DEFAULT, readingsByBucket, decodeJournal, roundSum, type Readings,
  type Rollup
} from 'relay-rollups'

import { isDeviceMinute, rowName, type ExpectedRow, type Recomputation } from './recompute.ts'

export interface Comparison {
  /** windows of all levels, of devices and groups */
  readonly rows: number
  /** readings that are missing in the rows of devices' minutes */
  readonly lost: number
  /** readings that they have too often */
  readonly doubled: number
  /** rows of any kind that differ, are missing, or should not exist */
  readonly wrong: readonly string[]
}

interface SeriesRow {
  readonly device_id: string | null
  readonly zone: string
  readonly device_type: string
}

interface StoredRow extends SeriesRow {
  readonly bucket_start: number
  readonly count: bigint
  readonly sum: number
  readonly min: number
  readonly max: number
  readonly body: Buffer
}

/** Compares the whole database. A missing or unexpected row is a wrong one too. */
export async function compareRollups (database: Database, expected: Recomputation): Promise<Comparison> {
  const missing = new Set(expected.rowNames)
  const wrong: string[] = []
  let lost = 0
  let doubled = 0
  const count = (name: string, bucketMs: number, should: ExpectedRow | undefined, is: ExpectedRow | undefined) => {
    wrong.push(name)
    if (!isDeviceMinute(name)) return // one reading is in six rows, and is lost or doubled once
    const left = readingsOf(bucketMs, is)
    for (const [reading, times] of readingsOf(bucketMs, should)) {
      const found = left.get(reading) ?? 0
      lost += Math.max(0, times - found)
      left.set(reading, Math.max(0, found - times))
    }
    for (const times of left.values()) doubled += times
  }

  const windows = await readStoredBuckets(database)
  for (const [name, window] of windows) {
    missing.delete(name)
    const should = expected.row(name)
    const row = mergeWindow(window, isDeviceMinute(name))
    if (!should || !isEqual(row, should)) count(name, window.bucketMs, should, row)
  }
  for (const name of missing) count(name, Date.parse(name.split(' ')[1]), expected.row(name), undefined)
  return { rows: windows.size, lost, doubled, wrong }
}

/** The stored content of a window. */
interface StoredBucket {
  readonly bucketMs: number
  readonly rows: StoredRow[]
  /** of the journal */
  readonly rollup: Rollup
  /** of the journal, for devices */
  readonly readings: Readings
}

/** By name. All of one snapshot. */
async function readStoredBuckets (database: Database): Promise<Map<string, StoredBucket>> {
  const windows = new Map<string, StoredBucket>()
  const windowOf =
    (level: string, bucketMs: number, { device_id: deviceId, zone, device_type: deviceType }: SeriesRow) => {
      const name = rowName({ level, bucketMs, deviceId, zone, deviceType })
      let window = windows.get(name)
      if (!window) windows.set(name, window = { bucketMs, rows: [], rollup: emptyRollup(), readings: emptyReadings() })
      return window
    }
  await database.transaction(async client => {
    await client.query('set transaction isolation level repeatable read')
    for (const { name, table } of levels) {
      const { rows } = await client.query<StoredRow>(`
        select device_id, zone, device_type, bucket_start, count, sum, min, max, body from ${table} join series using (series_id)`)
      for (const row of rows) windowOf(name, row.bucket_start, row).rows.push(row)
    }
    const { rows: named } = await client.query<SeriesRow & { series_id: number }>(
      'select series_id, device_id, zone, device_type from series'
    )
    const series = new Map(named.map(it => [it.series_id, it]))
    const { rows: journal } = await client.query<{ body: Buffer }>('select body from journal')
    const addReadings = (of: SeriesRow, arrived: Readings) => {
      for (const { name, sizeMs } of levels) {
        for (const [bucketMs, ofBucket] of readingsByBucket(arrived, sizeMs)) {
          const { rollup, readings } = windowOf(name, bucketMs, of)
          foldReadings(rollup, ofBucket)
          mergeReadings(readings, ofBucket, true)
        }
      }
    }
    for (const { body } of journal) {
      decodeJournal(body, {
        readings: (id, readings) => addReadings(series.get(id)!, readings),
        rollup: (id, minuteMs, rollup) => {
          for (const { name, sizeMs } of levels) {
            mergeRollup(windowOf(name, bucketStartMs(sizeMs, minuteMs), series.get(id)!).rollup, rollup)
          }
        }
      })
    }
  })
  return windows
}

/** The row that merges a whole window; an unreadable one stays unchanged. */
function mergeWindow ({ bucketMs, rows, rollup, readings }: StoredBucket, mayKeepReadings: boolean): ExpectedRow {
  const stored = rows.map(it => ({ ...it, count: Number(it.count) }))
  if (stored.length === 1 && rollup.count === 0) return stored[0]
  let keepsReadings = mayKeepReadings
  try {
    for (const row of stored) {
      const decoded = decodeBody({ ...row, bucketStartMs: bucketMs })
      mergeRollup(rollup, decoded.rollup)
      if (decoded.readings) mergeReadings(readings, decoded.readings, true)
      else keepsReadings = false
    }
  } catch (error) {
    if (!(error instanceof RelayError)) throw error
    return stored[0]
  }
  keepsReadings &&= rollup.count <= READINGS_PER_ROW_MAX_DEFAULT
  const body = keepsReadings ? encodeReadingsBody(readings, bucketMs) : encodeRollupBody(rollup, bucketMs)
  return { count: rollup.count, sum: roundSum(rollup.sum), min: rollup.min, max: rollup.max, body }
}

function isEqual (row: ExpectedRow, should: ExpectedRow): boolean {
  return row.count === should.count && row.sum === should.sum && row.min === should.min &&
    row.max === should.max && row.body.equals(should.body)
}

/** How often each reading is in a minute row of a device. An unreadable row has none. */
function readingsOf (bucketMs: number, row: ExpectedRow | undefined): Map<string, number> {
  const times = new Map<string, number>()
  if (!row) return times
  try {
    const { readings } = decodeBody({ ...row, bucketStartMs: bucketMs })
    readings?.timesMs.forEach((timeMs, n) => {
      const reading = `${timeMs} ${readings.values[n]}`
      times.set(reading, (times.get(reading) ?? 0) + 1)
    })
  } catch {
    // its row is wrong already
  }
  return times
}
