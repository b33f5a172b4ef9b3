/** Cached totals are as right as those that are read. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import fc from 'fast-check'
import { DAY_MS, dayLevel, emptyRollup, encodeRollupBody, foldReading, total } from 'relay-rollups'

import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { until } from 'relay-test-support/until.ts'
import { blocksOf, halvesOf, type CacheBlock } from '../src/query/blocks.ts'
import { planRange } from '../src/query/plan.ts'
import { createTotalReader } from '../src/query/read-total.ts'
import { counting, numbersOf } from './support/totals.ts'

const firstDayMs = Date.UTC(2024, 0, 10)
const DAYS = 40
const READINGS = 20
const CACHE_BYTES = 2 ** 20
const zone = 'Zone A'
const allDays = { startMs: firstDayMs, endMs: firstDayMs + DAYS * DAY_MS }

/** Days of two groups of a zone with readings, which flushes change like a processor. */
async function openSite (t: TestContext) {
  const { database } = await openLocalPostgres(t)
  await database.query("select ensure_rollup_partitions('day', to_timestamp($1), to_timestamp($2))",
    [allDays.startMs / 1000, allDays.endMs / 1000])
  const series: number[] = []
  for (const type of ['THERMOSTAT', 'CAR_FUEL']) {
    const [{ series_id: id }] = await database.query<{ series_id: number }>(
      'insert into series (zone, device_type) values ($1, $2) returning series_id', [zone, type])
    series.push(id)
  }
  const cells = series.flatMap(seriesId => Array.from(
    { length: DAYS }, (_, day) => ({ seriesId, day, readings: READINGS })
  ))

  /** One transaction: these cells have so many readings now. */
  const flush = async (changed: typeof cells) => database.transaction(async client => {
    for (const { seriesId, day, readings } of changed) {
      const bucketMs = firstDayMs + day * DAY_MS
      const rollup = emptyRollup()
      for (let n = 0; n < readings; n++) foldReading(rollup, bucketMs + n, day + n / 10)
      await client.query(`
        insert into rollups_day as r (series_id, bucket_start, source_partition, count, sum, min, max, body)
        values ($1, to_timestamp($2), 0, $3, $4, $5, $6, $7)
        on conflict (series_id, bucket_start, source_partition) do update
          set count = excluded.count, sum = excluded.sum, min = excluded.min, max = excluded.max, body = excluded.body`,
      [seriesId, bucketMs / 1000, rollup.count, total(rollup), rollup.min, rollup.max, encodeRollupBody(
        rollup, bucketMs
      )])
      await client.query(`
        insert into rollup_commits (level, first_bucket, last_bucket, series_ids)
        values (2, to_timestamp($1), to_timestamp($1), array[$2::integer])`, [bucketMs / 1000, seriesId])
    }
  })
  await flush(cells)
  return { database, cells, flush }
}

test('merged blocks are not read again until they change, and then only the changed ones', async t => {
  const { database, cells, flush } = await openSite(t)
  const { counted, statements } = counting(database)
  const reader = createTotalReader(counted, CACHE_BYTES)
  let nowMs = allDays.endMs + 10 * DAY_MS
  const ask = async (range = allDays) => {
    statements.length = 0
    nowMs += 61_000 // a changed past bucket is cached again by then
    const { rollup } = await reader.readTotal({ zone }, range, nowMs)
    return { count: rollup.count, rows: statements.reduce((sum, rows) => sum + rows) }
  }
  // a transaction of another test that began before a flush makes it look new while it lasts
  const untilFromMemory = (count: number, range = allDays) => until('an answer from memory', async () => {
    const answer = await ask(range)
    assert.equal(answer.count, count)
    return answer.rows === 1
  })
  assert.deepEqual(await ask(), { count: 2 * DAYS * READINGS, rows: 2 * DAYS + 1 }) // and the row of the moment
  await untilFromMemory(2 * DAYS * READINGS)
  await untilFromMemory(4 * READINGS, { startMs: firstDayMs + 3 * DAY_MS, endMs: firstDayMs + 5 * DAY_MS })

  cells[7].readings++
  await flush([cells[7]])
  const changed = await ask()
  assert.equal(changed.count, 2 * DAYS * READINGS + 1)
  assert.ok(changed.rows < 10, `${changed.rows} rows`)
  nowMs += 61_000
  await untilFromMemory(2 * DAYS * READINGS + 1)

  nowMs += 11 * 60_000 // commits of that time may have been deleted
  assert.equal((await ask()).rows, 2 * DAYS + 1)
})

test('blocks are read again if commits since then may be deleted', async t => {
  const { database, cells, flush } = await openSite(t)
  const { counted, statements } = counting(database)
  const reader = createTotalReader(counted, CACHE_BYTES)
  let nowMs = allDays.endMs + 10 * DAY_MS
  const ask = async () => (await reader.readTotal({ zone }, allDays, nowMs)).rollup.count
  await until('an answer from memory', async () => { // as above, another test may be in the way for a while
    statements.length = 0
    nowMs += 61_000
    assert.equal(await ask(), 2 * DAYS * READINGS)
    return statements.reduce((sum, rows) => sum + rows) === 1
  })
  cells[7].readings++
  await flush([cells[7]])
  await database.query('delete from rollup_commits') // whatever the clocks say
  await database.query('update rollup_commit_marks set oldest = pg_snapshot_xmax(pg_current_snapshot())')
  assert.equal(await ask(), 2 * DAYS * READINGS + 1)
})

test('while readings move between days, the total of all days never changes', { timeout: 120_000 }, async t => {
  const { database, cells, flush } = await openSite(t)
  const { counted, statements } = counting(database)
  const reader = createTotalReader(counted, CACHE_BYTES)
  let nowMs = allDays.endMs + 10 * DAY_MS
  const moving = new AbortController()
  const askOn = async () => {
    while (!moving.signal.aborted) {
      const { rollup } = await reader.readTotal({ zone }, allDays, nowMs += 61_000)
      assert.equal(rollup.count, 2 * DAYS * READINGS)
    }
  }
  const asking = Promise.all([askOn(), askOn(), askOn()])
  // a transaction of another test disables the cache while it lasts: moves continue until it was used
  const usedMemory = () => statements.filter(rows => rows < 2 * DAYS).length
  for (let n = 0; n < 150 || usedMemory() < 50; n++) {
    const [from, to] = [cells[n * 7 % cells.length], cells[(n * 13 + 1) % cells.length]]
    if (from === to || from.readings === 1) continue
    from.readings--
    to.readings++
    await flush([from, to])
  }
  moving.abort()
  await asking
})

test('any range and any of its rows equal those of an uncached reader, after any queries and changes', async t => {
  const { database, cells, flush } = await openSite(t)
  const reader = createTotalReader(database, CACHE_BYTES)
  const plain = createTotalReader(database, 0)
  let nowMs = allDays.endMs + 10 * DAY_MS
  const range = fc.tuple(fc.nat(DAYS - 1), fc.integer({ min: 1, max: DAYS })).map(([start, length]) =>
    ({ startMs: firstDayMs + start * DAY_MS, endMs: firstDayMs + Math.min(start + length, DAYS) * DAY_MS }))
  const selection = fc.constantFrom({ zone }, { deviceType: 'THERMOSTAT' }, { zone, deviceType: 'CAR_FUEL' })
  const step = fc.record({
    changed: fc.array(
      fc.record({ at: fc.nat(cells.length - 1), readings: fc.integer({ min: 1, max: 200 }) }), { maxLength: 3 }
    ),
    asked: fc.array(fc.record({ selection, range, waitMs: fc.constantFrom(0, 1_000, 61_000, 700_000) }), {
      minLength: 1, maxLength: 4
    })
  })
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async steps => {
    for (const { changed, asked } of steps) {
      for (const { at, readings } of changed) cells[at].readings = readings
      if (changed.length > 0) await flush([...new Set(changed.map(it => cells[it.at]))])
      for (const { selection, range, waitMs } of asked) {
        nowMs += waitMs
        const found = await reader.readTotal(selection, range, nowMs)
        const expected = await plain.readTotal(selection, range, nowMs)
        assert.deepEqual(numbersOf(found), numbersOf(expected))

        const days = Array.from({ length: (range.endMs - range.startMs) / DAY_MS }, (_, day) =>
          ({ startMs: range.startMs + day * DAY_MS, endMs: range.startMs + (day + 1) * DAY_MS }))
        const plans = days.map(it => planRange(it))
        const { merged } = await reader.readTotals(selection, plans, nowMs, { marksRevised: true })
        for (const [n, day] of days.entries()) {
          assert.deepEqual(numbersOf(merged[n]), numbersOf(await plain.readTotal(selection, day, nowMs)))
        }
      }
    }
  }), { numRuns: 25, endOnFailure: true })
})

test('blocks cover a range without gaps or overlaps, and each is two halves of the next', () => {
  const day = fc.integer({ min: -40_000, max: 40_000 })
  fc.assert(fc.property(day, fc.integer({ min: 0, max: 4_000 }), (start, length) => {
    const range = { level: dayLevel, startMs: start * DAY_MS, endMs: (start + length) * DAY_MS }
    const blocks = blocksOf(range)
    let atMs = range.startMs
    const check = (block: CacheBlock) => {
      assert.equal(block.endMs - block.startMs, 2 ** block.power * DAY_MS)
      assert.equal(Math.abs(block.startMs % (block.endMs - block.startMs)), 0)
      if (block.power === 0) return
      const [first, second] = halvesOf(block)
      assert.deepEqual([first.startMs, first.endMs, second.endMs], [block.startMs, second.startMs, block.endMs])
      check(first)
    }
    for (const block of blocks) {
      assert.equal(block.startMs, atMs)
      atMs = block.endMs
      check(block)
    }
    assert.equal(atMs, range.endMs)
    assert.ok(blocks.length <= length / 128 + 16)
  }))
})
