/** Look-ups of `relay verify` beside rows: they may span many days, and repeat for each day and device. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { DAY_MS, JournalWriter, MINUTE_MS } from 'relay-rollups'

import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { Arrivals } from '../../relay-processor/src/arrivals.ts'
import { writeMisplaced } from '../../relay-processor/src/homes.ts'
import { Misplaced } from '../../relay-processor/src/misplaced.ts'
import { Journaled } from '../src/journaled.ts'
import { OnTheWay } from '../src/stored-buckets.ts'

const limit = { timeout: 60_000 }
const startMs = Date.UTC(2024, 0, 1)

test('readings on their way are found by series, for ranges of any length', limit, async t => {
  const { database } = await openLocalPostgres(t)
  using opened = new DisposableStack() // before the database closes, which waits for it
  const client = opened.adopt(await database.connect(), it => it.release())
  const misplaced = new Misplaced()
  const arrivals = new Arrivals()
  for (let n = 0; n < 100; n++) arrivals.add(0, startMs + n * MINUTE_MS / 2, n)
  for (const seriesId of [1, 2_000]) misplaced.add(0, seriesId, arrivals, 0, arrivals.length, -Infinity)
  await writeMisplaced(client, misplaced.take())
  const onTheWay = await OnTheWay.read(client)
  const all = Array.from({ length: 50 }, (_, n) => startMs + n * MINUTE_MS)
  for (let seriesId = 1; seriesId <= 2_000; seriesId++) {
    assert.deepEqual(onTheWay.minutesOf(seriesId, 0, Date.UTC(2030)), seriesId === 1 || seriesId === 2_000 ? all : [])
  }
  assert.deepEqual(onTheWay.minutesOf(1, startMs + MINUTE_MS, startMs + 3 * MINUTE_MS), all.slice(1, 3))
})

test('windows of the journal are found by day, for any number of days', limit, async t => {
  const { database } = await openLocalPostgres(t)
  using opened = new DisposableStack() // before the database closes, which waits for it
  const client = opened.adopt(await database.connect(), it => it.release())
  const days = 60
  const writer = new JournalWriter()
  for (let n = 0; n < days * 1_440; n++) writer.addReading(7, startMs + n * MINUTE_MS, n)
  const { body, firstMs, lastMs } = writer.take()
  await client.query(`insert into journal (block, source_partition, flush, first_time, last_time, body)
    values (1, 0, 1, to_timestamp($1 / 1000.0), to_timestamp($2 / 1000.0), $3)`, [firstMs, lastMs, body])
  const journaled = await Journaled.read(client)
  assert.deepEqual(journaled.daysMs(startMs, startMs + 3 * DAY_MS), [0, 1, 2].map(it => startMs + it * DAY_MS))
  const ids = new Set([7])
  for (let n = 0; n < 100_000; n++) {
    const dayMs = startMs + n % (2 * days) * DAY_MS // half of them are empty
    assert.equal(journaled.find(1, ids, dayMs, dayMs + DAY_MS).length, n % (2 * days) < days ? 24 : 0)
    if (n % 100 === 0) {
      assert.equal(journaled.find(0, ids, dayMs + DAY_MS / 2, dayMs + DAY_MS).length, n % (2 * days) < days ? 720 : 0)
    }
  }
})
