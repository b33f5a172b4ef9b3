/** Reads the rows of a COPY back, by PostgreSQL's description of the format: what RowEncoder must have written. */
import assert from 'node:assert/strict'

export interface CopiedRow {
  readonly levelIndex: number
  readonly seriesId: number
  readonly bucketMs: number
  readonly sourcePartition: number
  readonly count: number
  readonly sum: number
  readonly min: number
  readonly max: number
  readonly body: Buffer
}

const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1)

/** @param rows of one level, without the header and the trailer */
export function decodeRows (levelIndex: number, rows: Buffer): CopiedRow[] {
  const decoded: CopiedRow[] = []
  let at = 0
  const column = (sizeBytes?: number) => {
    const length = rows.readInt32BE(at)
    if (sizeBytes !== undefined) assert.equal(length, sizeBytes)
    at += 4 + length
    return rows.subarray(at - length, at)
  }
  while (at < rows.length) {
    assert.equal(rows.readInt16BE(at), 8)
    at += 2
    decoded.push({
      levelIndex,
      seriesId: column(4).readInt32BE(),
      bucketMs: POSTGRES_EPOCH_MS + Number(column(8).readBigInt64BE() / 1000n),
      sourcePartition: column(4).readInt32BE(),
      count: Number(column(8).readBigInt64BE()),
      sum: column(8).readDoubleBE(),
      min: column(8).readDoubleBE(),
      max: column(8).readDoubleBE(),
      body: column()
    })
  }
  return decoded
}
