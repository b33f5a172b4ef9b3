/**
 * Packed rows: several rows of a rollup table in one value of an answer. Otherwise PostgreSQL writes each column as
 * text, and we parse it. Packed rows are bytes that both sides only copy: what `record_send` writes for (start of the
 * bucket, count, minimum, maximum, body).
 *
 *     int32 5   (int32 type, int32 8, float64) x 4   int32 type, int32 length, body      big-endian, for each row
 */
import type { RollupRow } from 'relay-rollups'

import { PARTITIONS_GUESS, type SeriesKind } from './groups.ts'

/** Columns of a row that answers need. */
export type PackedRow = Pick<RollupRow, 'bucketStartMs' | 'count' | 'min' | 'max' | 'body'>

/** Columns of rows `r` of a rollup table in an answer. */
export const plainColumns = "date_part('epoch', r.bucket_start), r.count::float8, r.min, r.max, r.body"

/** The same columns for a packed value `r.rows`, which takes the place of the body. */
export const packedColumns = `${'null::float8, '.repeat(4)}r.rows`

/** Of one value: with more, it would be some MB, and take some ms to visit. */
export const PACKED_ROWS_MAX = 128

/**
 * SQL of packed values.
 * @param rows SELECT of rows of a rollup table
 * @param by further columns of it; each value has rows of one combination
 * @returns SELECT of these columns, and of a `bytea` as `rows`
 */
export function packRows (rows: string, by: readonly string[] = []): string {
  return `
      select ${[...by, ''].join(', ')}string_agg(
        record_send(row(${plainColumns})), '') as rows
      from (select *, (row_number() over () - 1) / ${PACKED_ROWS_MAX} as value from (${rows}) r) r
      group by ${[...by, 'value'].join(', ')}`
}

/** Of a series: more are visited one by one, while the next ones are read. */
const SERIES_ROWS_MAX = 256

/** Whether to pack the rows of a series: several, and not too many. @param buckets of the series */
export function mayPack (buckets: number, kind: SeriesKind): boolean {
  const rows = buckets * (kind === 'groups' ? PARTITIONS_GUESS : 1)
  return rows > 1 && rows <= SERIES_ROWS_MAX
}

const COLUMNS = 5
const COLUMN_HEAD = 8
const FIRST = 4 + COLUMN_HEAD
const STEP = COLUMN_HEAD + 8
const BODY = FIRST + 4 * STEP

/** The rows of a packed value. @throws Error for other bytes: the statement is wrong */
export function * unpackRows (packed: Buffer): Generator<PackedRow> {
  let at = 0
  while (at < packed.length) {
    if (packed.readInt32BE(at) !== COLUMNS) throw new Error(`no packed row at byte ${at}`)
    const end = at + BODY + packed.readInt32BE(at + BODY - 4)
    yield {
      bucketStartMs: packed.readDoubleBE(at + FIRST) * 1000,
      count: packed.readDoubleBE(at + FIRST + STEP),
      min: packed.readDoubleBE(at + FIRST + 2 * STEP),
      max: packed.readDoubleBE(at + FIRST + 3 * STEP),
      body: packed.subarray(at + BODY, end)
    }
    at = end
  }
}
