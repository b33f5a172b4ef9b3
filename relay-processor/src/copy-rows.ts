/**
 * Rollup rows in PostgreSQL's binary COPY format (documentation of COPY, "Binary Format"): a header, per row the number
 * of columns and then each column's length and bytes, all big-endian, and a trailer. Hot path: a row costs ~1 us here,
 * where text or parameters cost 6.
 */
import assert from 'node:assert/strict'

import { appendReadingsBody, appendRollupBody, ByteWriter, roundSum, type Readings, type Rollup } from 'relay-common'

/** What a row is filed under; the columns of `incoming_rollups`, in order, are these, the numbers, and the body. */
export interface RowKey {
  /** 0 minute, 1 hour, 2 day */
  readonly levelIndex: number
  readonly seriesId: number
  readonly bucketMs: number
  readonly sourcePartition: number
}

const COLUMNS = 9
const FIXED_BYTES = 2 + COLUMNS * 4 + 2 + 4 + 8 + 4 + 8 + 3 * 8
const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')
const TRAILER = Buffer.from([0xff, 0xff])

/** timestamptz counts microseconds from 2000-01-01 */
const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1)
const TWO_POW_32 = 2 ** 32

/** The bytes of a COPY around rows that were encoded apart. */
export function copyStream (rows: readonly Buffer[]): Buffer[] {
  return [SIGNATURE, ...rows, TRAILER]
}

/** Encodes rows one behind the other into one buffer that grows. */
export class RowEncoder {
  #buffer: Buffer
  #length = 0
  #rows = 0
  readonly #body = new ByteWriter(16 * 1024)

  constructor (capacityBytes = 1024 * 1024) {
    this.#buffer = Buffer.allocUnsafeSlow(capacityBytes)
  }

  get rows (): number { return this.#rows }

  /** Rows encoded since the last call: a copy, so that encoding may go on while they are on their way. */
  take (): Buffer {
    const taken = Buffer.copyBytesFrom(this.#buffer, 0, this.#length)
    this.#length = 0
    this.#rows = 0
    return taken
  }

  appendRollup (key: RowKey, rollup: Rollup): void {
    this.#body.length = 0
    appendRollupBody(this.#body, rollup, key.bucketMs)
    this.#append(key, rollup)
  }

  appendReadings (key: RowKey, rollup: Rollup, readings: Readings): void {
    this.#body.length = 0
    appendReadingsBody(this.#body, readings, key.bucketMs)
    this.#append(key, rollup)
  }

  #append (key: RowKey, rollup: Rollup): void {
    const { bytes, length } = this.#body
    assert.ok(key.seriesId > 0, 'a row is of a series that has its id')
    this.#reserve(FIXED_BYTES + length)
    this.#rows++
    const buffer = this.#buffer
    let at = this.#length
    at = buffer.writeInt16BE(COLUMNS, at)
    at = buffer.writeInt32BE(2, at)
    at = buffer.writeInt16BE(key.levelIndex, at)
    at = buffer.writeInt32BE(4, at)
    at = buffer.writeInt32BE(key.seriesId, at)
    at = buffer.writeInt32BE(8, at)
    at = writeInt64(buffer, (key.bucketMs - POSTGRES_EPOCH_MS) * 1000, at)
    at = buffer.writeInt32BE(4, at)
    at = buffer.writeInt32BE(key.sourcePartition, at)
    at = buffer.writeInt32BE(8, at)
    at = writeInt64(buffer, rollup.count, at)
    at = writeFloat8(buffer, roundSum(rollup.sum), at)
    at = writeFloat8(buffer, rollup.min, at)
    at = writeFloat8(buffer, rollup.max, at)
    at = buffer.writeInt32BE(length, at)
    bytes.copy(buffer, at, 0, length)
    this.#length = at + length
  }

  #reserve (sizeBytes: number): void {
    if (this.#length + sizeBytes <= this.#buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#length + sizeBytes))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }
}

function writeFloat8 (buffer: Buffer, value: number, at: number): number {
  return buffer.writeDoubleBE(value, buffer.writeInt32BE(8, at))
}

/** @param value a whole number within ±2^53 */
function writeInt64 (buffer: Buffer, value: number, at: number): number {
  const high = Math.floor(value / TWO_POW_32)
  return buffer.writeUInt32BE(value - high * TWO_POW_32, buffer.writeInt32BE(high, at))
}
