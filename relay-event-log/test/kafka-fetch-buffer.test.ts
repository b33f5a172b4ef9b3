/** The prefetch of a consumer, measured on the wire: bytes from the broker compared with those taken. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'

import getPort from 'get-port'
import { pino } from 'pino'

import { startKafka } from '../../relay-stack/src/kafka.ts'
import { shortLivedJvm } from 'relay-test-support/short-lived-jvm.ts'
import { openTcpProxy } from 'relay-test-support/tcp-proxy.ts'
import { until } from 'relay-test-support/until.ts'
import { openKafkaEventLog } from '../src/kafka/kafka.ts'
import type { EventConsumer } from '../src/port.ts'
import { createLogger } from 'relay-common'
import { openLocalKafka } from 'relay-test-support/local-kafka.ts'
import { nextNews, waitAssigned } from 'relay-test-support/members.ts'

const PARTITIONS = 3
const BUFFER_MAX_BYTES = 2 * 1024 * 1024
const TOPIC_BYTES = 24 * 1024 * 1024
/** headers of batches and answers, heartbeats, metadata */
const BESIDES_BYTES = 256 * 1024
const VALUE_BYTES = 10_000

suite('a separate broker behind a proxy', () => {
  test('is read from the first record without a warning, and no further ahead than the buffer allows', async t => {
    const opened = await startProxiedKafka(t)
    if (!opened) return
    await using broker = opened
    await using closing = new AsyncDisposableStack()
    const warnings: string[] = []
    const log = pino({ level: 'warn' }, { write: (line: string) => { warnings.push(line) } })
    const cluster = { bootstrapServers: [`127.0.0.1:${broker.proxy.port}`], clientId: 'relay-test' }
    const eventLog = closing.adopt(await openKafkaEventLog(cluster, log), it => it.close())
    const topic = randomUUID()
    await eventLog.ensureTopic({ name: topic, partitions: PARTITIONS, retentionMs: 3_600_000, replicationFactor: -1 })
    const producer = closing.adopt(await eventLog.openProducer(), it => it.close())
    const value = Buffer.alloc(VALUE_BYTES, 'x')
    const records = Array.from({ length: TOPIC_BYTES / 8 / VALUE_BYTES }, (_, n) => ({ key: String(n), value }))
    await producer.send(topic, records)
    assert.deepEqual(warnings, [])
    for (let n = 1; n < 8; n++) await producer.send(topic, records)

    const open = async (fetchBufferMaxBytes: number) => {
      const consumer = closing.adopt(await eventLog.openConsumer(
        { topic, group: randomUUID(), sessionTimeoutMs: 30_000, fetchBufferMaxBytes }), it => it.close())
      await waitAssigned(consumer, PARTITIONS)
      return consumer
    }
    const ends = (await eventLog.readOffsets(topic)).map(it => it.endOffset)
    const start = (consumer: EventConsumer) => {
      for (const partition of ends.keys()) consumer.start(partition, 0n)
    }

    const bounded = await open(BUFFER_MAX_BYTES)
    const before = broker.proxy.receivedBytes
    start(bounded)
    await until('the buffer to fill', () => broker.proxy.receivedBytes - before > BUFFER_MAX_BYTES / 2)
    // when another consumer has read everything, one without a bound would have done so as well
    const unbounded = await open(64 * 1024 * 1024)
    start(unbounded)
    let others = 0
    for await (const sizeBytes of takeAll(unbounded, ends)) others += sizeBytes
    await unbounded.close()
    assert.ok(others > TOPIC_BYTES * 0.9)
    let taken = 0
    const waiting = () => broker.proxy.receivedBytes - before - others - taken
    assert.ok(waiting() <= BUFFER_MAX_BYTES + BESIDES_BYTES, `${waiting()} bytes were fetched, and none was taken`)

    for await (const sizeBytes of takeAll(bounded, ends)) {
      assert.ok(waiting() <= BUFFER_MAX_BYTES + BESIDES_BYTES, `${waiting()} bytes wait to be taken`)
      taken += sizeBytes
    }
    assert.equal(taken, others)
  })
})

/** Takes records until partitions are read to their ends. Yields the size of each set before the next one is taken. */
async function * takeAll (consumer: EventConsumer, ends: readonly bigint[]): AsyncGenerator<number> {
  for (const missing = new Set(ends.keys()); missing.size > 0;) {
    const news = await nextNews(consumer)
    assert.ok(news.kind === 'records')
    const { partition, nextOffset, sizeBytes } = news.records
    yield sizeBytes
    if (nextOffset >= ends[partition]) missing.delete(partition)
  }
}

/** @returns undefined if this machine can't run Kafka: the test is skipped */
async function startProxiedKafka (t: TestContext) {
  const shared = await openLocalKafka(t) // for its jars, and to check whether this machine can run it
  if (!shared) return undefined
  await using started = new AsyncDisposableStack()
  const dataDir = await mkdtemp(join(tmpdir(), 'relay-test-kafka-'))
  started.defer(() => rm(dataDir, { recursive: true, force: true }))
  const port = await getPort({ host: '127.0.0.1' })
  const proxy = started.adopt(await openTcpProxy(port), it => it.close())
  started.adopt(await startKafka({
    cacheDir: shared.cacheDir,
    dataDir,
    port,
    jvmArgs: shortLivedJvm,
    properties: [`advertised.listeners=PLAINTEXT://127.0.0.1:${proxy.port}`],
    log: createLogger('test', 'warn')
  }), it => it.close())
  const running = started.move()
  return { proxy, [Symbol.asyncDispose]: () => running.disposeAsync() }
}
