import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'

import { openKafkaEventLog } from '../src/kafka/kafka.ts'
import { createLogger } from 'relay-common'
import { openLocalKafka } from 'relay-test-support/local-kafka.ts'
import { takeRecords, waitAssigned } from 'relay-test-support/members.ts'

test('parallel sends stay in order, also while the producer looks up leaders', async t => {
  const kafka = await openLocalKafka(t)
  if (!kafka) return
  await using opened = new AsyncDisposableStack()
  const cluster = { bootstrapServers: [kafka.bootstrapServers], clientId: 'relay-test' }
  const eventLog = opened.adopt(await openKafkaEventLog(cluster, createLogger('test', 'fatal')), it => it.close())
  const topic = randomUUID()
  await eventLog.ensureTopic({ name: topic, partitions: 1, retentionMs: 3_600_000, replicationFactor: -1 })

  const producer = opened.adopt(await eventLog.openProducer(), it => it.close()) // it knows no topic yet
  const sends: Promise<void>[] = []
  for (let n = 0; n < 500; n++) {
    sends.push(producer.send(topic, [{ key: 'a', value: String(n) }]))
    await nextTurn()
  }
  await Promise.all(sends)

  const consumer = opened.adopt(await eventLog.openConsumer(
    { topic, group: randomUUID(), sessionTimeoutMs: 30_000, fetchBufferMaxBytes: 1024 * 1024 }), it => it.close())
  await waitAssigned(consumer, 1)
  consumer.start(0, 0n)
  const values = (await takeRecords(consumer, 500)).map(it => Number(it.value))
  assert.deepEqual(values, Array.from({ length: 500 }, (_, n) => n))
})
