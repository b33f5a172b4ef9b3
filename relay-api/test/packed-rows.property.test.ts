/** Rows that PostgreSQL packs are unpacked without a difference. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { PACKED_ROWS_MAX, packRows, unpackRows, type PackedRow } from '../src/query/packed-rows.ts'

/** -0 would get lost on its way into the statement, as text. */
const double = fc.double({ noNaN: true }).map(it => it === 0 ? 0 : it)
const row: fc.Arbitrary<PackedRow> = fc.record({
  bucketStartMs: fc.integer({ min: -62_135_596_800, max: 253_402_300_799 }).map(seconds => seconds * 1000),
  count: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  min: double,
  max: double,
  body: fc.uint8Array({ maxLength: 5_000 }).map(it => Buffer.from(it))
}, { noNullPrototype: true })

test('rows of any numbers and bodies are unpacked as they were packed, and no rows make no value', async t => {
  const { database } = await openLocalPostgres(t)
  const pack = async (rows: readonly PackedRow[]) => {
    const packed = await database.query<{ rows: Buffer }>(packRows(`
        select to_timestamp(start_s) as bucket_start, count::bigint, min, max, body
        from unnest($1::float8[], $2::text[], $3::float8[], $4::float8[], $5::bytea[])
          with ordinality as r (start_s, count, min, max, body, n)
        order by n`), [
      rows.map(it => it.bucketStartMs / 1000), rows.map(it => String(it.count)), rows.map(it => it.min),
      rows.map(it => it.max), rows.map(it => it.body)
    ])
    return packed.map(it => [...unpackRows(it.rows)])
  }
  assert.deepEqual(await pack([]), [])
  const many = Array.from({ length: 3 * PACKED_ROWS_MAX - 1 }, (_, n) =>
    ({ bucketStartMs: n * 1000, count: n + 1, min: -n - 1, max: n, body: Buffer.of(n & 0xff) }))
  const values = await pack(many)
  assert.deepEqual(values.map(it => it.length).sort(), [PACKED_ROWS_MAX - 1, PACKED_ROWS_MAX, PACKED_ROWS_MAX])
  assert.deepEqual(values.flat().sort((a, b) => a.bucketStartMs - b.bucketStartMs), many)
  await fc.assert(fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 20 }), async rows => {
    assert.deepEqual((await pack(rows)).flat(), rows)
  }), { numRuns: 200 })
})

test('other bytes are refused', () => {
  assert.throws(() => [...unpackRows(Buffer.alloc(100))], /no packed row at byte 0/)
})
