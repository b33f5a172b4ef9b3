/** Writes rollup rows directly into the tables of their levels, by binary COPY: history without events. */
import { once } from 'node:events'

import type { Database, PoolClient } from 'relay-common'
import {
  appendReadingsBody, appendRollupBody, ByteWriter, total, type Level, type Readings, type Rollup
} from 'relay-rollups'
import { from as copyFrom, type CopyStreamQuery } from 'pg-copy-streams'

const COLUMNS = 8
const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')
const TRAILER = Buffer.from([0xff, 0xff])
const FIXED_BYTES = 2 + COLUMNS * 4 + 4 + 8 + 4 + 8 + 3 * 8

/** timestamptz counts microseconds from 2000-01-01 */
const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1)

/** Size of one write. */
const CHUNK_BYTES = 1024 * 1024

export interface CopiedRow {
  readonly seriesId: number
  readonly bucketMs: number
  readonly sourcePartition: number
  readonly rollup: Rollup
  /** readings stored by a device's minute row */
  readonly readings?: Readings
}

/** A COPY into one level's table, on its own connection. */
export class RollupCopy {
  readonly #client: PoolClient
  readonly #copy: CopyStreamQuery
  readonly #body = new ByteWriter(16 * 1024)
  #chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  #length = 0
  rows = 0

  private constructor (client: PoolClient, copy: CopyStreamQuery) {
    this.#client = client
    this.#copy = copy
  }

  static async open (database: Database, { table }: Level): Promise<RollupCopy> {
    const client = await database.connect()
    const copy = client.query(copyFrom(`
      copy ${table} (series_id, bucket_start, source_partition, count, sum, min, max, body) from stdin (format binary)`))
    copy.write(SIGNATURE)
    return new RollupCopy(client, copy)
  }

  append ({ seriesId, bucketMs, sourcePartition, rollup, readings }: CopiedRow): void {
    this.#body.length = 0
    if (readings) appendReadingsBody(this.#body, readings, bucketMs)
    else appendRollupBody(this.#body, rollup, bucketMs)
    const { bytes, length } = this.#body
    this.#reserve(FIXED_BYTES + length)
    const chunk = this.#chunk
    let at = chunk.writeInt16BE(COLUMNS, this.#length)
    at = chunk.writeInt32BE(seriesId, chunk.writeInt32BE(4, at))
    at = chunk.writeBigInt64BE(BigInt(bucketMs - POSTGRES_EPOCH_MS) * 1000n, chunk.writeInt32BE(8, at))
    at = chunk.writeInt32BE(sourcePartition, chunk.writeInt32BE(4, at))
    at = chunk.writeBigInt64BE(BigInt(rollup.count), chunk.writeInt32BE(8, at))
    for (const value of [total(rollup), rollup.min, rollup.max]) {
      at = chunk.writeDoubleBE(value, chunk.writeInt32BE(8, at))
    }
    at = chunk.writeInt32BE(length, at)
    bytes.copy(chunk, at, 0, length)
    this.#length = at + length
    this.rows++
  }

  /** Waits while PostgreSQL lags. Call it regularly: between two calls rows are only in memory. */
  async drain (): Promise<void> {
    if (this.#length < CHUNK_BYTES / 2) return
    await this.#send(this.#chunk.subarray(0, this.#length))
    this.#chunk = Buffer.allocUnsafe(CHUNK_BYTES)
    this.#length = 0
  }

  async close (): Promise<void> {
    this.#copy.end(Buffer.concat([this.#chunk.subarray(0, this.#length), TRAILER]))
    await once(this.#copy, 'finish')
    this.#client.release()
  }

  async #send (bytes: Buffer): Promise<void> {
    if (!this.#copy.write(bytes)) await once(this.#copy, 'drain')
  }

  #reserve (sizeBytes: number): void {
    if (this.#length + sizeBytes <= this.#chunk.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#chunk.length * 2, this.#length + sizeBytes))
    this.#chunk.copy(grown, 0, 0, this.#length)
    this.#chunk = grown
  }
}
