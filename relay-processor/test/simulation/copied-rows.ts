/** Decodes the rows of a COPY, according to PostgreSQL's description of the format: checks RowEncoder. */
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

/** A row of the journal. */
export interface CopiedFragment {
  readonly block: number
  readonly sourcePartition: number
  readonly flush: number
  readonly firstMs: number
  readonly lastMs: number
  readonly body: Buffer
}

/** @param rows of the journal */
export function decodeFragments (rows: Buffer): CopiedFragment[] {
  const decoded: CopiedFragment[] = []
  let at = 0
  const column = () => {
    const length = rows.readInt32BE(at)
    at += 4 + length
    return rows.subarray(at - length, at)
  }
  while (at < rows.length) {
    assert.equal(rows.readInt16BE(at), 6)
    at += 2
    decoded.push({
      block: column().readInt32BE(),
      sourcePartition: column().readInt32BE(),
      flush: Number(column().readBigInt64BE()),
      firstMs: POSTGRES_EPOCH_MS + Number(column().readBigInt64BE() / 1000n),
      lastMs: POSTGRES_EPOCH_MS + Number(column().readBigInt64BE() / 1000n),
      body: column()
    })
  }
  return decoded
}

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
