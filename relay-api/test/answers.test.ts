/** Answers whose clients disconnect, do not read, take too long or request too much: they cost others nothing. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { test, type TestContext } from 'node:test'

import { createLogger, type Database } from 'relay-common'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { until } from 'relay-test-support/until.ts'
import { startApi } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { writeEvents } from './support/write-events.ts'
import { writeMinutes } from './support/write-minutes.ts'

const limit = { timeout: 180_000 }
const startMs = Date.UTC(2024, 0, 1)
const zoneQuestion = '/api/v1/aggregates?zone=Zone%20A&start=2024-01-01T00:00:00Z&end=2024-01-03T00:00:00Z&interval=1d'
/** One query per route that reads days. */
const questions = [
  zoneQuestion,
  '/api/v1/aggregates?groupBy=device&start=2024-01-01T00:00:00Z&end=2024-01-03T00:00:00Z&interval=1d&format=ndjson',
  '/api/v1/top?start=2024-01-01T00:00:00Z&end=2024-01-02T00:00:00Z',
  '/api/v1/compare?start=2024-01-02T00:00:00Z&end=2024-01-03T00:00:00Z',
  '/api/v1/distribution?start=2024-01-01T00:00:00Z&end=2024-01-02T00:00:00Z',
  '/api/v1/devices',
  '/api/v1/devices/d-1',
  '/api/v1/devices/d-1/latest',
  '/api/v1/zones',
  '/api/v1/types',
  ...['device/d-1', 'zone/Zone%20A', 'type/THERMOSTAT', 'zone/Zone%20A/type/THERMOSTAT'].map(it =>
    `/api/events/${it}?startTime=2024-01-01T00:00:00Z&endTime=2024-01-02T00:00:00Z`)
]

interface Site {
  readonly database: Database
  /** Sends a request, and waits for the headers of the answer. */
  open (path: string, token?: string): Promise<IncomingMessage>
  ask (path: string, token?: string): Promise<{ status: number, body: any, retryAfter: string | undefined }>
  /** statements of the API that the server is running */
  busy (): Promise<number>
  metric (line: RegExp): Promise<boolean>
  /** Sends a request without waiting. @returns a function that ends the connection */
  start (path: string, token?: string): () => void
}

async function openSite (t: TestContext, settings: Record<string, string> = {}): Promise<Site> {
  const { database, url } = await openLocalPostgres(t)
  const api = await startApi(readApiConfig({
    DATABASE_URL: url, API_TOKENS: 'one,two', API_PORT: '0', ROLLUP_CACHE_MB: '0', ...settings
  }), createLogger('test', 'silent'))
  t.after(() => api.close())
  const begin = (path: string, token = 'one') =>
    get({ port: api.port, host: '127.0.0.1', path, headers: { authorization: `Bearer ${token}` }, agent: false })
  const open = async (path: string, token?: string) => {
    const request = begin(path, token)
    const [response] = await once(request, 'response') as [IncomingMessage]
    return response
  }
  const textOf = async (response: IncomingMessage) => (await response.setEncoding('utf8').toArray()).join('')
  return {
    database,
    open,
    async ask (path, token) {
      const response = await open(path, token)
      const text = await textOf(response)
      const isJson = !response.headers['content-type']!.includes('ndjson')
      return {
        status: response.statusCode!,
        body: isJson ? JSON.parse(text) : text,
        retryAfter: response.headers['retry-after']
      }
    },
    busy: async () => (await database.query(`
      select from pg_stat_activity
      where datname = current_database() and application_name = 'relay-api' and state <> 'idle'`)).length,
    start (path, token) {
      const request = begin(path, token).on('error', () => {})
      return () => request.destroy()
    },
    metric: async line => line.test(await (await fetch(`http://127.0.0.1:${api.metricsPort}/metrics`)).text())
  }
}

async function writeSome (database: Database): Promise<void> {
  await writeEvents(database, ['d-1', 'd-2'].map(deviceId => ({
    deviceId, deviceType: 'THERMOSTAT', zone: 'Zone A', value: 1, timestampMs: startMs, sourcePartition: 0
  })))
}

/** Blocks every statement that reads days until it is disposed of, also if the test fails. */
async function lockDays (database: Database): Promise<AsyncDisposable & { readonly release: () => Promise<void> }> {
  const client = await database.connect()
  await client.query('begin; lock table rollups_day in access exclusive mode')
  let released: Promise<void> | undefined
  const release = () => (released ??= client.query('rollback').then(() => client.release()))
  return { release, [Symbol.asyncDispose]: release }
}

const longQuery = (rows: number) => `/api/v1/aggregates?device=d-1&start=${new Date(startMs).toISOString()}` +
  `&end=${new Date(startMs + rows * 60_000).toISOString()}&interval=1m&limit=${rows}&stats=count,avg,min,max&format=ndjson`

test('after its client has left nothing of an answer runs in the database, for any query', limit, async t => {
  const site = await openSite(t)
  await writeSome(site.database)
  for (const question of questions) assert.equal((await site.ask(question)).status, 200, question)
  await using lock = await lockDays(site.database)
  for (const question of questions) {
    const leaves = [1, 2, 3].map(() => site.start(question))
    await until(`statements of ${question} to be held up`, async () => await site.busy() > 0)
    for (const leave of leaves) leave()
    await until(`nothing of ${question} to be left`, async () => await site.busy() === 0, 10_000)
  }
  await lock.release()
  // with all connections
  for (const question of questions) assert.equal((await site.ask(question)).status, 200, question)
  assert.ok(await site.metric(/relay_api_answers_ended_total\{reason="client-gone",.*\} [1-9]/))
})

test('a query that shares a statement with clients that leave still gets its answer', limit, async t => {
  const site = await openSite(t)
  await writeSome(site.database)
  await using lock = await lockDays(site.database)
  const leaves = Array.from({ length: 8 }, () => site.start(zoneQuestion))
  const stays = Array.from({ length: 4 }, () => site.ask(zoneQuestion))
  await until('statements to be held up', async () => await site.busy() > 0)
  for (const leave of leaves) leave()
  await until('those that left to be counted', () => site.metric(/reason="client-gone",.*\} 8/))
  await lock.release()
  for (const { status, body } of await Promise.all(stays)) assert.deepEqual([status, body.rows[0].count], [200, 2])
})

test('an answer beyond its deadline is a 503, and its statement is cancelled', limit, async t => {
  const site = await openSite(t, { ANSWER_TIMEOUT_MS: '1000' })
  await writeSome(site.database)
  await using lock = await lockDays(site.database)
  const { status, body, retryAfter } = await site.ask(zoneQuestion)
  assert.deepEqual([status, body.code], [503, 'RELAY_ANSWER_TOO_SLOW'])
  assert.ok(Number(retryAfter) > 0)
  await until('nothing to be left', async () => await site.busy() === 0, 10_000)
  await lock.release()
  assert.equal((await site.ask(zoneQuestion)).status, 200)
})

test('a caller with too many answers in progress is refused, and others are not', limit, async t => {
  const site = await openSite(t, { ANSWERS_PER_CALLER_MAX: '2' })
  await writeSome(site.database)
  await using lock = await lockDays(site.database)
  const leaves = [1, 2].map(() => site.start(zoneQuestion))
  await until('them to be under way', () => site.metric(/relay_api_answers\{length="short",.*\} 2/))
  const { status, body, retryAfter } = await site.ask(zoneQuestion)
  assert.deepEqual([status, body.code], [429, 'RELAY_BUDGET_EXCEEDED'])
  assert.ok(Number(retryAfter) > 0)
  const other = site.ask(zoneQuestion, 'two')
  for (const leave of leaves) leave()
  await until('them to be given back', () => site.metric(/relay_api_answers\{length="short",.*\} 1/))
  await lock.release()
  assert.equal((await other).status, 200)
  assert.equal((await site.ask(zoneQuestion)).status, 200)
})

test('a caller may have some long answers at once, all callers some more, and a client that does not read is disconnected', limit, async t => {
  const ROWS = 150_000
  const site = await openSite(t, {
    LONG_ANSWERS_PER_CALLER_MAX: '2', LONG_ANSWERS_MAX: '3', ANSWER_STALL_MS: '3000', DATABASE_POOL_MAX: '6'
  })
  await writeMinutes(site.database, startMs, ROWS)
  const unread = [await site.open(longQuery(ROWS)), await site.open(longQuery(ROWS))]
  const refused = await site.ask(longQuery(ROWS))
  assert.deepEqual([refused.status, refused.body.code], [429, 'RELAY_BUDGET_EXCEEDED'])
  assert.ok(Number(refused.retryAfter) > 0)
  assert.equal((await site.ask(longQuery(3))).status, 200, 'short ones are answered')
  const other = await site.open(longQuery(ROWS), 'two')
  assert.equal(other.statusCode, 200)
  const busy = await site.ask(longQuery(ROWS), 'two')
  assert.deepEqual([busy.status, busy.body.code], [503, 'RELAY_ANSWERS_BUSY'])

  for (const it of [...unread, other]) it.on('error', () => {}).pause()
  await until('those that do not read to be cut off', () => site.metric(/reason="stalled",.*\} 3/))
  await until('them to be given back', () => site.metric(/relay_api_answers\{length="long",.*\} 0/))
  assert.equal(
    (await (await site.open(longQuery(ROWS))).setEncoding('utf8').toArray()).join('').split('\n').length, ROWS + 2
  )
})

test('pages of an answer beyond the read limit contain all of its rows', limit, async t => {
  const HOURS = 400
  const site = await openSite(t, { ANSWER_ROWS_MAX: '1000' })
  // at most one reading per hour, and none in most minutes: few rows, but much to search
  const times = Array.from({ length: HOURS }, (_, n) => startMs + n * 3_600_000 + n % 60 * 60_000)
  await writeEvents(site.database, times.map((timestampMs, n) => ({
    deviceId: `d-${n % 3}`, deviceType: 'THERMOSTAT', zone: 'Zone A', value: n, timestampMs, sourcePartition: 0
  })))
  for (const order of ['asc', 'desc']) {
    const question =
      `/api/v1/aggregates?groupBy=device&start=2024-01-01T00:00:00Z&end=2024-02-10T00:00:00Z&interval=1m&order=${order}`
    const seen: string[] = []
    let pages = 0
    for (let next: string | null = ''; next !== null; pages++) {
      const { status, body }: { status: number, body: any } =
        await site.ask(question + (next === '' ? '' : `&cursor=${encodeURIComponent(next)}`))
      assert.equal(status, 200)
      seen.push(...body.rows.map((it: any) => `${it.device} ${it.bucketStart}`))
      next = body.next
    }
    const expected = times.map((timeMs, n) => `d-${n % 3} ${new Date(timeMs).toISOString().replace('.000Z', 'Z')}`)
    assert.deepEqual([...seen].sort(), expected.sort())
    assert.ok(pages > 10, `${pages} pages`)
  }
  const top = await site.ask('/api/v1/top?start=2024-01-01T00:00:00Z&end=2024-02-10T00:00:00Z')
  assert.equal(top.status, 200, 'what reads little is answered')
})
