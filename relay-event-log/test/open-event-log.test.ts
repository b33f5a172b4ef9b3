import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { eventLogKind, openEventLog } from 'relay-event-log'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'

const log = createLogger('test', 'fatal')

test('the log is the configured one, else Kafka if its servers are configured, else PostgreSQL', () => {
  const servers = { KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:9092' }
  assert.equal(eventLogKind({}), 'postgres')
  assert.equal(eventLogKind(servers), 'kafka')
  assert.equal(eventLogKind({ ...servers, EVENT_LOG: 'postgres' }), 'postgres')
  assert.equal(eventLogKind({ EVENT_LOG: 'kafka' }), 'kafka')
})

test('Kafka without servers, and PostgreSQL without a database, are invalid settings', async () => {
  for (const KAFKA_BOOTSTRAP_SERVERS of [undefined, '', ' , ']) {
    await assert.rejects(openEventLog({ EVENT_LOG: 'kafka', KAFKA_BOOTSTRAP_SERVERS }, undefined, log),
      { code: 'RELAY_CONFIG_INVALID', message: /KAFKA_BOOTSTRAP_SERVERS/ })
  }
  await assert.rejects(openEventLog({ EVENT_LOG: 'postgres' }, undefined, log), { code: 'RELAY_CONFIG_INVALID' })
})

test('a log in PostgreSQL describes its address without the password', async t => {
  const { database, settings } = await openLocalPostgres(t)
  const eventLog = await openEventLog(settings, database, log)
  t.after(() => eventLog.close())
  assert.equal(eventLog.kind, 'postgres')
  const { host, pathname } = new URL(settings.DATABASE_URL!)
  assert.equal(eventLog.description, `postgres at ${host}${pathname}`)
})
