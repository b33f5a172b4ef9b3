/** A broker that knows the classic groups alone, as Kafka did before 4.0 and does when it is told to. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { openKafkaEventLog } from '../src/event-log/kafka.ts'
import { RelayError } from '../src/errors.ts'
import { createLogger } from '../src/log.ts'
import { openOwnKafka } from './support/local-kafka.ts'

test('a consumer says at once what its brokers lack, and what they need', async t => {
  const kafka = await openOwnKafka(t, { properties: ['group.coordinator.rebalance.protocols=classic'] })
  if (!kafka) return
  await using opened = new AsyncDisposableStack()
  const settings = { bootstrapServers: [kafka.bootstrapServers], clientId: 'test' }
  const eventLog = opened.adopt(await openKafkaEventLog(settings, createLogger('test', 'silent')), it => it.close())
  await eventLog.ensureTopic({ name: 'events', partitions: 1, retentionMs: 3_600_000, replicationFactor: 1 })
  const consumer = opened.adopt(await eventLog.openConsumer({
    topic: 'events', group: 'group', sessionTimeoutMs: 3_000, fetchBufferMaxBytes: 1024 * 1024
  }), it => it.close())
  await assert.rejects(consumer.next(30_000), (error: unknown) =>
    error instanceof RelayError && error.code === 'RELAY_EVENT_LOG_UNSUPPORTED' &&
    /Kafka 4\.0/.test(error.message) && /group\.coordinator\.rebalance\.protocols/.test(error.message))
})
