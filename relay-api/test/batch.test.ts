/** Parallel queries: each is answered as if it were alone. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { DAY_MS, HOUR_MS, MINUTE_MS } from 'relay-rollups'

import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { nobody } from '../src/sharing/asker.ts'
import type { Merged } from '../src/query/merge.ts'
import { planRange } from '../src/query/plan.ts'
import type { SeriesFilter } from '../src/query/rows-statement.ts'
import { createTotalReader } from '../src/query/read-total.ts'
import { counting, numbersOf } from './support/totals.ts'
import { writeEvents, type PlacedEvent } from './support/write-events.ts'

const startMs = Date.UTC(2024, 2, 1)
const DAYS = 3
const CACHE_BYTES = 2 ** 20
const nowMs = startMs + 30 * DAY_MS
const zones = ['Zone A', 'Zone B']
const types = ['THERMOSTAT', 'CAR_FUEL']
const devices = ['a-1', 'a-2', 'b-1', 'b-2']

/** Every device in a zone with its own letter, a reading every 17 minutes. */
const events: PlacedEvent[] = devices.flatMap((deviceId, n) =>
  Array.from({ length: DAYS * DAY_MS / (17 * MINUTE_MS) | 0 }, (_, k) => ({
    deviceId,
    zone: zones[n >> 1],
    deviceType: types[n & 1],
    value: (k * 7 + n * 31) % 100 / 4 - n,
    timestampMs: startMs + k * 17 * MINUTE_MS + n * 1_111,
    sourcePartition: n % 3
  })))

const grants = fc.constantFrom(
  undefined, {}, { zones: ['Zone A'] }, { zones: ['Zone B'] }, { devicePrefixes: ['a-', 'b-2'] }
)
const selection: fc.Arbitrary<SeriesFilter> = fc.tuple(
  fc.constantFrom<SeriesFilter>(
    ...devices.map(deviceId => ({ deviceId })), ...zones.map(zone => ({ zone })), ...types.map(
      deviceType => ({ deviceType })
    ),
    { zone: 'Zone A', deviceType: 'CAR_FUEL' }, { deviceId: 'nobody' }),
  grants
).map(([selection, grants]) => ({ ...selection, ...grants ? { grants } : {} }))
const range = fc.tuple(
  fc.constantFrom(DAY_MS, HOUR_MS, 90 * MINUTE_MS, 1_001), fc.nat(2 * DAYS), fc.integer({ min: 1, max: 30 })
).map(([unitMs, first, length]) => ({ startMs: startMs + first * unitMs, endMs: startMs + (first + length) * unitMs }))

test('queries of any callers at the same time are answered as if alone', async t => {
  const { database } = await openLocalPostgres(t)
  await writeEvents(database, events)
  const alone = createTotalReader(database, 0)
  for (const cacheBytes of [0, CACHE_BYTES]) {
    const reader = createTotalReader(database, cacheBytes)
    await fc.assert(fc.asyncProperty(fc.array(
      fc.tuple(selection, range), { minLength: 1, maxLength: 80 }
    ), async questions => {
      const answers = await Promise.all(questions.map(([selection, range]) => reader.readTotal(
        selection, range, nowMs
      )))
      for (const [n, [selection, range]] of questions.entries()) {
        assert.deepEqual(numbersOf(answers[n]), numbersOf(await alone.readTotal(selection, range, nowMs)))
      }
    }), { numRuns: 20, endOnFailure: true })
  }
})

test('rows equal queries of their own range, with any ends', async t => {
  const { database } = await openLocalPostgres(t)
  await writeEvents(database, events)
  const reader = createTotalReader(database, CACHE_BYTES)
  const alone = createTotalReader(database, 0)
  const cuts = fc.uniqueArray(fc.nat(DAYS * 24 * 60), { minLength: 2, maxLength: 8 }).map(it =>
    it.sort((a, b) => a - b))
  await fc.assert(fc.asyncProperty(selection, cuts, fc.nat(
    70_000
  ), fc.nat(70_000), async (selection, cuts, firstMs, lastMs) => {
    const boundaries = cuts.map(it => startMs + it * MINUTE_MS)
    boundaries[0] -= firstMs
    boundaries[boundaries.length - 1] += lastMs
    const ranges = boundaries.slice(1).map((endMs, n) => ({ startMs: boundaries[n], endMs }))
    const { merged } = await reader.readTotals(selection, ranges.map(it => planRange(it)), nowMs, {})
    for (const [n, range] of ranges.entries()) {
      assert.deepEqual(numbersOf(merged[n]), numbersOf(await alone.readTotal(selection, range, nowMs)))
    }
  }), { numRuns: 60, endOnFailure: true })
})

test('one query that meets a broken row does not fail the others of its batch', async t => {
  const { database } = await openLocalPostgres(t)
  await writeEvents(database, events)
  await database.query(`
    update rollups_day r set body = '\\xff' from series s where s.series_id = r.series_id and s.device_id = 'a-2'`)
  const { counted, statements } = counting(database)
  const reader = createTotalReader(counted, 0)
  const day = { startMs, endMs: startMs + DAY_MS }
  const answers = await Promise.allSettled(devices.map(deviceId => reader.readTotal({ deviceId }, day, nowMs)))
  assert.equal(statements.length, 1)
  for (const [n, answer] of answers.entries()) {
    if (devices[n] === 'a-2') assert.equal((answer as PromiseRejectedResult).reason.code, 'RELAY_ROLLUP_CORRUPT')
    else {
      assert.equal((answer as PromiseFulfilledResult<Merged>).value.rollup.count, events.filter(it =>
        it.deviceId === devices[n] && it.timestampMs < day.endMs).length)
    }
  }
})

test('queries at the same time fail together while the database is unreachable, and the next ones succeed', async t => {
  const { database } = await openLocalPostgres(t)
  await writeEvents(database, events)
  let isAway = true
  const reader = createTotalReader({
    ...database,
    streamPrepared: (name, sql, values, visit) =>
      database.streamPrepared(name, isAway ? `${sql} where pg_terminate_backend(pg_backend_pid())` : sql, values, visit)
  }, 0)
  const day = { startMs, endMs: startMs + DAY_MS }
  const ask = () => Promise.allSettled(devices.map(deviceId => reader.readTotal({ deviceId }, day, nowMs)))
  assert.deepEqual((await ask()).map(it => it.status), devices.map(() => 'rejected'))
  isAway = false
  assert.deepEqual((await ask()).map(it => it.status), devices.map(() => 'fulfilled'))
})

test('queries share a statement with others that leave, in any order', async t => {
  const { database } = await openLocalPostgres(t)
  await writeEvents(database, events)
  const day = { startMs, endMs: startMs + DAY_MS }
  const reader = createTotalReader(database, 0)
  const expected = numbersOf(await reader.readTotal({ deviceId: 'a-1' }, day, nowMs))
  const asked = fc.record({ afterTurns: fc.nat(3), leavesAfter: fc.option(fc.nat(3), { nil: undefined }) })
  const turns =
    async (count: number) => { for (let n = 0; n < count; n++) await new Promise(resolve => setImmediate(resolve)) }
  await fc.assert(fc.asyncProperty(fc.array(asked, { minLength: 1, maxLength: 20 }), async all => {
    await Promise.all(all.map(async ({ afterTurns, leavesAfter }) => {
      await turns(afterTurns)
      const leaving = new AbortController()
      const leave = () => leaving.abort(new Error('gone'))
      if (leavesAfter === 0) queueMicrotask(leave)
      else if (leavesAfter !== undefined) turns(leavesAfter).then(leave)
      const answer = reader.readTotal({ deviceId: 'a-1' }, day, nowMs, { ...nobody, signal: leaving.signal })
      await answer.then(it => assert.deepEqual(numbersOf(it), expected), error => {
        assert.equal(error.message, 'gone')
        assert.ok(leavesAfter !== undefined, 'who stays is answered')
      })
    }))
  }), { numRuns: 100 })
})
