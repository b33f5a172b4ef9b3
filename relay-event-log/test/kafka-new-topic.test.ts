/** A topic that was just created: brokers of a cluster learn of it one after the other. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'

import { createLogger } from 'relay-common'

import { openLocalKafka } from 'relay-test-support/local-kafka.ts'
import { openKafkaEventLog } from '../src/kafka/kafka.ts'

test('a group waits for a topic that its broker does not know yet, and not for one that nobody creates', async t => {
  const kafka = await openLocalKafka(t)
  if (!kafka) return
  const settings = { bootstrapServers: [kafka.bootstrapServers], clientId: 'relay-test' }
  const eventLog = await openKafkaEventLog(settings, createLogger('test', 'silent'))
  t.after(() => eventLog.close())
  const groupOf = (topic: string) =>
    eventLog.openGroup({ topic, group: randomUUID(), sessionTimeoutMs: 3_000, fetchBufferMaxBytes: 1_000_000 })

  const topic = randomUUID()
  const opening = groupOf(topic)
  opening.catch(() => {})
  // by then the group has looked for it
  for (let n = 0; n < 50; n++) assert.equal(await eventLog.describeTopic(topic), undefined)
  await eventLog.ensureTopic({ name: topic, partitions: 1, retentionMs: 3_600_000, replicationFactor: -1 })
  assert.equal(typeof await opening, 'function')
  await assert.rejects(groupOf(randomUUID()), { code: 'RELAY_TOPIC_MISSING' })
})
