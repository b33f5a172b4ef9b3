/** Records above the limit of a topic: a retry would not help, so there is none. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { suite, test, type TestContext } from 'node:test'

import { ConfigResourceTypes, IncrementalAlterConfigOperationTypes } from '@platformatic/kafka'

import { createLogger, RelayError } from 'relay-common'
import { until } from 'relay-test-support/until.ts'
import { KafkaClient } from '../src/kafka/client.ts'
import { openKafkaEventLog } from '../src/kafka/kafka.ts'
import { openLocalKafka } from 'relay-test-support/local-kafka.ts'

suite('an oversized record', () => {
  test('is refused at once, with its size, the limit and its name, and must not be retried', async t => {
    const opened = await openTopic(t)
    if (!opened) return
    await using site = opened
    const before = performance.now()
    await assert.rejects(site.send(['x'.repeat(1_200_000)]), error => {
      assert.ok(error instanceof RelayError)
      assert.deepEqual([error.code, error.status, error.retry], ['RELAY_RECORD_TOO_LARGE', 413, false])
      assert.match(error.message,
        new RegExp(`^a record of 12000\\d\\d bytes exceeds the limit of topic ${site.topic} on Kafka at \\S+ ` +
          '\\(max.message.bytes is 1048588\\)$'))
      return true
    })
    assert.ok(performance.now() - before < 10_000)
  })

  test('does not prevent other records from being sent, in order', async t => {
    const opened = await openTopic(t)
    if (!opened) return
    await using site = opened
    const values = ['before', 'x'.repeat(1_200_000), 'behind', 'x'.repeat(1_200_000), 'at the end']
    const outcomes = await Promise.allSettled(values.map(it => site.send([it])))
    assert.deepEqual(outcomes.map(it => it.status), ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled'])
    assert.deepEqual((await site.eventLog.readOffsets(site.topic)).map(it => it.endOffset), [3n])
  })

  test('may be a batch, if the limit of the topic is below a batch: the message says so', async t => {
    const opened = await openTopic(t)
    if (!opened) return
    await using site = opened
    await site.setLimit(10_000)
    let refused: { code?: string, message?: string } = {}
    await until('the broker to have heard of the limit', async () => {
      refused = await site.send(Array.from({ length: 300 }, () => 'x'.repeat(100))).then(() => ({}), error => error)
      return refused.code !== undefined
    })
    assert.equal(refused.code, 'RELAY_RECORD_TOO_LARGE')
    assert.match(refused.message!,
      /^a batch of 300 records of 3\d{4} bytes exceeds the limit of .* \(max.message.bytes is 10000\)$/)
    await site.send(['x'.repeat(100)])
  })
})

async function openTopic (t: TestContext) {
  const kafka = await openLocalKafka(t)
  if (!kafka) return undefined
  await using opened = new AsyncDisposableStack()
  const cluster = { bootstrapServers: [kafka.bootstrapServers], clientId: 'relay-test' }
  const eventLog = opened.adopt(await openKafkaEventLog(cluster, createLogger('test', 'fatal')), it => it.close())
  const client = opened.adopt(new KafkaClient(cluster), it => it.close())
  const topic = randomUUID()
  await eventLog.ensureTopic({ name: topic, partitions: 1, retentionMs: 3_600_000, replicationFactor: -1 })
  const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
  const parts = opened.move()
  return {
    topic,
    eventLog,
    send: (values: readonly string[]) => producer.send(topic, values.map(value => ({ key: 'a', value }))),
    setLimit: async (bytes: number) => {
      const configs = [{
        name: 'max.message.bytes', value: String(bytes), configOperation: IncrementalAlterConfigOperationTypes.SET
      }]
      await client.call('IncrementalAlterConfigs', await client.anyBroker(),
        [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: topic, configs }], false)
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync()
  }
}
