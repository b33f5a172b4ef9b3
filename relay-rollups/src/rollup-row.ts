import { ByteReader, ByteWriter, corrupt } from './bytes.ts'
import { binKey, decodeDigest, encodeDigest, EXACT, type Digest } from './digest.ts'
import { decodeSum, emptySum, encodeSum, type ExactSum } from './exact-sum.ts'
import { RelayError } from 'relay-common'
import { decodeReadings, encodeReadings, type Readings } from './readings.ts'
import { emptyRollup, foldReadings, mergeRollup, type Rollup, type RollupParts } from './rollup.ts'
import { addSquares } from './square-sum.ts'

/**
 * A row of the tables `rollups_minute`, `rollups_hour` and `rollups_day` (`migrations/0002-rollups.sql`): the readings
 * of one series in one bucket from one source partition.
 *
 * SQL can use count, sum, min and max directly. Everything else is in `body`, whose first byte names its kind:
 *
 *     0x11  a rollup:  the sum, the sum of squares, first time (after the start of the bucket), last time (after the
 *                      first), first value, last value, digest
 *     0x12  readings:  what the minute row of a device stores; its rollup is derived from them
 *
 * The high half of that byte is the version of the format. Equal rollups, and equal readings, have equal bytes.
 */
export interface RollupRow {
  readonly seriesId: number
  /** ms since the epoch */
  readonly bucketStartMs: number
  readonly sourcePartition: number
  readonly count: number
  /** rounded; ±Infinity beyond the range of doubles */
  readonly sum: number
  readonly min: number
  readonly max: number
  readonly body: Buffer
}

const ROLLUP_BODY = 0x11
const READINGS_BODY = 0x12

/** With more readings the minute row of a device only stores its rollup: ten per second. */
export const READINGS_PER_ROW_MAX_DEFAULT = 600

/** Bodies are written here first, so that each needs one allocation of its exact size. */
const shared = new ByteWriter(16 * 1024)

/** The body of a row that only stores a rollup. @throws RangeError without readings: there is no such row */
export function encodeRollupBody (rollup: Rollup, bucketStartMs: number): Buffer {
  shared.length = 0
  appendRollupBody(shared, rollup, bucketStartMs)
  return shared.copy()
}

/** The body of a device's minute row, which stores its readings. @throws RangeError without readings */
export function encodeReadingsBody (readings: Readings, bucketStartMs: number): Buffer {
  shared.length = 0
  appendReadingsBody(shared, readings, bucketStartMs)
  return shared.copy()
}

/** As `encodeRollupBody`, but appends to a writer: for rows that are sent to the database as one long buffer. */
export function appendRollupBody (writer: ByteWriter, rollup: Rollup, bucketStartMs: number): void {
  if (rollup.count === 0) throw new RangeError('can\'t encode a rollup without readings')
  if (rollup.firstMs < bucketStartMs) throw new RangeError('a rollup starts before its bucket')
  writer.byte(ROLLUP_BODY)
  encodeSum(writer, rollup.sum)
  encodeSum(writer, rollup.sumSquares)
  writer.varint(rollup.firstMs - bucketStartMs)
  writer.varint(rollup.lastMs - rollup.firstMs)
  writer.double(rollup.firstValue)
  writer.double(rollup.lastValue)
  encodeDigest(writer, rollup.digest)
}

/** As `encodeReadingsBody`, but appends to a writer. */
export function appendReadingsBody (writer: ByteWriter, readings: Readings, bucketStartMs: number): void {
  if (readings.timesMs.length === 0) throw new RangeError('can\'t encode an empty list of readings')
  writer.byte(READINGS_BODY)
  encodeReadings(writer, readings, bucketStartMs)
}

export interface DecodedRow {
  readonly rollup: Rollup
  /** undefined if the row only stores its rollup */
  readonly readings: Readings | undefined
}

/** The columns of a row that its body belongs to. */
type BodyOfRow = Pick<RollupRow, 'bucketStartMs' | 'count' | 'min' | 'max' | 'body'>

/**
 * Reads the body of a row, and compares it with the other columns.
 * @throws RelayError RELAY_ROLLUP_CORRUPT, with the bucket and the fault, for bytes that Relay can't have written
 */
export function decodeBody (row: BodyOfRow, parts: RollupParts = 'all'): DecodedRow {
  return explainCorrupt(row, () => {
    const content = decodeWhole(row, parts)
    if (content.kind === 'rollup') return { rollup: content.rollup, readings: undefined }
    const rollup = emptyRollup()
    foldReadings(rollup, content.readings, parts)
    return { rollup, readings: content.readings }
  })
}

/**
 * Merges a row into a rollup, as `decodeBody` and `mergeRollup` do. Hot path: readings need no rollup of their own.
 * @param into changed in place
 * @throws RelayError RELAY_ROLLUP_CORRUPT, as `decodeBody`; then `into` is unchanged
 */
export function mergeRow (into: Rollup, row: BodyOfRow, parts: RollupParts = 'all'): void {
  explainCorrupt(row, () => {
    const content = decodeWhole(row, parts)
    if (content.kind === 'rollup') mergeRollup(into, content.rollup)
    else foldReadings(into, content.readings, parts)
  })
}

/** Content of a row whose columns agree with its body. */
function decodeWhole (row: BodyOfRow, parts: RollupParts): RowContent {
  const reader = new ByteReader(row.body)
  const content = decodeContent(reader, row.bucketStartMs, parts)
  if (reader.remaining > 0) throw corrupt(`${reader.remaining} bytes after the end`)
  if (content.kind === 'readings') {
    checkReadings(content.readings, row)
  } else {
    Object.assign(content.rollup, { count: row.count, min: row.min, max: row.max })
    checkRollup(content.rollup, row)
  }
  return content
}

function explainCorrupt<T> (row: BodyOfRow, decode: () => T): T {
  try {
    return decode()
  } catch (error) {
    if (!(error instanceof RelayError)) throw error
    const start = new Date(row.bucketStartMs)
    const bucket = Number.isNaN(start.getTime()) ? `${row.bucketStartMs} ms` : start.toISOString()
    throw new RelayError('RELAY_ROLLUP_CORRUPT',
      `could not decode the row of the bucket at ${bucket}: ${error.message}`, { cause: error })
  }
}

/** Content of a body: readings, or a rollup whose count, min and max are in the columns. */
export type RowContent =
  | { readonly kind: 'readings', readonly readings: Readings }
  | { readonly kind: 'rollup', readonly rollup: Rollup }

/**
 * Reads only a body.
 * @returns a rollup without count, min and max
 * @throws RelayError RELAY_ROLLUP_CORRUPT
 */
export function decodeContent (reader: ByteReader, bucketStartMs: number, parts: RollupParts = 'all'): RowContent {
  const kind = reader.byte()
  if (kind === READINGS_BODY) return { kind: 'readings', readings: decodeReadings(reader, bucketStartMs) }
  if (kind !== ROLLUP_BODY) throw corrupt(`unknown kind ${kind}: it was written by a newer version of Relay`)

  const rollup = emptyRollup()
  rollup.sum = decodeSum(reader)
  rollup.sumSquares = decodeSum(reader)
  rollup.firstMs = bucketStartMs + reader.varint()
  rollup.lastMs = rollup.firstMs + reader.varint()
  rollup.firstValue = reader.finite()
  rollup.lastValue = reader.finite()
  // old rows may lack the squares, which the distribution has
  if (parts === 'sums' && !rollup.sumSquares.lost) {
    reader.skipRest()
    return { kind: 'rollup', rollup }
  }
  rollup.digest = decodeDigest(reader)
  if (rollup.sumSquares.lost && rollup.digest.level === EXACT) rollup.sumSquares = squaresOf(rollup.digest)
  return { kind: 'rollup', rollup }
}

/** Computes the sum of squares that an earlier version of Relay dropped, if the values are still there. */
function squaresOf ({ keys, counts }: Digest): ExactSum {
  const squares = emptySum()
  for (let n = 0; n < keys.length; n++) addSquares(squares, keys[n], counts[n])
  return squares
}

/**
 * Whether a stored body has the expected content. One that lacks the sum of squares, dropped by an earlier version of
 * Relay, is accepted too.
 * @param expected as this version writes it
 */
export function isBodyOf (stored: Buffer, expected: Buffer, bucketStartMs: number): boolean {
  if (stored.equals(expected)) return true
  if (stored[0] !== ROLLUP_BODY || !hasLostSquares(stored)) return false
  const content = decodeContent(new ByteReader(expected), bucketStartMs)
  if (content.kind !== 'rollup') return false
  // the count of a row is in its column
  const lost = { ...content.rollup, count: 1, sumSquares: { ...emptySum(), lost: true } }
  return encodeRollupBody(lost, bucketStartMs).equals(stored)
}

function hasLostSquares (rollupBody: Buffer): boolean {
  const reader = new ByteReader(rollupBody)
  try {
    reader.byte()
    decodeSum(reader)
    return decodeSum(reader).lost
  } catch (error) {
    if (error instanceof RelayError) return false // damaged
    throw error
  }
}

/** Columns and readings must agree. */
function checkReadings ({ values }: Readings, { count, min, max }: BodyOfRow): void {
  if (values.length !== count) throw corrupt(`it contains ${values.length} readings, but its row says ${count}`)
  let least = Infinity
  let most = -Infinity
  for (let n = 0; n < values.length; n++) {
    if (values[n] < least) least = values[n]
    if (values[n] > most) most = values[n]
  }
  checkSpan(least === min && most === max, min, max)
}

/** Columns and rollup must agree. A distribution that was not read is not checked. */
function checkRollup ({ digest, firstValue, lastValue }: Rollup, { count, min, max }: BodyOfRow): void {
  const { level, keys, counts } = digest
  if (count === 0) throw corrupt('its row says that it has no readings')
  if (keys.length > 0) {
    let counted = 0
    for (let n = 0; n < counts.length; n++) counted += counts[n]
    if (counted !== count) throw corrupt(`it contains ${counted} readings, but its row says ${count}`)
    const [least, most] = level === EXACT ? [min, max] : [binKey(min, level), binKey(max, level)]
    checkSpan(keys[0] === least && keys[keys.length - 1] === most, min, max)
  }
  if (!(Math.min(firstValue, lastValue) >= min && Math.max(firstValue, lastValue) <= max)) {
    throw corrupt('its first or last value is not between its minimum and maximum')
  }
}

function checkSpan (isRight: boolean, min: number, max: number): void {
  if (!isRight) throw corrupt(`its values do not span ${min} to ${max} as its row says`)
}
