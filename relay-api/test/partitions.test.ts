/** With an event in each week since 1970: the existing partitions, and those that a query uses. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { createLogger, type Database } from 'relay-common'
import { DAY_MS, HOUR_MS, MINUTE_MS } from 'relay-rollups'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { readPartitions, WEEK_MS } from 'relay-test-support/rollup-partitions.ts'
import { createApp } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { TOKEN } from './support/ask.ts'
import { writeEvents } from './support/write-events.ts'

const dayMs = Math.floor(Date.now() / DAY_MS) * DAY_MS

/** The app with a database that counts the partitions (and their indexes) locked by each statement. */
async function openSite (t: TestContext, weeks: number) {
  const { database, url } = await openLocalPostgres(t)
  const event = (timestampMs: number, value: number) =>
    ({ deviceId: 'd', deviceType: 'THERMOSTAT', zone: 'Zone A', value, timestampMs, sourcePartition: 0 })
  const yesterday = Array.from(
    { length: 24 * 12 }, (_, n) => event(dayMs - 2 * DAY_MS + n * 5 * MINUTE_MS + 500, n % 30)
  )
  const weekly = Array.from({ length: weeks }, (_, n) => event(dayMs - 3 * DAY_MS - n * WEEK_MS, 20))
  await writeEvents(database, [...weekly, ...yesterday])
  await database.query('analyze')
  let locksMax = 0
  const counted: Database = {
    ...database,
    streamPrepared: async (_name, text, values, visit) => await database.transaction(async client => {
      const { rows } = await client.query({ text, values, rowMode: 'array' })
      const { rows: [{ locks }] } = await client.query(`
        select count(distinct relation)::integer as locks from pg_locks l
        join pg_class c on c.oid = l.relation and c.relispartition where l.pid = pg_backend_pid()`)
      locksMax = Math.max(locksMax, locks)
      for (const row of rows) visit(row)
    })
  }
  const app = await createApp(
    readApiConfig({ DATABASE_URL: url, API_TOKENS: TOKEN, RANGE_MAX_DAYS: '36500' }), counted,
    createLogger('test', 'silent')
  )
  t.after(() => app.close())
  const ask = async (path: string, startMs: number, endMs: number, more: Record<string, string> = {}) => {
    locksMax = 0
    const names = path.startsWith('/api/v1') ? ['start', 'end'] : ['startTime', 'endTime']
    const query = new URLSearchParams({
      ...more, [names[0]]: new Date(startMs).toISOString(), [names[1]]: new Date(endMs).toISOString()
    })
    const { statusCode, body } = await app.inject({
      url: `${path}?${query}`, headers: { authorization: `Bearer ${TOKEN}` }
    })
    assert.ok(statusCode === 200 || statusCode === 404, body) // there may be no reading
    return { body: JSON.parse(body), locks: locksMax }
  }
  return { database, ask }
}

test('an event in each of 3,000 weeks creates a bounded number of partitions, and a query only locks those that it reads', async t => {
  const weeks = Math.floor(dayMs / WEEK_MS) - 1
  const small = await openSite(t, 4)
  const large = await openSite(t, weeks)
  const partitions = await readPartitions(large.database)
  assert.ok(weeks > 2_900)
  assert.ok(partitions.length < 200, `${partitions.length} partitions`)

  const startMs = dayMs - 2 * DAY_MS
  const questions: Array<[string, number, number, Record<string, string>?]> = [
    ['/api/events/device/d', startMs, startMs + DAY_MS],
    ['/api/events/device/d', startMs + 12_345, startMs + 7 * HOUR_MS + 54_321],
    ['/api/v1/aggregates', startMs, startMs + DAY_MS, { device: 'd', interval: '5m' }],
    ['/api/v1/aggregates', startMs, startMs + DAY_MS, { device: 'd', interval: '1h', stats: 'increase' }]
  ]
  for (const [path, from, to, more] of questions) {
    const [of, same] = [await small.ask(path, from, to, more), await large.ask(path, from, to, more)]
    assert.deepEqual(same.body.count ?? same.body.rows?.length, of.body.count ?? of.body.rows?.length)
    assert.ok(same.locks <= 40, `${path}: ${same.locks} locks, ${of.locks} at a small site`)
    t.diagnostic(`${path}: ${same.locks} locks, ${of.locks} at a small site`)
    // the same for a day decades ago
    const old = await large.ask(path, from - 1_500 * WEEK_MS - DAY_MS, to - 1_500 * WEEK_MS - DAY_MS, more)
    assert.ok(old.locks <= 40, `${path}, long ago: ${old.locks} locks`)
  }

  // all partitions at once, by several callers, with the server's default number of locks
  const all = await Promise.all(Array.from(
    { length: 10 }, () => large.ask('/api/v1/aggregates', 0, dayMs, { device: 'd', interval: '30d' })
  ))
  for (const { body } of all) {
    assert.equal(body.rows.reduce((sum: number, it: { count: number }) => sum + it.count, 0), weeks + 24 * 12)
  }
})
