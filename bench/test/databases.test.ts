import assert from 'node:assert/strict'
import { test } from 'node:test'

import { DAY_MS } from 'relay-rollups'

import { computeAnswers, findFault } from '../src/databases/expected.ts'
import { createQueries, END_MS, type Answer, type BenchmarkQuery } from '../src/databases/queries.ts'
import { createStored, orderOfDevices, storedSteps, tailReadings, type Reading } from '../src/databases/readings.ts'
import { readingTimeMs } from '../src/history-fleet.ts'

const stored = createStored({ devices: 6, zones: 3, readingMs: 60_000, days: 3, endMs: END_MS })

/** What a database is sent, without the readings that are sent again. */
const readings: Reading[] = []
for (const { startMs, at, values } of storedSteps(stored)) {
  for (const n of orderOfDevices(stored)) {
    readings.push({ n, timeMs: readingTimeMs(n, startMs, 0, stored.readingMs), value: values[n][at] })
  }
}
readings.push(...tailReadings(stored).filter(it => !it.isResent))

const keyOf = ({ n, timeMs }: Reading) => `${n} ${timeMs}`

test('readings are sent once, and resends repeat one of them', () => {
  assert.equal(new Set(readings.map(keyOf)).size, readings.length)
  const known = new Map(readings.map(it => [keyOf(it), it.value]))
  const resent = tailReadings(stored).filter(it => it.isResent).toArray()
  assert.ok(resent.length > 0)
  for (const it of resent) assert.equal(known.get(keyOf(it)), it.value)
})

test('right answers are those of all readings, each counted once', () => {
  const queries = createQueries(stored, 2).flatMap(it => it.queries)
  const answers = computeAnswers(stored, queries)
  for (const query of queries) {
    if (query.kind !== 'total') continue
    const { selection: { device, zone, type }, startMs, endMs } = query
    const values = readings.filter(({ n, timeMs }) => {
      const it = stored.fleet[n]
      return timeMs >= startMs && timeMs < endMs &&
        it.id === (device ?? it.id) && it.zone === (zone ?? it.zone) && it.type === (type ?? it.type)
    }).map(it => it.value)
    const row = {
      count: values.length,
      min: Math.min(...values),
      max: Math.max(...values),
      avg: values.reduce((sum, it) => sum + it) / values.length
    }
    assert.equal(findFault([row], answers.get(query)!), undefined)
  }
})

test('a day on which clocks are set back has 25 hours', () => {
  const query: BenchmarkQuery = {
    kind: 'rows', selection: {}, startMs: END_MS - 3 * DAY_MS, endMs: END_MS, interval: 'day', timeZone: 'Europe/Berlin'
  }
  const rows = computeAnswers(stored, [query]).get(query)!
  const hours = rows.map(it => Math.floor(it.count! / 6 / 60))
  assert.deepEqual(hours, [22, 25, 24, 1])
})

test('an answer that counts a reading twice is found', () => {
  const right: Answer = [{ count: 60, min: 1, max: 2, avg: 1.5 }]
  assert.equal(findFault(right, right), undefined)
  assert.equal(findFault([{ ...right[0], count: 61 }], right), 'count 61 for 60')
  assert.equal(findFault([{ ...right[0], avg: 1.5 + 1e-8 }], right), 'avg 1.50000001 for 1.5')
  assert.equal(findFault([], right), '0 rows for 1')
})
