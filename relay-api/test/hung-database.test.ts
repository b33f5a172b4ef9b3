/** Answers to clients while PostgreSQL hangs. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import getPort from 'get-port'
import { createLogger, openDatabase } from 'relay-common'
import { openEventLog } from 'relay-event-log'
import { hang } from 'relay-test-support/hang.ts'
import { openLocalKafka } from 'relay-test-support/local-kafka.ts'
import { openOwnServers } from 'relay-test-support/own-servers.ts'
import { until } from 'relay-test-support/until.ts'
import { startApi } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { eventOf } from './support/ingest-site.ts'
import { writeEvents } from './support/write-events.ts'

const log = createLogger('test', 'silent')
const limit = { timeout: 240_000 }
const token = 'token-of-the-tests'
const day = 'start=2024-01-01T00:00:00Z&end=2024-01-02T00:00:00Z'
const past = [
  '/api/events/zone/Zone%20A?startTime=2024-01-01T00:00:00Z&endTime=2024-01-02T00:00:00Z',
  `/api/v1/aggregates?${day}`, `/api/v1/aggregates?${day}&format=csv`, `/api/v1/top?groupBy=device&stat=max&${day}`
]
const never = [
  '/api/events/zone/Zone%20B?startTime=2024-01-01T00:00:00Z&endTime=2024-01-02T00:00:00Z',
  `/api/v1/aggregates?${day}&zone=Zone%20B`,
  '/api/v1/aggregates?start=-1h', '/api/v1/devices'
]
/** A query that waits for the database takes 5 s and more. */
const QUICK_MS = 20_000
const QUICK_REQUESTS = 40

async function openSite (t: TestContext, settings: Record<string, string> = {}) {
  const server = await (await openOwnServers(t)).start('hung', await getPort({ host: '127.0.0.1' }))
  const config = readApiConfig({ DATABASE_URL: server.url('postgres'), API_TOKENS: token, API_PORT: '0', ...settings })
  const api = await startApi(config, log)
  const ask = (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${api.port}${path}`, {
    ...init, headers: { authorization: `Bearer ${token}`, ...init.headers }, signal: AbortSignal.timeout(60_000)
  })
  const metric = async (name: string) => {
    const text = await (await fetch(`http://127.0.0.1:${api.metricsPort}/metrics`)).text()
    return Number(new RegExp(`^${name}[{ ].*?(\\S+)$`, 'm').exec(text)?.[1])
  }
  const database = await openDatabase(config, 'test', log)
  await writeEvents(database, [{
    deviceId: 'd',
    deviceType: 'THERMOSTAT',
    zone: 'Zone A',
    value: 1,
    timestampMs: Date.UTC(2024, 0, 1),
    sourcePartition: 0
  }])
  await database.close()
  return { server, config, api, ask, metric, [Symbol.asyncDispose]: () => api.close() }
}

test('while the database hangs nobody waits: known answers are marked stale, all others are a 503', limit, async t => {
  await using site = await openSite(t)
  const { ask, metric } = site
  const before = new Map<string, string>()
  for (const path of past) before.set(path, await (await ask(path)).text())
  assert.equal((await ask('/api/v1/aggregates?start=-1h')).status, 200)
  const answeredBy = Date.now()

  using hung = hang(site.server.pid)
  const hungMs = performance.now()
  const [first, stale] = await Promise.all([ask(never[0]), ask(past[0])]) // they detect that it hangs
  t.diagnostic(`the first answers took ${(performance.now() - hungMs).toFixed(0)} ms`)
  assert.deepEqual([first.status, stale.status], [503, 200])
  await until('the breaker to be seen open', async () => await metric('relay_api_breaker_open') === 1)
  const startedMs = Date.now()
  const tookMs: number[] = []
  for (let n = 0; n < QUICK_REQUESTS; n++) {
    const askedMs = performance.now()
    const isPast = n % 2 === 0
    const path = isPast ? past[n / 2 % past.length] : never[(n - 1) / 2 % never.length]
    const response = await ask(path)
    const text = await response.text()
    tookMs.push(performance.now() - askedMs)
    assert.equal(response.headers.get('relay-degraded'), 'database', path)
    if (isPast) {
      assert.deepEqual([response.status, text], [200, before.get(path)], path)
      assert.ok(Date.parse(response.headers.get('relay-stale-since')!) <= answeredBy)
      assert.equal(response.headers.get('cache-control'), 'private, no-cache')
    } else {
      assert.deepEqual([response.status, JSON.parse(text).code], [503, 'RELAY_DATABASE_UNREACHABLE'], path)
      assert.ok(Number(response.headers.get('retry-after')) > 0)
    }
  }
  assert.ok(Date.now() - startedMs < QUICK_MS, 'nobody waits for the database')
  t.diagnostic(`the slowest of ${QUICK_REQUESTS} answers took ${Math.max(...tookMs).toFixed(1)} ms`)
  for (const path of ['/docs/', '/openapi.json', '/livez']) assert.equal((await ask(path)).status, 200, path)
  assert.equal((await ask('/readyz')).status, 503)
  await until(
    'stale answers to be counted', async () => await metric('relay_api_stale_answers_total') > QUICK_REQUESTS / 2
  )

  hung.goOn()
  const onMs = performance.now()
  await until('questions to be answered again', async () => {
    const response = await ask(never[3])
    return response.status === 200 && !response.headers.has('relay-degraded')
  })
  t.diagnostic(`questions were answered again after ${(performance.now() - onMs).toFixed(0)} ms`)
  const again = await ask(past[0])
  assert.deepEqual([again.status, again.headers.get('relay-stale-since')], [200, null])
  await until('the breaker to be seen closed', async () => await metric('relay_api_breaker_open') === 0)
})

test('a stored answer is only for its own caller, also while the database hangs', limit, async t => {
  await using site = await openSite(t, { API_TOKENS: `${token},another-token-of-the-tests` })
  const { ask } = site
  const make = await ask('/api/v1/keys', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'reader', scopes: ['events:read'], zones: ['Zone A'] })
  })
  const { key } = await make.json() as { key: string }
  const asKey = { headers: { authorization: `Bearer ${key}` } }
  assert.equal((await ask(past[0])).status, 200)
  assert.equal((await ask(past[1], asKey)).status, 200)
  using hung = hang(site.server.pid)
  const asked = await ask(past[1], asKey)
  assert.deepEqual(
    [asked.status, asked.headers.has('relay-stale-since')], [200, true], 'a key that was good before is still known'
  )
  assert.equal((await ask(past[0], asKey)).status, 503)
  assert.equal((await ask(past[1])).status, 503)
  hung.goOn()
  await until('all to be well', async () => (await ask(past[0], asKey)).status === 200)
})

test('a long statement does not count as a hanging database', limit, async t => {
  await using site = await openSite(t, { PAST_ANSWERS_MB: '0' })
  const database = await openDatabase(site.config, 'test', log)
  try {
    await database.transaction(async client => {
      await client.query('lock table rollups_day in access exclusive mode')
      const held = site.ask(past[0])
      const probes =
        'select count(*)::int as n from pg_stat_activity where ' +
          'application_name = \'relay-api\' and wait_event_type = \'Lock\''
      await until('the question to wait', async () => (await client.query(probes)).rows[0].n > 0)
      for (let n = 0; n < 3; n++) {
        await client.query('select pg_sleep(1)') // without other queries or answers meanwhile
        assert.equal((await site.ask('/readyz')).status, 200)
      }
      await client.query('commit; begin')
      assert.equal((await held).status, 200)
    })
  } finally {
    await database.close()
  }
  assert.equal(await site.metric('relay_api_breaker_opened_total'), 0)
})

test('events are accepted while the database hangs, also from callers with an API key', limit, async t => {
  const kafka = await openLocalKafka(t)
  if (!kafka) return
  const topic = `hung-${crypto.randomUUID()}`
  await using site = await openSite(t, { KAFKA_BOOTSTRAP_SERVERS: kafka.bootstrapServers, EVENTS_TOPIC: topic })
  const eventLog = await openEventLog(site.config, undefined, log)
  await eventLog.ensureTopic({ name: topic, partitions: 1, retentionMs: 3_600_000, replicationFactor: -1 })
  const make = await site.ask('/api/v1/keys', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'sender', scopes: ['events:write'] })
  })
  const { key } = await make.json() as { key: string }
  const post = async (n: number, credential = key) => (await site.ask('/api/v1/events', {
    method: 'POST',
    headers: { authorization: `Bearer ${credential}`, 'content-type': 'application/json' },
    body: JSON.stringify([eventOf(n)])
  })).status
  await until('events to be taken', async () => await post(0) === 202)
  using hung = hang(site.server.pid)
  for (let n = 1; n < 20; n++) assert.equal(await post(n, n % 2 === 0 ? key : token), 202)
  hung.goOn()
  await eventLog.close()
})
