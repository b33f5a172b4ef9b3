import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import getPort from 'get-port'
import { createLogger, openDatabase } from 'relay-common'
import { openOwnServers } from 'relay-test-support/own-servers.ts'
import { until } from 'relay-test-support/until.ts'
import { startApi } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { writeEvents } from './support/write-events.ts'

const log = createLogger('test', 'silent')
/** long enough for requests to a paused replica, also on a slow machine */
const lagMaxS = 15
const dayMs = Date.UTC(2024, 0, 1)

/** A primary and a streaming standby: its data are a copy of the primary's, made while that was stopped. */
async function startPair (t: TestContext) {
  const servers = await openOwnServers(t)
  const [primaryPort, standbyPort] = [await getPort({ host: '127.0.0.1' }), await getPort({ host: '127.0.0.1' })]
  await (await servers.start('primary', primaryPort)).close()
  await servers.copy('primary', 'standby')
  const primary = await servers.start('primary', primaryPort)
  const startStandby = () => servers.startStandby('standby', standbyPort, primary)
  return { servers, primary, standby: await startStandby(), startStandby }
}

test('answers come from the replica while its lag is small, otherwise from the primary', { timeout: 300_000 }, async t => {
  const { primary, standby, startStandby } = await startPair(t)
  await using opened = new AsyncDisposableStack()
  const config = readApiConfig({
    DATABASE_URL: primary.url('postgres'),
    DATABASE_REPLICA_URL: standby.url('postgres'),
    DATABASE_REPLICA_LAG_MAX_MS: String(lagMaxS * 1000),
    API_TOKENS: 'token-of-the-tests',
    API_PORT: '0'
  })
  const open = async (url: string) => opened.adopt(
    await openDatabase({ ...config, DATABASE_URL: url }, 'test', log), it => it.close())
  const api = opened.adopt(await startApi(config, log), it => it.close())
  const database = await open(primary.url('postgres'))
  const get = async (path: string) => await fetch(`http://127.0.0.1:${api.port}${path}`,
    { headers: { authorization: 'Bearer token-of-the-tests' }, signal: AbortSignal.timeout(60_000) })
  const count = async () => {
    const response = await get('/api/v1/aggregates?start=2024-01-01T00:00:00Z&end=2024-01-02T00:00:00Z&interval=range')
    assert.equal(response.status, 200)
    return (await response.json() as { rows: Array<{ count: number }> }).rows[0]?.count ?? 0
  }
  let written = 0
  const write = () => writeEvents(database, [{
    deviceId: 'd-1',
    deviceType: 'THERMOSTAT',
    zone: 'Zone A',
    value: written,
    timestampMs: dayMs + written * 60_000,
    sourcePartition: written++
  }])
  /** of every other route that reads rollups: all change with the newest reading */
  const others = async () => {
    const day = 'start=2024-01-01T00:00:00Z&end=2024-01-02T00:00:00Z'
    const paths =
      ['devices', 'devices/d-1', 'devices/d-1/latest', 'zones', 'types', `top?groupBy=device&stat=max&${day}`,
      `distribution?${day}`, `compare?${day}`]
    return await Promise.all(paths.map(async path => {
      const response = await get(`/api/v1/${path}`)
      assert.equal(response.status, 200, path)
      return { path, answer: await response.text() }
    }))
  }
  const lagS = async () => {
    const metrics = await (await fetch(`http://127.0.0.1:${api.metricsPort}/metrics`)).text()
    return Number(/^relay_api_replica_lag_seconds\{.*\} (\S+)$/m.exec(metrics)![1].replace('+Inf', 'Infinity'))
  }

  await write()
  await until('the replica to be in use', async () => await lagS() < lagMaxS)
  await until('the replica to have what was written', async () => await count() === 1)

  // paused: its data are used while they are fresh enough, then the primary's
  const onStandby = await open(standby.url('postgres'))
  await onStandby.query('select pg_wal_replay_pause()')
  await until('it to stand', async () =>
    (await onStandby.query<{ at: string }>('select pg_get_wal_replay_pause_state() as at'))[0].at === 'paused')
  const before = await others()
  await write()
  assert.equal(await count(), 1) // so the replica answered
  assert.deepEqual(await others(), before)
  await until('the primary to be asked', async () => await count() === 2)
  for (const [n, { path, answer }] of (await others()).entries()) assert.notEqual(answer, before[n].answer, path)
  await until('metrics to say so', async () => await lagS() > lagMaxS)
  await onStandby.query('select pg_wal_replay_resume()')
  await until('the replica to catch up', async () => await lagS() < lagMaxS)
  assert.equal(await count(), 2)

  // killed: clients get no error, and the primary answers
  process.kill(standby.pid, 'SIGKILL')
  await standby.exited
  await write()
  for (let n = 0; n < 5; n++) assert.equal(await count(), 3)

  await until('metrics to know that it is gone', async () => await lagS() === Infinity) // they are cached for a second
  const replica = await startStandby()
  await until('the replica to be in use again', async () => await lagS() < lagMaxS)

  // the primary is killed: the data of the replica are still available
  process.kill(primary.pid, 'SIGKILL')
  await primary.exited
  for (let n = 0; n < 3; n++) assert.equal(await count(), 3)
  const statusOf = async (path: string) => (await get(path)).status
  await until('the replica to take its place for all routes', async () => await statusOf(
    '/api/events/zone/Zone%20A?startTime=2024-01-01T00:00:00Z&endTime=2024-01-02T00:00:00Z') === 200)
  for (const which of ['', '?for=query', '?for=any']) assert.equal(await statusOf(`/readyz${which}`), 200, which)

  // both are gone
  process.kill(replica.pid, 'SIGKILL')
  await until('it not to be ready', async () => await statusOf('/readyz?for=query') === 503)
})

test('a replica from before a restore is not used, at any position', { timeout: 300_000 }, async t => {
  const { servers, primary, standby } = await startPair(t)
  const port = primary.port
  const config = readApiConfig({
    DATABASE_URL: primary.url('postgres'),
    DATABASE_REPLICA_URL: standby.url('postgres'),
    API_TOKENS: 'token-of-the-tests',
    API_PORT: '0'
  })
  const api = await startApi(config, log)
  t.after(() => api.close())
  let written = 0
  const write = async (count: number) => {
    const database = await openDatabase(config, 'test', log)
    await writeEvents(database, Array.from({ length: count }, () => ({
      deviceId: 'd-1',
      deviceType: 'THERMOSTAT',
      zone: 'Zone A',
      value: 1,
      timestampMs: dayMs,
      sourcePartition: written++
    })))
    await database.close()
  }
  const count = async () => {
    const response =
      await fetch(`http://127.0.0.1:${api.port}/api/v1/aggregates?start=2024-01-01T00:00:00Z&end=2024-01-02T00:00:00Z&interval=range`,
        { headers: { authorization: 'Bearer token-of-the-tests' } })
    return response.status === 200
      ? (await response.json() as { rows: Array<{ count: number }> }).rows[0].count
      : undefined
  }
  await write(1)
  await primary.close()
  await servers.copy('primary', 'copy')
  const again = await servers.start('primary', port)
  await write(5)
  await until('the replica to have all of it', async () => await count() === 6)

  await again.close()
  await servers.copy('copy', 'primary')
  await servers.start('primary', port)
  await until('the primary to be asked', async () => await count() === 1)
  for (let n = 1; n < 5; n++) {
    await write(1)
    await until('the next reading', async () => await count() === 1 + n)
    assert.equal(await count(), 1 + n)
  }
})
