/** /readyz for each function while one of the servers behind it is unreachable or hangs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { openEventLog } from 'relay-event-log'

import { openOwnKafka } from 'relay-test-support/local-kafka.ts'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { openBreakableConnection } from '../../relay-simulator/test/support/breakable-connection.ts'
import { until } from 'relay-test-support/until.ts'
import { startApi } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { openTestApi, TOKEN } from './support/ask.ts'
import { authorization, eventOf, poster } from './support/ingest-site.ts'

const log = createLogger('test', 'silent')
const functions = ['', '?for=query', '?for=ingest', '?for=any']

test('each function is ready while its own servers answer, whatever the state of the others', { timeout: 240_000 }, async t => {
  const kafka = await openOwnKafka(t)
  if (!kafka) return
  const { url } = await openLocalPostgres(t)
  const way = await openBreakableConnection(t, url)
  await using opened = new AsyncDisposableStack()
  const config = readApiConfig({
    DATABASE_URL: way.url, KAFKA_BOOTSTRAP_SERVERS: kafka.bootstrapServers, API_TOKENS: TOKEN, API_PORT: '0'
  })
  const eventLog = opened.adopt(await openEventLog(config, undefined, log), it => it.close())
  const api = opened.adopt(await startApi(config, log), it => it.close())
  const address = `http://127.0.0.1:${api.port}`
  const readyz = async (which: string) => {
    const response = await fetch(`${address}/readyz${which}`)
    const { faults = {} } = await response.json() as { faults?: Record<string, string> }
    return { status: response.status, faults }
  }
  const statuses = async () =>
    Object.fromEntries(await Promise.all(functions.map(async it => [it, (await readyz(it)).status])))
  const untilStatuses = (what: string, [plain, query, ingest, any]: readonly number[]) => {
    let seen = {}
    const wanted = { '': plain, '?for=query': query, '?for=ingest': ingest, '?for=any': any }
    return until(
      () => `${what}, and not ${JSON.stringify(seen)}`,
      async () => JSON.stringify(seen = await statuses()) === JSON.stringify(wanted)
    )
  }

  await untilStatuses('ingest to wait for its topic', [200, 200, 503, 200])
  assert.match((await readyz('?for=ingest')).faults['event log'], /has no topic|is not open yet/)
  await eventLog.ensureTopic({
    name: config.EVENTS_TOPIC, partitions: 1, retentionMs: 3_600_000, replicationFactor: -1
  })
  await untilStatuses('all to be ready', [200, 200, 200, 200])

  await way.cut()
  await untilStatuses('no answers without the database', [503, 503, 200, 200])
  assert.deepEqual(Object.keys((await readyz('?for=query')).faults), ['database'])
  assert.equal((await poster(address)(JSON.stringify([eventOf(1)]))).status, 202, 'what is ready for events takes them')
  await way.restore()
  await untilStatuses('answers again', [200, 200, 200, 200])

  process.kill(kafka.pid, 'SIGSTOP')
  try {
    await untilStatuses('no events without Kafka', [200, 200, 503, 200])
    assert.deepEqual((await readyz('?for=ingest')).faults, { 'event log': 'does not answer' })
    const asked = await fetch(`${address}/api/v1/aggregates`, { headers: { authorization } })
    assert.equal(asked.status, 200, 'what is ready for questions answers them')
    await way.cut()
    await untilStatuses('nothing to be ready', [503, 503, 503, 503])
    await way.restore()
  } finally {
    process.kill(kafka.pid, 'SIGCONT')
  }
  await untilStatuses('all to be ready again', [200, 200, 200, 200])
})

test('an API without ingest is not ready for it, and an unknown function is refused', async t => {
  const { app } = await openTestApi(t)
  assert.deepEqual(
    (await app.inject('/readyz?for=ingest')).json().faults, { 'event log': 'is not configured: EVENT_LOG is not set' }
  )
  for (const which of ['?for=', '?for=toString', '?for=query&for=ingest', '?for=query,ingest']) {
    const { statusCode, body } = await app.inject(`/readyz${which}`)
    assert.deepEqual([statusCode, JSON.parse(body).code], [400, 'RELAY_PARAMETER_INVALID'], which)
  }
  for (const which of ['', '?for=query', '?for=any', '?other=1']) {
    assert.equal((await app.inject(`/readyz${which}`)).statusCode, 200, which)
  }
})
