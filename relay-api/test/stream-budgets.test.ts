/** Budgets of one caller on streams: some are left for others, and no query stops the API. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { test } from 'node:test'

import { createLogger } from 'relay-common'

import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { startApi } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { until } from 'relay-test-support/until.ts'
import { authorization, eventOf } from './support/ingest-site.ts'
import { openStreamSite } from './support/stream-site.ts'

const limit = { timeout: 120_000 }

test('a caller has a limit of streams and of different queries; others have their own, and ended ones are returned', limit, async t => {
  const { database, url } = await openLocalPostgres(t)
  const api = await startApi(readApiConfig({
    DATABASE_URL: url,
    API_TOKENS: 'one,two',
    API_PORT: '0',
    STREAMS_PER_CALLER_MAX: '3',
    STREAM_VIEWS_PER_CALLER_MAX: '2'
  }), createLogger('test', 'silent'))
  t.after(() => api.close())
  const ending = new AbortController()
  t.after(() => ending.abort())
  const open = async (query: string, token: string, signal = ending.signal) => {
    const response = await fetch(`http://127.0.0.1:${api.port}/api/v1/stream?${query}`,
      { headers: { authorization: `Bearer ${token}` }, signal })
    const code = response.status === 200 ? undefined : (await response.json() as { code: string }).code
    return [response.status, code]
  }
  const leaving = new AbortController()
  assert.deepEqual(await open('zone=A', 'one', leaving.signal), [200, undefined])
  assert.deepEqual(await open('zone=B', 'one'), [200, undefined])
  assert.deepEqual(await open('zone=C', 'one'), [429, 'RELAY_BUDGET_EXCEEDED'], 'a third question')
  assert.deepEqual(await open('zone=B', 'one'), [200, undefined], 'one that is asked already')
  assert.deepEqual(await open('zone=B', 'one'), [429, 'RELAY_BUDGET_EXCEEDED'], 'a fourth stream')
  assert.deepEqual(await open('zone=C', 'two'), [200, undefined])
  leaving.abort()
  await until('what ended to be given back', async () => (await open('zone=C', 'one'))[0] === 200)

  await database.query(`insert into series (device_id, zone, device_type)
    select 'device-' || n, 'Zone A', 'THERMOSTAT' from generate_series(1, 20000) n`)
  assert.deepEqual(await open('groupBy=device', 'two'), [400, 'RELAY_TOO_MANY_POINTS'])
  assert.deepEqual(await open('groupBy=device&device=device-7', 'two'), [200, undefined])
})

test('buffers of a caller\'s streams have a budget: slow readers are dropped by it, others are not', limit, async t => {
  await using site = await openStreamSite(
    t, { STREAM_BYTES_PER_CALLER_MAX: '100000', STREAM_BUFFER_MAX_BYTES: '50000000' }
  )
  const reader = await site.listen('?groupBy=device')
  const slow = await openUnread(`${site.url}/api/v1/stream?groupBy=device`)
  t.after(() => slow.destroy())
  const cut = new Promise<void>(resolve => slow.once('close', resolve))
  const metrics = async () => await (await fetch(site.metricsUrl)).text()
  const devices = Array.from({ length: 900 }, (_, n) => `${n} `.padEnd(128, 'x'))
  for (let value = 0; !/budget_exceeded_total{[^}]*budget="streamBytes"[^}]*} 1$/m.test(await metrics()); value++) {
    await site.send(...devices.map(it => eventOf(value % 50, { deviceId: it, value })))
    await until(
      `round ${value}`, () => reader.of('rollup').filter(it => it.last === value).length >= 900 || reader.hasEnded
    )
    assert.equal(reader.hasEnded, false)
  }
  slow.resume()
  await cut
  assert.equal(reader.hasEnded, false)
})

test('resumed streams have a budget, and new ones do not need it', limit, async t => {
  await using site = await openStreamSite(t, { STREAM_RESUMES_PER_MINUTE_MAX: '2' })
  const { lastId } = await site.listen()
  for (let n = 0; n < 2; n++) await site.listen('', lastId)
  // an EventSource would never reconnect after a 429, or after any other answer that is not a stream
  const refused = await site.listen('', lastId)
  const [end] = refused.of('end')
  assert.deepEqual(end, { reason: 'busy', retryAfterS: end.retryAfterS })
  assert.ok(end.retryAfterS >= 1 && end.retryAfterS <= 60)
  assert.deepEqual(refused.waitsMs, [end.retryAfterS * 1_000])
  await until('its end', () => refused.hasEnded)
  assert.equal(refused.lastId, undefined, 'what it has is still the last id')
  const { waitsMs } = await site.listen()
  assert.ok(waitsMs[0] < 10_000, 'one that gets through does not wait as long the next time')
})

async function openUnread (url: string): Promise<IncomingMessage> {
  const request = get(url, { agent: new Agent(), headers: { authorization } })
  const [response] = await once(request, 'response') as [IncomingMessage]
  response.on('error', () => {})
  response.pause()
  return response
}
