/**
 * A broker that is restored from an older copy, and filled beyond what was read from it: new records have the offsets
 * of lost ones.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { createLogger } from 'relay-common'
import { openKafkaEventLog, type ConsumerNews } from 'relay-event-log'
import { setNextOffset } from 'relay-processor/progress'

import { canRunKafka } from 'relay-test-support/local-kafka.ts'
import { KafkaClient } from '../../relay-event-log/src/kafka/client.ts'
import { KafkaFetcher } from '../../relay-event-log/src/kafka/fetcher.ts'
import { readRecords } from 'relay-test-support/members.ts'
import {
  makeEvents, openSite, send, settled, spawnProcessor, type Site
} from '../../relay-processor/test/support/open-processor.ts'
import { readWindows, recompute } from '../../relay-processor/test/support/recompute.ts'
import { until } from 'relay-test-support/until.ts'
import { copyDisk, restoreDisk } from '../src/broker-copy.ts'
import { startKafkaCluster, type KafkaCluster } from '../src/kafka-cluster.ts'

const cacheDir = fileURLToPath(new URL('../../.relay/kafka', import.meta.url))
const log = createLogger('test', 'fatal')

interface RestorableKafka extends AsyncDisposable {
  readonly cluster: KafkaCluster
  /** Copies its disk, and goes on. */
  copy (): Promise<void>
  /** kill -9, then it starts on the copy. */
  restore (): Promise<void>
}

suite('a broker restored from an older copy, and filled beyond what was read', () => {
  test('is noticed by a reader that was connected before, after the records that it had fetched', async t => {
    await using kafka = await startRestorable(t)
    if (!kafka) return
    await using opened = new AsyncDisposableStack()
    const settings = { bootstrapServers: kafka.cluster.bootstrapServers.split(','), clientId: 'relay-test' }
    const eventLog = opened.adopt(await openKafkaEventLog(settings, log), it => it.close())
    const topic = randomUUID()
    await eventLog.ensureTopic({ name: topic, partitions: 1, retentionMs: 3_600_000, replicationFactor: -1 })
    const sendWide = async (from: number, count: number) => {
      const producer = await eventLog.openProducer()
      for (let n = from; n < from + count; n += 100) {
        await producer.send(topic, Array.from({ length: 100 }, (_, m) => ({
          key: 'device', value: `${n + m} `.padEnd(1_000, 'x')
        })))
      }
      await producer.close()
    }
    await sendWide(0, 1_000)
    await kafka.copy()
    const client = new KafkaClient(settings)
    const fetched = Promise.withResolvers<void>()
    // room for a batch of those above: nothing more is fetched until it is taken
    const fetcher = opened.adopt(new KafkaFetcher(client, { fetchBufferMaxBytes: 128 * 1024 }, log, {
      ready: () => fetched.resolve(), failed: error => fetched.reject(error)
    }), it => it.close())
    fetcher.setTopic((await client.retry(10_000, () => client.describe(topic)))!)
    await sendWide(1_000, 2_000)
    fetcher.start(0, 1_000n)
    await fetched.promise

    await kafka.restore()
    await sendWide(5_000, 3_000)

    const next = async () => {
      let news: ConsumerNews | undefined
      await until('news', () => (news = fetcher.take()) !== undefined)
      return news!
    }
    const first = await next()
    assert.equal(first.kind, 'records')
    const read = first.kind === 'records' ? readRecords(first.records) : []
    assert.deepEqual(read.map(it => Number.parseInt(String(it.value))), read.map((_, n) => 1_000 + n))
    assert.deepEqual(await next(), {
      kind: 'gap',
      gap: 'records-replaced',
      partition: 0,
      expectedOffset: 1_000n + BigInt(read.length),
      startOffset: 0n,
      endOffset: 4_000n
    })
    // what is read again is read as any other log
    fetcher.start(0, 1_000n)
    const again = await next()
    assert.equal(again.kind === 'records' && String(readRecords(again.records)[0].value).split(' ')[0], '5000')
  })

  test('stops processors, which read it again from the time of the copy, and nothing is lost or doubled', async t => {
    await using kafka = await startRestorable(t)
    if (!kafka) return
    const site = await openSite(t, 'kafka', { KAFKA_BOOTSTRAP_SERVERS: kafka.cluster.bootstrapServers })
    if (!site) return
    const { EVENTS_TOPIC: topic } = site.config
    const [before, lost, after] = [makeEvents(500, 1), makeEvents(300, 2), makeEvents(2_000, 3)]
    const processor = await spawnProcessor(t, site)
    await send(site, before)
    await settled(site)
    const copied = await site.eventLog.readOffsets(topic)
    await kafka.copy()
    await send(site, lost)
    await settled(site)

    processor.kill('SIGSTOP') // it sees nothing of what follows
    await kafka.restore()
    const producer = await site.eventLog.openProducer() // Kafka refuses numbers of batches of the one from before
    await send({ ...site, producer }, after)
    await producer.close()
    const read = await nextOffsets(site)
    for (const { partition, endOffset } of await site.eventLog.readOffsets(topic)) {
      assert.ok(endOffset > (read.get(partition) ?? 0n), `partition ${partition} is not filled beyond what was read`)
    }
    processor.kill('SIGCONT')
    await once(processor, 'exit')
    assert.deepEqual(await kindsOfGaps(site), ['records-replaced'])
    assert.deepEqual(Object.fromEntries(await readWindows(site.database)),
      Object.fromEntries(recompute([...before, ...lost])))

    // nor does the next one pass over it
    const [exitCode] = await once(await spawnProcessor(t, site), 'exit')
    assert.equal(exitCode, 1)
    assert.deepEqual(await nextOffsets(site), read)

    await site.database.transaction(async client => {
      const described = (await site.eventLog.describeTopic(topic))!
      for (const { partition, endOffset } of copied) {
        await setNextOffset(client, 'kafka', described, partition, 'test', endOffset)
      }
    })
    await spawnProcessor(t, site)
    await settled(site)
    assert.deepEqual(Object.fromEntries(await readWindows(site.database)),
      Object.fromEntries(recompute([...before, ...lost, ...after])))
  })
})

async function nextOffsets ({ database, config }: Site): Promise<Map<number, bigint>> {
  const rows = await database.query<{ source_partition: number, next_offset: bigint }>(
    'select source_partition, next_offset from progress where topic = $1', [config.EVENTS_TOPIC])
  return new Map(rows.map(it => [it.source_partition, it.next_offset]))
}

async function kindsOfGaps ({ database }: Site): Promise<string[]> {
  return (await database.query<{ kind: string }>('select distinct kind from gaps')).map(it => it.kind)
}

/** @returns undefined if this machine can't run Kafka: the test is skipped with a message */
async function startRestorable (t: TestContext): Promise<RestorableKafka | undefined> {
  if (!await canRunKafka(t)) return undefined
  await using started = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'relay-restored-'))
  started.defer(() => rm(folder, { recursive: true, force: true }))
  const cluster = started.adopt(await startKafkaCluster({ folder, cacheDir, brokers: 1, log }), it => it.close())
  const [broker] = cluster.brokers
  const copy = join(folder, 'copy')
  const parts = started.move()
  return {
    cluster,
    copy: () => copyDisk(broker, copy),
    restore: () => restoreDisk(broker, copy),
    [Symbol.asyncDispose]: () => parts.disposeAsync()
  }
}
