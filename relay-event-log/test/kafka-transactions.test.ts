import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { suite, test, type TestContext } from 'node:test'

import { Producer, stringSerializers } from '@platformatic/kafka'

import { openKafkaEventLog } from '../src/kafka/kafka.ts'
import { createLogger } from 'relay-common'
import { openLocalKafka } from 'relay-test-support/local-kafka.ts'
import { nextNews, readRecords, SESSION_TIMEOUT_MS, takeRecords, waitAssigned } from 'relay-test-support/members.ts'
import { until } from 'relay-test-support/until.ts'

suite('records of other producers', () => {
  for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
    test(`are read from a broker with the compression ${compression}`, async t => {
      const opened = await openTopic(t)
      if (!opened) return
      const { topic, consumer, producer } = opened
      const values = Array.from({ length: 2_000 }, (_, index) => `value ${index}`)
      const messages = values.map(value => ({ topic, key: 'one', value, headers: { a: 'b' } }))
      await producer.send({ compression, messages })
      await waitAssigned(consumer, 1)
      consumer.start(0, 0n)
      assert.deepEqual((await takeRecords(consumer, values.length)).map(it => String(it.value)), values)
    })
  }

  test('are kept by the time of the broker, whatever time their producer gave them', async t => {
    const opened = await openTopic(t)
    if (!opened) return
    const { topic, producer, eventLog } = opened
    const beforeMs = Date.now()
    await producer.send({
      messages: [0, 1].map(n => ({
        topic, key: 'one', value: String(n), timestamp: BigInt(1_000 * n)
      }))
    })
    const read = await Array.fromAsync(eventLog.readRecords(topic, 0, 0n, 2n))
    assert.equal(read.length, 2)
    for (const { appendedMs } of read) {
      assert.ok(appendedMs >= beforeMs - 1_000 && appendedMs <= Date.now() + 1_000, String(appendedMs))
    }
    assert.deepEqual(await eventLog.findOffsets(topic, beforeMs - 3_600_000), [0n])
    assert.deepEqual(await eventLog.findOffsets(topic, Date.now() + 3_600_000), [2n])
  })

  test('are skipped if their transaction was aborted, and the position advances over them', async t => {
    const opened = await openTopic(t)
    if (!opened) return
    const { topic, consumer, producer, eventLog } = opened
    const transact = async (end: 'commit' | 'abort', values: string[]) => {
      const transaction = await producer.beginTransaction()
      // one request each, so that a transaction has several batches
      for (const value of values) await transaction.send({ messages: [{ topic, key: 'one', value }] })
      await transaction[end]()
    }
    await transact('commit', ['committed 1'])
    await transact('abort', ['aborted 1', 'aborted 2'])
    await transact('commit', ['committed 2'])
    await transact('abort', ['aborted 3'])

    await waitAssigned(consumer, 1)
    consumer.start(0, 0n)
    // a broker answers the end of a transaction before its marker is in the log
    const endOffset = 9n // five records and four markers
    await until(
      'the end of all transactions', async () => (await eventLog.readOffsets(topic))[0].endOffset === endOffset
    )
    const values: string[] = []
    for (let next = 0n; next < endOffset;) {
      const news = await nextNews(consumer)
      assert.ok(news.kind === 'records')
      values.push(...readRecords(news.records).map(it => String(it.value)))
      next = news.records.nextOffset
    }
    assert.deepEqual(values, ['committed 1', 'committed 2'])
  })

  test('are not visible before their transaction ends', async t => {
    const opened = await openTopic(t)
    if (!opened) return
    const { topic, consumer, producer } = opened
    await waitAssigned(consumer, 1)
    consumer.start(0, 0n)
    const transaction = await producer.beginTransaction()
    await transaction.send({ messages: [{ topic, key: 'one', value: 'not yet' }] })
    assert.deepEqual(await consumer.next(500), { kind: 'idle' })
    await transaction.commit()
    assert.deepEqual((await takeRecords(consumer, 1)).map(it => String(it.value)), ['not yet'])
  })
})

async function openTopic (t: TestContext) {
  const kafka = await openLocalKafka(t)
  if (!kafka) return undefined
  const eventLog = await openKafkaEventLog(
    { bootstrapServers: [kafka.bootstrapServers], clientId: 'relay-test' }, createLogger('test', 'error'))
  const topic = `transactions-${randomUUID()}`
  await eventLog.ensureTopic({ name: topic, partitions: 1, retentionMs: 3_600_000, replicationFactor: -1 })
  const consumer = await eventLog.openConsumer(
    { topic, group: randomUUID(), sessionTimeoutMs: SESSION_TIMEOUT_MS, fetchBufferMaxBytes: 1024 * 1024 })
  const producer = new Producer({
    bootstrapBrokers: [kafka.bootstrapServers],
    clientId: 'another-producer',
    serializers: stringSerializers,
    idempotent: true,
    transactionalId: randomUUID(),
    retries: 10
  })
  t.after(async () => {
    await producer.close()
    await consumer.close()
    await eventLog.close()
  })
  return { eventLog, topic, consumer, producer }
}
