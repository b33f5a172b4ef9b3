/** The questions of an API to itself before it listens. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { HOUR_MS } from 'relay-rollups'

import { openTestApi } from './support/ask.ts'
import { writeEvents } from './support/write-events.ts'

const startMs = Date.UTC(2024, 0, 1)

function eventsOf (devices: readonly string[]) {
  return devices.flatMap(deviceId => [0, 1, 2].map(hour => ({
    deviceId,
    zone: 'Zone A',
    deviceType: 'THERMOSTAT',
    value: hour,
    timestampMs: startMs + hour * HOUR_MS,
    sourcePartition: 0
  })))
}

async function openCountedApi (...[t, settings]: Parameters<typeof openTestApi>) {
  const api = await openTestApi(t, settings)
  const asked: Array<{ readonly url: string, readonly authorization: string | undefined }> = []
  const answered: number[] = []
  api.app.addHook('onRequest', async ({ url, headers: { authorization } }) => { asked.push({ url, authorization }) })
  api.app.addHook('onResponse', async (_request, { statusCode }) => { answered.push(statusCode) })
  const countRequests = async () => {
    const { values } = await api.app.metrics.getSingleMetric('relay_api_requests_total')!.get()
    return values.reduce((sum, it) => sum + it.value, 0)
  }
  return { ...api, asked, answered, countRequests }
}

test('an API asks about stored series, all is answered, and no metric counts it', async t => {
  const { app, asked, answered, countRequests, database } = await openCountedApi(t)
  await writeEvents(database, eventsOf(['d/1', 'd 2']))
  await app.warmUp(60_000)
  assert.deepEqual([...new Set(answered)], [200])
  const routes = new Set(asked.map(it => it.url.replace(/\?.*/, '').split('/').slice(0, 4).join('/')))
  assert.deepEqual([...routes].sort(), [
    '/api/events/device', '/api/events/type', '/api/events/zone', '/api/v1/aggregates', '/api/v1/devices', '/api/v1/top'
  ])
  for (const device of ['d%2F1', 'd%202']) assert.ok(asked.some(it => it.url.includes(`/device/${device}?`)), device)
  assert.equal(await countRequests(), 0)

  const [{ authorization }] = asked
  const { statusCode } = await app.inject({ url: '/api/v1/devices', headers: { authorization } })
  assert.equal(statusCode, 401, 'its credential ends with it')
  assert.equal(await countRequests(), 1)
})

test('an API without series, or told not to, asks nothing', async t => {
  const { app, asked, database } = await openCountedApi(t)
  await app.warmUp(60_000)
  assert.deepEqual(asked, [])
  await writeEvents(database, eventsOf(['d-1']))
  const other = await openCountedApi(t)
  await writeEvents(other.database, eventsOf(['d-1']))
  await other.app.warmUp(0)
  assert.deepEqual(other.asked, [])
})

test('a warm-up ends at its limit, at a refusal, and at an error of its database', async t => {
  const { app, asked, database } = await openCountedApi(t)
  await writeEvents(database, eventsOf(['d-1']))
  await database.transaction(async client => {
    await client.query('lock table series in access exclusive mode')
    await app.warmUp(100) // while its first statement waits for the lock
    assert.deepEqual(asked, [])
  })

  const limited = await openCountedApi(t, { RATE_LIMIT_PRINCIPAL_MAX: '3' })
  await writeEvents(limited.database, eventsOf(['d-1']))
  await limited.app.warmUp(60_000)
  assert.deepEqual(limited.answered, [200, 200, 200, 429])
  assert.equal(await limited.countRequests(), 0)

  const away = await openCountedApi(t)
  await away.database.query('drop table series cascade')
  await away.app.warmUp(60_000)
  assert.deepEqual(away.asked, [])
})
