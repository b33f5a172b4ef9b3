/**
 * A range that begins within a minute, of a zone of very many devices: it is right, and it waits behind short
 * questions.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Database } from 'relay-common'

import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { createCrowds } from '../src/query/crowded.ts'
import { createTotalReader } from '../src/query/read-total.ts'
import { writeEvents } from './support/write-events.ts'

const startMs = Date.parse('2024-01-01T00:00:00Z')
const MANY = 5_001

test('the edges of a crowded zone are read in a statement that counts as long, those of a small one are not', { timeout: 60_000 }, async t => {
  const { database } = await openLocalPostgres(t)
  const eventsOf = (zone: string, count: number) => Array.from({ length: count }, (_, n) => ({
    deviceId: `${zone} ${n}`,
    deviceType: n % 2 === 0 ? 'CAR_FUEL' : 'THERMOSTAT',
    zone,
    value: n,
    timestampMs: startMs + n % 120_000,
    sourcePartition: 0
  }))
  const all = [...eventsOf('Crowded', MANY), ...eventsOf('Small', 10)]
  await writeEvents(database, all)
  const long: Array<boolean | undefined> = []
  const watched: Database = {
    ...database,
    streamPrepared (name, sql, values, visit, whom) {
      if (name.startsWith('total')) long.push(whom?.isLong)
      return database.streamPrepared(name, sql, values, visit, whom)
    }
  }
  const totals = createTotalReader(watched, 0)
  const range = { startMs: startMs + 1_500, endMs: startMs + 61_700 }
  for (const [selection, isLong] of [
    [{ zone: 'Crowded' }, true], [{}, true], [{ zone: 'Small' }, false], [{ deviceType: 'CAR_FUEL' }, false],
    [{ zone: 'Crowded', deviceType: 'THERMOSTAT' }, false], [{ deviceId: 'Crowded 3' }, false]
  ] as const) {
    const expected = all.filter(it => it.timestampMs >= range.startMs && it.timestampMs < range.endMs &&
      Object.entries(selection).every(([field, name]) => it[field as 'zone'] === name))
    const { rollup } = await totals.readTotal(selection, range, Date.now())
    assert.equal(rollup.count, expected.length, JSON.stringify(selection))
    assert.equal(long.pop() ?? false, isLong, JSON.stringify(selection))
  }
  const minutes = { startMs, endMs: startMs + 60_000 }
  await totals.readTotal({ zone: 'Crowded' }, minutes, Date.now())
  assert.equal(long.pop() ?? false, false, 'whole minutes are those of the zone itself')
})

test('a zone that grows is crowded soon after', { timeout: 60_000 }, async t => {
  const { database } = await openLocalPostgres(t)
  let nowMs = 0
  const crowds = createCrowds(database, () => nowMs)
  assert.equal(await crowds.isCrowded({ zone: 'New' }), false)
  await database.query(
    `insert into series (device_id, zone, device_type) select 'd' || n, 'New', 'CAR_FUEL' from generate_series(1, ${MANY}) n`
  )
  nowMs += 20_000
  assert.equal(await crowds.isCrowded({ zone: 'New' }), true)
})
