/** Answers to clients while the event log hangs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { openEventLog } from 'relay-event-log'

import { openOwnKafka } from 'relay-test-support/local-kafka.ts'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { countRecords, readTopic } from '../../relay-simulator/test/support/event-logs.ts'
import { hang } from 'relay-test-support/hang.ts'
import { until } from 'relay-test-support/until.ts'
import { startApi } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { TOKEN } from './support/ask.ts'
import { authorization, eventOf, openIngestSite, poster, type Answered } from './support/ingest-site.ts'

const limit = { timeout: 240_000 }
const log = createLogger('test', 'silent')
/** A send to a hanging log is refused after 30 s. */
const QUICK_MS = 20_000
const QUICK_REQUESTS = 40

/** Sends until events are refused at once. @returns the pending sends */
async function sendUntilRefused (send: () => Promise<Answered>): Promise<Promise<Answered>[]> {
  const waiting = new Set<Promise<Answered>>()
  let hasRefused = false
  await until('events to be refused', async () => {
    const sent = send()
    waiting.add(sent)
    sent.then(({ status }) => {
      if (status !== 503) return
      hasRefused = true
      waiting.delete(sent)
    })
    return hasRefused
  })
  return [...waiting]
}

async function refuseQuickly (send: () => Promise<Answered>): Promise<number> {
  const startedMs = performance.now()
  let slowestMs = 0
  for (let n = 0; n < QUICK_REQUESTS; n++) {
    const sentMs = performance.now()
    const { status, body, headers } = await send()
    slowestMs = Math.max(slowestMs, performance.now() - sentMs)
    assert.deepEqual(
      [status, body.code, headers.get('relay-degraded')], [503, 'RELAY_EVENT_LOG_UNREACHABLE', 'event-log']
    )
    assert.ok(Number(headers.get('retry-after')) > 0)
  }
  assert.ok(performance.now() - startedMs < QUICK_MS, 'nobody waits for the event log')
  return slowestMs
}

test('while Kafka hangs events are refused at once and queries work; afterwards every accepted event is there once', limit, async t => {
  const kafka = await openOwnKafka(t)
  if (!kafka) return
  const { database, url } = await openLocalPostgres(t)
  await using opened = new AsyncDisposableStack()
  const environment = {
    DATABASE_URL: url, KAFKA_BOOTSTRAP_SERVERS: kafka.bootstrapServers, API_TOKENS: TOKEN, API_PORT: '0'
  }
  const config = readApiConfig(environment)
  const eventLog = opened.adopt(await openEventLog(config, undefined, log), it => it.close())
  const topic = config.EVENTS_TOPIC
  await eventLog.ensureTopic({ name: topic, partitions: 2, retentionMs: 3_600_000, replicationFactor: -1 })
  const api = opened.adopt(await startApi(config, log), it => it.close())
  const address = `http://127.0.0.1:${api.port}`
  let sent = 0
  const send = () => poster(address)(JSON.stringify([eventOf(sent++)]))
  await until('events to be taken', async () => (await send()).status === 202)

  using hung = hang(kafka.pid)
  const waiting = await sendUntilRefused(send)
  t.diagnostic(`the slowest of ${QUICK_REQUESTS} refusals took ${(await refuseQuickly(send)).toFixed(1)} ms`)
  const asked = await fetch(`${address}/api/v1/aggregates`, { headers: { authorization } })
  assert.deepEqual([asked.status, asked.headers.get('relay-degraded')], [200, null])

  hung.goOn()
  const onMs = performance.now()
  await until('events to be taken again', async () => (await send()).status === 202)
  t.diagnostic(`events were taken again after ${(performance.now() - onMs).toFixed(0)} ms`)
  const accepted = (await Promise.all(waiting)).filter(it => it.status === 202).length
  const values = (await readTopic({ eventLog, topic, database, environment })).map(it => String(it.value))
  assert.equal(new Set(values).size, values.length, 'none is there twice')
  assert.ok(values.length >= accepted + 2, 'what was accepted is there')
})

test('a log that answers but accepts nothing gets nothing more until it does; earlier sends wait for it', limit, async t => {
  await using site = (await openIngestSite(t, 'postgres'))!
  let sent = 0
  const send = () => site.post(JSON.stringify([eventOf(sent++)]))
  const blocker = await site.database.connect()
  let waiting: Promise<Answered>[]
  try {
    await blocker.query('begin; lock table event_log_batches in access exclusive mode')
    waiting = await sendUntilRefused(send)
    await refuseQuickly(send)
    assert.equal((await fetch(`${site.url}/readyz?for=ingest`)).status, 200, 'it may take events at any moment')
    await blocker.query('rollback')
  } finally {
    blocker.release(true)
  }
  await until('events to be taken again', async () => (await send()).status === 202)
  const accepted = (await Promise.all(waiting)).filter(it => it.status === 202).length
  assert.ok(accepted > 0, 'what it was sent before has waited for it')
  assert.equal(await countRecords(site.log), accepted + 1)
})
