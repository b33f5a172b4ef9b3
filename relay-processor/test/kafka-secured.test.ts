/** The processor as a program, on a Kafka with TLS and a login. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'

import { openSecuredKafka, PASSWORD, USER } from 'relay-test-support/secured-kafka.ts'
import { makeEvents, openSite, send, settled, spawnProcessor } from './support/open-processor.ts'

test('events pass a broker with TLS and a login, and its password is in no log', { timeout: 120_000 }, async t => {
  const kafka = await openSecuredKafka(t)
  if (!kafka) return
  const site = await openSite(t, 'kafka', {
    KAFKA_BOOTSTRAP_SERVERS: kafka.scram,
    KAFKA_TLS: 'true',
    KAFKA_TLS_CA_FILE: kafka.own.caFile,
    KAFKA_SASL_MECHANISM: 'SCRAM-SHA-256',
    KAFKA_SASL_USERNAME: USER,
    KAFKA_SASL_PASSWORD: PASSWORD,
    JOURNAL_INTERVAL_S: '0' // the test counts its rows
  })
  if (!site) return
  const events = makeEvents(2_000)
  await send(site, events)
  const processor = await spawnProcessor(t, site, { LOG_LEVEL: 'debug' })
  let logged = ''
  processor.stdout!.on('data', chunk => { logged += chunk })
  await settled(site)
  const [{ count }] = await site.database.query<{ count: bigint }>(
    'select sum(count)::bigint as count from rollups_day join series using (series_id) where device_id is not null')
  const readings = new Set(events.map(it => `${it.deviceId} ${it.timestampMs} ${it.value}`))
  assert.equal(Number(count), readings.size)

  const exited = once(processor, 'exit')
  processor.kill('SIGTERM')
  assert.deepEqual(await exited, [0, null])
  assert.ok(logged.length > 0)
  for (const secret of [PASSWORD, JSON.stringify(PASSWORD).slice(1, -1)]) assert.ok(!logged.includes(secret))
})
