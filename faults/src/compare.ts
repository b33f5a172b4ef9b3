/**
 * Every row of the rollups against the recomputation, by every column. Rows of one window that are of several source
 * partitions are taken together: a device's home changes when partitions are added.
 */
import {
  decodeBody, emptyReadings, emptyRollup, encodeReadingsBody, encodeRollupBody, levels, mergeReadings, mergeRollup, RelayError, roundSum,
  type Database
} from 'relay-common'

import { isDeviceMinute, rowName, type ExpectedRow, type Recomputation } from './recompute.ts'

export interface Comparison {
  /** rows of all levels, of devices and of groups */
  readonly rows: number
  /** readings that the rows of devices' minutes should have, and have not */
  readonly lost: number
  /** readings that they have, and should not have, or not twice */
  readonly doubled: number
  /** rows of any kind that differ in anything, are missing, or should not be there */
  readonly wrong: readonly string[]
}

interface StoredRow {
  readonly device_id: string | null
  readonly zone: string
  readonly device_type: string
  readonly bucket_start: number
  readonly count: bigint
  readonly sum: number
  readonly min: number
  readonly max: number
  readonly body: Buffer
}

/** Compares all that is in the database. A row that is missing, or should not be there, is a wrong one too. */
export async function compareRollups (database: Database, expected: Recomputation): Promise<Comparison> {
  const missing = new Set(expected.rowNames)
  const wrong: string[] = []
  let rows = 0
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

  for (const { name: level, table } of levels) {
    const stored = await database.query<StoredRow>(`
      select device_id, zone, device_type, bucket_start, count, sum, min, max, body
      from ${table} join series using (series_id)`)
    rows += stored.length
    const windows = Map.groupBy(stored, row => rowName({
      level, bucketMs: row.bucket_start, deviceId: row.device_id, zone: row.zone, deviceType: row.device_type
    }))
    for (const [name, rows] of windows) {
      missing.delete(name)
      const should = expected.row(name)
      const row = mergeRows(rows)
      if (!should || !isEqual(row, should)) count(name, rows[0].bucket_start, should, row)
    }
  }
  for (const name of missing) count(name, Date.parse(name.split(' ')[1]), expected.row(name), undefined)
  return { rows, lost, doubled, wrong }
}

/** The row that all rows of a window are together; one that can't be read stays as it is. */
function mergeRows (rows: readonly StoredRow[]): ExpectedRow {
  const [first] = rows.map(it => ({ ...it, count: Number(it.count) }))
  if (rows.length === 1) return first
  const { bucket_start: bucketStartMs } = first
  const rollup = emptyRollup()
  const readings = emptyReadings()
  let keepsReadings = true
  try {
    for (const row of rows) {
      const decoded = decodeBody({ ...row, bucketStartMs, count: Number(row.count) })
      mergeRollup(rollup, decoded.rollup)
      if (decoded.readings) mergeReadings(readings, decoded.readings, true)
      else keepsReadings = false
    }
  } catch (error) {
    if (!(error instanceof RelayError)) throw error
    return first
  }
  const body = keepsReadings ? encodeReadingsBody(readings, bucketStartMs) : encodeRollupBody(rollup, bucketStartMs)
  return { count: rollup.count, sum: roundSum(rollup.sum), min: rollup.min, max: rollup.max, body }
}

function isEqual (row: ExpectedRow, should: ExpectedRow): boolean {
  return row.count === should.count && row.sum === should.sum && row.min === should.min &&
    row.max === should.max && row.body.equals(should.body)
}

/** How often each reading is in a minute row of a device. A row that can't be read holds none. */
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
