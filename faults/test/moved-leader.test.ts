/** The event log on three brokers, while leaders of partitions and the coordinator of the group move. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { createLogger } from 'relay-common'
import { openKafkaEventLog } from 'relay-event-log'

import { canRunKafka } from 'relay-test-support/local-kafka.ts'
import { KafkaClient } from '../../relay-event-log/src/kafka/client.ts'
import { takeRecords, waitAssigned } from 'relay-test-support/members.ts'
import { startKafkaCluster, type KafkaCluster } from '../src/kafka-cluster.ts'

const cacheDir = fileURLToPath(new URL('../../.relay/kafka', import.meta.url))
const PARTITIONS = 6
const ROUND = 300

suite('a cluster of three brokers', () => {
  test('may lose one and get it back: each record is read once, in order, from any leader', async t => {
    const started = await startCluster(t)
    if (!started) return
    await using cluster = started
    await using opened = new AsyncDisposableStack()
    const log = createLogger('test', 'fatal')
    const settings = { bootstrapServers: cluster.bootstrapServers.split(','), clientId: 'relay-test' }
    const eventLog = opened.adopt(await openKafkaEventLog(settings, log), it => it.close())
    const client = opened.adopt(new KafkaClient(settings), it => it.close())
    const topic = randomUUID()
    await eventLog.ensureTopic({ name: topic, partitions: PARTITIONS, retentionMs: 3_600_000, replicationFactor: -1 })
    const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
    const member = { topic, group: randomUUID(), sessionTimeoutMs: 60_000, fetchBufferMaxBytes: 16 * 1024 * 1024 }
    const consumer = opened.adopt(await eventLog.openConsumer(member), it => it.close())
    await waitAssigned(consumer, PARTITIONS)
    for (let partition = 0; partition < PARTITIONS; partition++) consumer.start(partition, 0n)

    const read: Awaited<ReturnType<typeof takeRecords>> = []
    let sent = 0
    const sendAndRead = async () => {
      const records = Array.from({ length: ROUND }, () => ({ key: `device-${sent % 50}`, value: String(sent++) }))
      await Promise.all([0, 1, 2].map(n => producer.send(topic, records.slice(n * ROUND / 3, (n + 1) * ROUND / 3))))
      read.push(...await takeRecords(consumer, ROUND))
    }
    const leaders = async () => (await client.retry(10_000, () => client.describe(topic)))!.leaders

    await sendAndRead()
    for (const broker of cluster.brokers) { // one of them coordinates the group
      await (broker.nodeId === 2 ? broker.stop() : broker.kill())
      await sendAndRead()
      assert.ok(!(await leaders()).includes(broker.nodeId), `broker ${broker.nodeId} is away, and leads partitions`)
      await broker.start()
      await cluster.inSync()
      await sendAndRead()
    }

    assert.deepEqual(read.map(it => Number(it.value)).sort((a, b) => a - b), Array.from({ length: sent }, (_, n) => n))
    for (const ofPartition of Map.groupBy(read, it => it.partition).values()) {
      assert.deepEqual(ofPartition.map(it => it.offset), ofPartition.map((_, n) => BigInt(n)))
    }
    for (const [key, ofKey] of Map.groupBy(read, it => String(it.key))) {
      const numbers = ofKey.map(it => Number(it.value))
      assert.deepEqual(numbers, numbers.toSorted((a, b) => a - b), `records of ${key} are out of order`)
    }
  })
})

/** @returns undefined if this machine can't run Kafka: the test is skipped with a message */
async function startCluster (t: TestContext): Promise<(KafkaCluster & AsyncDisposable) | undefined> {
  if (!await canRunKafka(t)) return undefined
  await using started = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'relay-cluster-'))
  started.defer(() => rm(folder, { recursive: true, force: true }))
  const log = createLogger('test', 'error')
  const cluster = started.adopt(await startKafkaCluster({ folder, cacheDir, brokers: 3, log }), it => it.close())
  const parts = started.move()
  return { ...cluster, [Symbol.asyncDispose]: () => parts.disposeAsync() }
}
