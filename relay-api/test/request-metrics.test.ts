/** The metrics of answers that alerts use. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'

import { gapKinds } from 'relay-event-log'

import { openTestApi, TOKEN } from './support/ask.ts'

test('requests count by purpose and outcome, and gaps when they are recorded', async t => {
  const { app, ask, database } = await openTestApi(t, { EVENT_LOG: 'postgres', EVENTS_TOPIC: 'iot-events' })
  const values = async (name: string) => {
    const { values } = await app.metrics.getSingleMetric(name)!.get()
    return Object.fromEntries(values.map(it => [Object.values(it.labels).join(' '), it.value]))
  }
  const range = { start: '2024-01-01T00:00:00Z', end: '2024-01-02T00:00:00Z' }
  assert.equal((await ask('/api/v1/aggregates', range)).status, 200)
  assert.equal((await ask('/api/v1/aggregates', { ...range, end: 'yesterday' })).status, 400)
  assert.equal((await ask('/readyz')).status, 200)
  const post = (payload: string) => app.inject({
    method: 'POST',
    url: '/api/v1/events',
    payload,
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
  })
  assert.equal((await post('[')).statusCode, 400)
  const { statusCode } = await post(
    '[{"deviceId":"a","deviceType":"THERMOSTAT","zone":"b","value":1,"timestamp":"2024-01-01T00:00:00Z"}]'
  )
  assert.ok(statusCode >= 500, 'there is no topic yet')
  assert.deepEqual(await values('relay_api_requests_total'), {
    'query answered': 1,
    'query refused': 1,
    'query failed': 0,
    'ingest answered': 0,
    'ingest refused': 1,
    'ingest failed': 1
  })

  const none = Object.fromEntries(gapKinds.map(it => [it, 0]))
  assert.deepEqual(await values('relay_api_gaps_total'), none)
  await database.query(`insert into gaps (topic_id, topic, source_partition, kind, expected_offset, available_offset)
    values ($1, 'iot-events', 0, 'topic-recreated', 10, 0)`, [randomUUID()])
  assert.deepEqual(await values('relay_api_gaps_total'), { ...none, 'topic-recreated': 1 })
  assert.deepEqual(await values('relay_api_statements_waiting'), { database: 0 })
})
