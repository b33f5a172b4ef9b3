import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'

import getPort from 'get-port'

import { startKafka } from '../../relay-stack/src/kafka.ts'
import { shortLivedJvm } from 'relay-test-support/short-lived-jvm.ts'
import { openKafkaEventLog } from '../src/kafka/kafka.ts'
import { createLogger } from 'relay-common'
import { openLocalKafka } from 'relay-test-support/local-kafka.ts'
import { takeRecords, waitAssigned } from 'relay-test-support/members.ts'

const log = createLogger('test', 'fatal')

suite('an unreachable broker', () => {
  test('is one clear error after a bounded time, with the names of the servers', async () => {
    const nobody = `127.0.0.1:${await getPort({ host: '127.0.0.1' })}`
    const before = performance.now()
    await assert.rejects(openKafkaEventLog({ bootstrapServers: [nobody], clientId: 'relay-test' }, log), {
      code: 'RELAY_EVENT_LOG_UNREACHABLE',
      message: new RegExp(
        `^Kafka at ${nobody} does not answer \\(.*ECONNREFUSED.*\\); check that it is up, and KAFKA_\\w+\\.$`
      )
    })
    assert.ok(performance.now() - before < 15_000)
  })

  test('is waited for: nothing is lost or read twice, and producers retry', async t => {
    const shared = await openLocalKafka(t) // for its jars, and to check whether this machine can run it
    if (!shared) return
    const dataDir = await mkdtemp(join(tmpdir(), 'relay-test-kafka-'))
    const port = await getPort({ host: '127.0.0.1' })
    const start = () => startKafka({ cacheDir: shared.cacheDir, dataDir, port, jvmArgs: shortLivedJvm, log })
    let kafka = await start()
    await using closing = new AsyncDisposableStack()
    closing.defer(async () => {
      await kafka.close()
      await rm(dataDir, { recursive: true, force: true })
    })
    const cluster = { bootstrapServers: [`127.0.0.1:${port}`], clientId: 'relay-test' }
    const eventLog = closing.adopt(await openKafkaEventLog(cluster, log), it => it.close())
    const topic = randomUUID()
    await eventLog.ensureTopic({ name: topic, partitions: 2, retentionMs: 3_600_000, replicationFactor: -1 })
    const producer = closing.adopt(await eventLog.openProducer(), it => it.close())
    const consumer = closing.adopt(await eventLog.openConsumer(
      { topic, group: randomUUID(), sessionTimeoutMs: 30_000, fetchBufferMaxBytes: 1024 * 1024 }), it => it.close())
    await waitAssigned(consumer, 2)
    for (const partition of [0, 1]) consumer.start(partition, 0n)
    const batch = (name: string) =>
      Array.from({ length: 50 }, (_, index) => ({ key: String(index), value: `${name} ${index}` }))
    await producer.send(topic, batch('before'))
    const read = await takeRecords(consumer, 50)

    process.kill(kafka.pid, 'SIGKILL')
    await kafka.exited
    const sent = producer.send(topic, batch('while away'))
    assert.deepEqual(await consumer.next(500), { kind: 'idle' }) // never an empty partition, never an error
    kafka = await start()
    await sent
    await producer.send(topic, batch('after'))
    read.push(...await takeRecords(consumer, 100))

    const values = read.map(it => String(it.value)).sort()
    assert.deepEqual(values, ['before', 'while away', 'after'].flatMap(name => batch(name).map(it => it.value)).sort())
  })
})
