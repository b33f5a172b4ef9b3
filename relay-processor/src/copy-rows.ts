/**
 * Rollup rows in PostgreSQL's binary COPY format (documentation of COPY, "Binary Format"): a header; per row the number
 * of columns, and the length and bytes of each, all big-endian; a trailer. Hot path: a row takes half a microsecond, in
 * place of 6 with text or parameters.
 *
 * Rows are written into chunks that are sent as they are. If each event opens a row there are many, and copying them
 * into one growing buffer would take three times the memory.
 */
import assert from 'node:assert/strict'

import { roundSum, type ByteWriter, type Rollup } from 'relay-rollups'

/** The columns of a rollup table, in the order of COPY. */
export const COPY_COLUMNS = 'series_id, bucket_start, source_partition, count, sum, min, max, body'
const COLUMN_COUNT = 8
const FIXED_BYTES = 2 + COLUMN_COUNT * 4 + 4 + 8 + 4 + 8 + 3 * 8
const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')
const TRAILER = Buffer.from([0xff, 0xff])
const CHUNK_BYTES = 256 * 1024

/** timestamptz counts microseconds from 2000-01-01 */
export const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1)
const TWO_POW_32 = 2 ** 32

/** The key of a row, in the table of its level. */
export interface RowKey {
  readonly seriesId: number
  readonly bucketMs: number
  readonly sourcePartition: number
}

/** The bytes of a COPY with rows that were encoded separately. */
export function copyStream (rows: readonly Buffer[]): Buffer[] {
  return [SIGNATURE, ...rows, TRAILER]
}

/** Encodes rows of one table. */
export class RowEncoder {
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  #view = new DataView(this.#chunk.buffer)
  #length = 0
  #full: Buffer[] = []

  /**
   * Encodes a row.
   * @param rollup of all its readings
   * @param body written by `appendRollupBody` or `appendReadingsBody`
   */
  append (key: RowKey, rollup: Pick<Rollup, 'count' | 'sum' | 'min' | 'max'>, body: ByteWriter): void {
    assert.ok(key.seriesId > 0, 'a row needs the id of its series')
    this.#reserve(FIXED_BYTES + body.length)
    const view = this.#view
    const at = this.#length
    view.setInt16(at, COLUMN_COUNT)
    view.setInt32(at + 2, 4)
    view.setInt32(at + 6, key.seriesId)
    view.setInt32(at + 10, 8)
    setInt64(view, at + 14, (key.bucketMs - POSTGRES_EPOCH_MS) * 1000)
    view.setInt32(at + 22, 4)
    view.setInt32(at + 26, key.sourcePartition)
    view.setInt32(at + 30, 8)
    setInt64(view, at + 34, rollup.count)
    view.setInt32(at + 42, 8)
    view.setFloat64(at + 46, roundSum(rollup.sum))
    view.setInt32(at + 54, 8)
    view.setFloat64(at + 58, rollup.min)
    view.setInt32(at + 66, 8)
    view.setFloat64(at + 70, rollup.max)
    view.setInt32(at + 78, body.length)
    body.bytes.copy(this.#chunk, at + FIXED_BYTES, 0, body.length)
    this.#length += FIXED_BYTES + body.length
  }

  /** Rows encoded since the last call. They belong to the caller; encoding may continue while they are sent. */
  take (): Buffer[] {
    const taken = this.#full
    if (this.#length > 0) taken.push(Buffer.copyBytesFrom(this.#chunk, 0, this.#length))
    this.#full = []
    this.#length = 0
    return taken
  }

  #reserve (sizeBytes: number): void {
    if (this.#length + sizeBytes <= this.#chunk.length) return
    if (this.#length > 0) this.#full.push(this.#chunk.subarray(0, this.#length))
    this.#chunk = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, sizeBytes))
    this.#view = new DataView(this.#chunk.buffer)
    this.#length = 0
  }
}

/** @param value a whole number within ±2^53 */
function setInt64 (view: DataView, at: number, value: number): void {
  const high = Math.floor(value / TWO_POW_32)
  view.setInt32(at, high)
  view.setUint32(at + 4, value - high * TWO_POW_32)
}
