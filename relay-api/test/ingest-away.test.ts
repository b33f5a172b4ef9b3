/** Events that are sent while the event log, the database or the client becomes unreachable. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import getPort from 'get-port'
import { createLogger } from 'relay-common'
import { openEventLog } from 'relay-event-log'

import { openLocalKafka } from 'relay-test-support/local-kafka.ts'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { countRecords, readTopic } from '../../relay-simulator/test/support/event-logs.ts'
import {
  openBreakableConnection, type BreakableConnection
} from '../../relay-simulator/test/support/breakable-connection.ts'
import { startKafka } from '../../relay-stack/src/kafka.ts'
import { shortLivedJvm } from 'relay-test-support/short-lived-jvm.ts'
import { until } from 'relay-test-support/until.ts'
import { startApi } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { TOKEN } from './support/ask.ts'
import { authorization, eventOf, openIngestSite, poster, type Answered } from './support/ingest-site.ts'
import { openStreamSite } from './support/stream-site.ts'

const limit = { timeout: 180_000 }
const log = createLogger('test', 'silent')

test('a broker that was killed has every acknowledged event once; queries are answered meanwhile', limit, async t => {
  const shared = await openLocalKafka(t) // for its jars, and to check whether this machine can run it
  if (!shared) return
  const { database, url } = await openLocalPostgres(t)
  await using opened = new AsyncDisposableStack()
  const dataDir = await mkdtemp(join(tmpdir(), 'relay-test-kafka-'))
  const port = await getPort({ host: '127.0.0.1' })
  const start = () => startKafka({ cacheDir: shared.cacheDir, dataDir, port, jvmArgs: shortLivedJvm, log })
  let kafka = await start()
  opened.defer(async () => {
    await kafka.close()
    await rm(dataDir, { recursive: true, force: true })
  })
  const environment = {
    DATABASE_URL: url, KAFKA_BOOTSTRAP_SERVERS: `127.0.0.1:${port}`, API_TOKENS: TOKEN, API_PORT: '0'
  }
  const config = readApiConfig(environment)
  const eventLog = opened.adopt(await openEventLog(config, database, log), it => it.close())
  const topic = config.EVENTS_TOPIC
  await eventLog.ensureTopic({ name: topic, partitions: 2, retentionMs: 3_600_000, replicationFactor: -1 })
  const api = opened.adopt(await startApi(config, log), it => it.close())
  const post = poster(`http://127.0.0.1:${api.port}`)
  await until('events to be taken', async () => (await post('[]')).status === 202)

  let sent = 0
  const batch = () => JSON.stringify(Array.from({ length: 20 }, () => eventOf(sent++)))
  assert.equal((await post(batch())).status, 202)
  const underWay = Array.from({ length: 8 }, () => post(batch()))
  process.kill(kafka.pid, 'SIGKILL')
  await kafka.exited
  const whileAway = Array.from({ length: 8 }, () => post(batch()))
  const asked = await fetch(`http://127.0.0.1:${api.port}/api/v1/aggregates`, { headers: { authorization } })
  assert.equal(asked.status, 200)
  kafka = await start()
  for (const { status, body } of await Promise.all([...underWay, ...whileAway])) {
    assert.deepEqual([status, body.accepted], [202, 20])
  }
  const values = (await readTopic({ eventLog, topic, database, environment })).map(it => String(it.value))
  assert.equal(values.length, sent)
  assert.equal(new Set(values).size, sent)
})

test('while the database with the log is unreachable, events are refused with Retry-After; none is lost or doubled', limit, async t => {
  let way: BreakableConnection
  await using site = (await openIngestSite(t, 'postgres', async databaseUrl => {
    way = await openBreakableConnection(t, databaseUrl)
    return { DATABASE_URL: way.url, DATABASE_CONNECT_TIMEOUT_MS: '500' }
  }))!
  const batches = Array.from({ length: 5 }, (_, batch) => JSON.stringify([0, 1, 2].map(n => eventOf(batch * 3 + n))))
  const send = (n: number) => site.post(batches[n], { 'idempotency-key': `batch ${n}` })
  assert.equal((await send(0)).status, 202)
  await way!.cut()
  for (const n of batches.keys()) {
    const { status, headers } = await send(n)
    assert.equal(status, 503)
    assert.ok(Number(headers.get('retry-after')) > 0)
  }
  await way!.restore()
  for (const n of batches.keys()) await until(`batch ${n}`, async () => (await send(n)).status === 202)
  const values = (await readTopic(site.log)).map(it => String(it.value)).sort()
  assert.deepEqual(values, batches.flatMap(it => JSON.parse(it)).map(it => JSON.stringify(it)).sort())
})

test('events waiting for a slow log are bounded: further requests are told to retry', limit, async t => {
  await using site = (await openIngestSite(t, 'postgres', { INGEST_IN_FLIGHT_MAX_BYTES: '20000' }))!
  const body = JSON.stringify([eventOf(0)]).padEnd(6_000)
  const blocker = await site.database.connect()
  try {
    await blocker.query('begin; lock table event_log_batches in access exclusive mode')
    const waiting = [1, 2, 3].map(() => site.post(body))
    await until('three bodies to wait', async () => await bytesInFlight(site.metricsUrl) === 18_000)
    const { status, body: problem, headers } = await site.post(body)
    assert.deepEqual([status, problem.code], [503, 'RELAY_INGEST_BUSY'])
    assert.ok(Number(headers.get('retry-after')) > 0)
    await blocker.query('rollback')
    assert.deepEqual((await Promise.all(waiting)).map(it => it.status), [202, 202, 202])
  } finally {
    blocker.release(true)
  }
  assert.equal((await site.post(body)).status, 202)
  // metrics are cached for a second
  await until('their room to be free again', async () => await bytesInFlight(site.metricsUrl) === 0)
})

test('a client that disconnects during a body leaves nothing behind', limit, async t => {
  await using site = (await openIngestSite(t, 'postgres'))!
  const { port } = new URL(site.url)
  for (const encoding of ['identity', 'gzip']) {
    const socket = connect(Number(port), '127.0.0.1')
    await once(socket, 'connect')
    socket.write('POST /api/v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nidempotency-key: k\r\n' +
      `authorization: ${authorization}\r\ncontent-encoding: ${encoding}\r\ncontent-length: 5000\r\n\r\n`)
    socket.write(Buffer.alloc(2_000, ' '))
    if (encoding === 'identity') await until('half a body', async () => await bytesInFlight(site.metricsUrl) > 0)
    socket.resetAndDestroy()
    await until('its room to be free again', async () => await bytesInFlight(site.metricsUrl) === 0)
  }
  assert.equal(await countRecords(site.log), 0)
  assert.equal((await site.post(JSON.stringify(eventOf(0)), { 'idempotency-key': 'k' })).status, 202)
})

test('a key whose request died with its API becomes free, and its events count once', limit, async t => {
  await using site = await openStreamSite(t)
  const body = JSON.stringify([eventOf(0, { deviceId: 'd1' }), eventOf(1, { deviceId: 'd1' })])
  const send = () => site.post(body, { 'idempotency-key': 'k' })
  assert.equal((await send()).status, 202)
  // the state after an API was killed between log and answer
  await site.database.query('update ingest_answers set status = null, answer = null')
  assert.equal((await send()).status, 409)
  await site.database.query("update ingest_answers set claimed_until = now() - interval '1 s'")
  await assertTakenAgain(send)
  assert.equal(await countRecords(site.log), 4)

  await site.database.query(`
    update ingest_answers set status = null, answer = null, claimed_until = now() + interval '1 hour'`)
  await assertTakenAgain(send) // the clock of the database was set back by an hour
  assert.equal(await countRecords(site.log), 6)

  const client = await site.listen('?device=d1')
  await site.send(eventOf(2, { deviceId: 'd1' }))
  await until('the last reading', () => client.of('rollup').at(-1)?.lastTime === eventOf(2).timestamp)
  assert.equal(client.of('rollup').at(-1)!.count, 3)
})

async function assertTakenAgain (send: () => Promise<Answered>): Promise<void> {
  const again = await send()
  assert.deepEqual([again.status, again.headers.get('idempotency-replayed')], [202, null])
}

async function bytesInFlight (metricsUrl: string): Promise<number> {
  const text = await (await fetch(metricsUrl)).text()
  return Number(/^relay_api_ingest_in_flight_bytes{[^}]*} (\d+)$/m.exec(text)![1])
}
