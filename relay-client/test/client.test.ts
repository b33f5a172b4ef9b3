/** The client with the API itself. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { openTestApi, TOKEN } from '../../relay-api/test/support/ask.ts'
import { writeEvents, type PlacedEvent } from '../../relay-api/test/support/write-events.ts'
import { createRelayClient, RelayProblem, type RelayClientSettings } from '../src/index.ts'
import { retryAfterMs } from '../src/retry.ts'

const baseMs = Date.UTC(2024, 0, 1)
const start = new Date(baseMs).toISOString()
const end = new Date(baseMs + 3_600_000).toISOString()

/** Two devices, with a reading in every minute of an hour. */
const events: PlacedEvent[] = ['a', 'b'].flatMap(deviceId => Array.from({ length: 60 }, (_, minute) => ({
  deviceId,
  zone: 'Zone A',
  deviceType: 'THERMOSTAT',
  value: minute,
  timestampMs: baseMs + minute * 60_000,
  sourcePartition: 0
})))

async function openSite (t: TestContext, settings: Partial<RelayClientSettings> = {}) {
  const api = await openTestApi(t)
  const baseUrl = await api.app.listen({ host: '127.0.0.1', port: 0 })
  return {
    ...api,
    relay: createRelayClient({ baseUrl, token: TOKEN, ...settings }),
    // before the database, because streams use a connection of it
    [Symbol.asyncDispose]: () => api.app.close()
  }
}

/** A busy API refuses a number of times before it answers. */
function refusing (times: number, status: number, headers: Record<string, string> = { 'retry-after': '0' }) {
  const refused = { count: 0 }
  const send = async (request: Request) => {
    if (refused.count++ < times) return Response.json({ code: 'RELAY_BUSY' }, { status, headers })
    return fetch(request)
  }
  return { refused, send }
}

test('answers and problems are typed', async t => {
  const { relay, database } = await openSite(t)
  await writeEvents(database, events)
  const { data } = await relay.GET('/api/v1/devices', { params: { query: { device: ['b', 'c'] } } })
  assert.deepEqual(data?.devices.map(it => [it.device, it.lastValue]), [['b', 59]])
  const { error, response } = await relay.GET('/api/v1/devices/{device}', { params: { path: { device: 'c/d' } } })
  assert.deepEqual([response.status, error?.code], [404, 'RELAY_NO_DATA'])
})

test('rows are paged automatically, and a refusal is an error with its reason', async t => {
  const { relay, database } = await openSite(t)
  await writeEvents(database, events)
  const rows = await Array.fromAsync(
    relay.aggregateRows({ start, end, interval: '1m', groupBy: 'device', stats: 'max', limit: 7 }))
  assert.deepEqual(rows.map(it => [it.device, it.max]), events.map(it => [it.deviceId, it.value]))
  assert.deepEqual(await Array.fromAsync(relay.aggregateRows({ start, end, zone: ['nowhere'] })), [])
  await assert.rejects(Array.fromAsync(relay.aggregateRows({ start: 'yesterday' })),
    (error: unknown) => error instanceof RelayProblem &&
      error.problem.code === 'RELAY_PARAMETER_INVALID' && /start/.test(error.message))
})

test('a caller that stops reading ends the answer', async t => {
  const { relay, database, app } = await openSite(t)
  await writeEvents(database, events)
  const rows = relay.aggregateRows({ start, end, interval: '1m', stats: 'max' })
  assert.equal((await rows.next()).value?.max, 0)
  await rows.return()
  await app.close() // waits for answers in progress
})

test('429 and 503 are retried, within the allowed number and not before Retry-After', async t => {
  for (const status of [429, 503]) {
    const { send, refused } = refusing(2, status)
    const { relay } = await openSite(t, { fetch: send })
    assert.equal((await relay.GET('/api/v1/zones')).response.status, 200)
    assert.equal(refused.count, 3)
  }
  const busy = refusing(9, 503)
  const { relay } = await openSite(t, { fetch: busy.send, retriesMax: 3 })
  assert.equal((await relay.GET('/api/v1/zones')).response.status, 503)
  assert.equal(busy.refused.count, 4)

  const later = refusing(9, 429, { 'retry-after': '3600' })
  const patient = createRelayClient({ baseUrl: 'http://127.0.0.1', token: TOKEN, fetch: later.send })
  assert.equal((await patient.GET('/api/v1/zones')).response.status, 429)
  assert.equal(later.refused.count, 1)
})

test('Retry-After is seconds or a date', () => {
  const wait = (text: string) => retryAfterMs(new Response(null, { headers: { 'retry-after': text } }), baseMs)
  assert.deepEqual(
    ['2', 'Mon, 01 Jan 2024 00:00:05 GMT', 'Sun, 31 Dec 2023 00:00:00 GMT', 'soon'].map(wait),
    [2_000, 5_000, 0, undefined]
  )
})

test('without an answer a query is repeated, and a request with a possible effect is not', async t => {
  let lost = 0
  const { relay } = await openSite(t, {
    retriesMax: 1, // events are refused here: this API has no event log
    fetch: async request => {
      if (lost++ === 0) throw new TypeError('fetch failed')
      return fetch(request)
    }
  })
  assert.equal((await relay.GET('/api/v1/zones')).response.status, 200)
  const body = [{ deviceId: 'a', deviceType: 'THERMOSTAT', zone: 'Zone A', value: 1, timestamp: start }]
  lost = 0
  await assert.rejects(relay.POST('/api/v1/events', { body }), TypeError)
  lost = 0
  await relay.POST('/api/v1/events', { body, params: { header: { 'idempotency-key': 'k' } } })
  assert.equal(lost, 2)
})

test('a stream continues over a new connection, until its caller has enough', { timeout: 60_000 }, async t => {
  await using site = await openSite(t)
  const { relay, app } = site
  const enough = new AbortController()
  const seen: string[] = []
  for await (const { event } of relay.stream({ zone: ['Zone A'] }, { signal: enough.signal })) {
    if (event !== 'open') continue
    seen.push(event)
    if (seen.length === 1) app.server.closeAllConnections()
    else enough.abort()
  }
  assert.deepEqual(seen, ['open', 'open'])
  const refused = relay.stream({ interval: '2m' as '1m' })
  await assert.rejects(refused.next(), RelayProblem)
})

test('a stream that reconnected too early waits as told', { timeout: 60_000 }, async t => {
  let cameBackMs: number[] = []
  await using site = await openSite(t, {
    fetch: async request => {
      if (!request.headers.has('last-event-id')) return fetch(request)
      cameBackMs = [...cameBackMs, performance.now()]
      return cameBackMs.length === 1
        ? new Response('event: end\ndata: {"reason":"busy","retryAfterS":2}\n\n')
        : fetch(request)
    }
  })
  let opened = 0
  for await (const { event } of site.relay.stream({ zone: ['Zone A'] })) {
    if (event !== 'open') continue
    if (++opened === 2) break
    site.app.server.closeAllConnections()
  }
  assert.equal(cameBackMs.length, 2)
  assert.ok(cameBackMs[1] - cameBackMs[0] >= 1_900)
})
