/** The contract of event logs as tests: each adapter's test file runs this suite on its own log. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { createInterface } from 'node:readline'
import { suite, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { until } from 'relay-test-support/until.ts'
import { partitionOf } from '../src/key-partition.ts'
import type { ConsumerSettings, EventConsumer, EventLog, ProducedRecord, TopicSettings } from '../src/port.ts'
import {
  Group, nextNews, readRecords, SESSION_TIMEOUT_MS, takeRecords, waitAssigned, type Read
} from 'relay-test-support/members.ts'

export interface LogUnderTest {
  readonly eventLog: EventLog
  /**
   * How another process opens the same log: it imports `module` (a URL) and calls the function of that name with
   * `settings` (as JSON) and a logger.
   */
  readonly elsewhere: { readonly module: string, readonly name: string, readonly settings: unknown }
  /** Deletes a topic with its records. */
  deleteTopic (topic: string): Promise<void>
  /** Makes the records before an offset unreadable, like retention. */
  deleteRecords (topic: string, partition: number, beforeOffset: bigint): Promise<void>
}

/**
 * Registers the suite.
 * @param name of the adapter, for the reader of the report
 * @param open a log of this test or a shared one (topics have unique names); closes with the test. Undefined: the test
 *   was skipped, because the machine lacks what the log needs
 */
export function eventLogContract (name: string, open: (t: TestContext) => Promise<LogUnderTest | undefined>): void {
  const promise = (what: string, check: (opened: AsyncDisposableStack, log: LogUnderTest) => Promise<void>) =>
    test(what, async t => {
      const log = await open(t)
      if (!log) return
      await using opened = new AsyncDisposableStack() // consumers close before their log
      await check(opened, log)
    })

  suite(`the event log on ${name}`, () => {
    promise('a new topic has the partitions that were asked for, all empty', async (_opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(5))
      assert.equal(topic.partitions, 5)
      assert.match(topic.topicId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      assert.deepEqual(await eventLog.describeTopic(topic.name), topic)
      assert.deepEqual(await eventLog.readOffsets(topic.name),
        [0, 1, 2, 3, 4].map(partition => ({ partition, startOffset: 0n, endOffset: 0n })))
    })

    promise('a topic that is there stays as it is, and creators may race', async (_opened, { eventLog }) => {
      const settings = topicOf(3)
      const racing = await Promise.all(Array.from({ length: 4 }, () => eventLog.ensureTopic(settings)))
      const [first] = racing
      for (const topic of racing) assert.deepEqual(topic, first)
      assert.deepEqual(await eventLog.ensureTopic({ ...settings, partitions: 7 }), first)
    })

    promise('there is no topic that nobody created', async (_opened, { eventLog }) => {
      const missing = topicOf(1).name
      assert.equal(await eventLog.describeTopic(missing), undefined)
      await assert.rejects(eventLog.readOffsets(missing), { code: 'RELAY_TOPIC_MISSING' })
      const producer = await eventLog.openProducer()
      try {
        await assert.rejects(producer.send(missing, [{ key: 'a', value: 'b' }]), { code: 'RELAY_TOPIC_MISSING' })
      } finally {
        await producer.close()
      }
      await assert.rejects(async () => {
        const consumer = await eventLog.openConsumer(consumerOf(missing))
        try {
          await nextNews(consumer)
        } finally {
          await consumer.close()
        }
      }, { code: 'RELAY_TOPIC_MISSING' })
    })

    promise('a topic that is made anew has another id', async (_opened, { eventLog, deleteTopic }) => {
      const settings = topicOf(1)
      const before = await eventLog.ensureTopic(settings)
      await deleteTopic(settings.name)
      assert.equal(await eventLog.describeTopic(settings.name), undefined)
      const after = await eventLog.ensureTopic(settings)
      assert.notEqual(after.topicId, before.topicId)
      assert.deepEqual(await eventLog.describeTopic(settings.name), after)
    })

    promise('records of a partition come in the order in which they were sent', async (opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(1))
      const values = numbered(2_500)
      for (let at = 0; at < values.length; at += 500) await send(eventLog, topic.name, values.slice(at, at + 500))
      const consumer = await openConsumer(opened, eventLog, consumerOf(topic.name))
      await waitAssigned(consumer, 1)
      consumer.start(0, 0n)
      const reads = await takeRecords(consumer, values.length)
      assert.deepEqual(reads.map(it => String(it.value)), values.map(it => it.value))
      assert.deepEqual(reads.map(it => it.offset), values.map((_, index) => BigInt(index)))
    })

    promise('a tool reads the records of a stretch with keys, headers and times', async (_opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(1))
      const beforeMs = Date.now()
      const sent: ProducedRecord[] = [
        { key: 'a', value: 'first', headers: { one: '1', 'zwei-ü': 'ö' } },
        { key: null, value: null },
        { key: 'c', value: Buffer.from([0xff, 0]), headers: {} }
      ]
      await send(eventLog, topic.name, [...sent, ...numbered(4_997)])
      await send(eventLog, topic.name, numbered(5_000))
      const read = async (from: bigint, to: bigint) => await Array.fromAsync(eventLog.readRecords(
        topic.name, 0, from, to
      ))

      const [first, second, third, ...rest] = await read(0n, 10_000n)
      assert.deepEqual(
        [first.key, first.value, first.headers], [Buffer.from('a'), Buffer.from('first'), sent[0].headers]
      )
      assert.deepEqual([second.key, second.value, second.headers], [null, null, {}])
      assert.deepEqual([third.key, third.value], [Buffer.from('c'), sent[2].value])
      assert.ok(first.appendedMs >= beforeMs - 1_000 && first.appendedMs <= Date.now() + 1_000)
      assert.equal(rest.length, 9_997)
      assert.deepEqual((await read(4_998n, 5_003n)).map(it => it.offset), [4_998n, 4_999n, 5_000n, 5_001n, 5_002n])
      assert.deepEqual(await read(10_000n, 10_000n), [])
    })

    promise('offsets are found by the time of their records', async (_opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(1))
      await send(eventLog, topic.name, numbered(10))
      const [last] = await Array.fromAsync(eventLog.readRecords(topic.name, 0, 9n, 10n))
      await until('the clock to move on', () => Date.now() > last.appendedMs + 1)
      await send(eventLog, topic.name, numbered(10))
      assert.deepEqual(await eventLog.findOffsets(topic.name, 0), [0n])
      assert.deepEqual(await eventLog.findOffsets(topic.name, last.appendedMs + 1), [10n])
      assert.deepEqual(await eventLog.findOffsets(topic.name, Date.now() + 60_000), [20n])
      await assert.rejects(eventLog.findOffsets(topicOf(1).name, 0), { code: 'RELAY_TOPIC_MISSING' })
    })

    promise('one send may hold many thousands of records', async (opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(4))
      const sent = numbered(40_000)
      await send(eventLog, topic.name, sent)
      const consumer = await openConsumer(opened, eventLog, consumerOf(topic.name))
      await waitAssigned(consumer, 4)
      for (let partition = 0; partition < 4; partition++) consumer.start(partition, 0n)
      const reads = await takeRecords(consumer, sent.length)
      assert.deepEqual(reads.map(it => String(it.value)).sort(), sent.map(it => it.value).sort())
      assertOnceInOrder(reads)
    })

    promise('records of one key share a partition; records without a key spread', async (opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(4))
      const keyed = Array.from({ length: 200 }, (_, index) => ({ key: `device-${index % 20}`, value: String(index) }))
      const keyless = Array.from({ length: 400 }, (_, index) => ({ key: null, value: String(1_000 + index) }))
      const producer = await eventLog.openProducer()
      for (let at = 0; at < keyed.length; at += 50) await producer.send(topic.name, keyed.slice(at, at + 50))
      for (let at = 0; at < keyless.length; at += 20) await producer.send(topic.name, keyless.slice(at, at + 20))
      await producer.close()
      const reads = await readAll(opened, eventLog, topic.name)

      const partitionsByKey = Map.groupBy(reads.filter(it => it.key), it => String(it.key))
      assert.equal(partitionsByKey.size, 20)
      for (const [key, ofKey] of partitionsByKey) {
        assert.equal(new Set(ofKey.map(it => it.partition)).size, 1, `${key} is in several partitions`)
        assert.deepEqual(ofKey.map(it => Number(it.value)), ofKey.map(it => Number(it.value)).sort((a, b) => a - b))
      }
      assert.ok(new Set(reads.filter(it => !it.key).map(it => it.partition)).size > 1)
    })

    promise('keys and values come back byte for byte, beside headers', async (opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(1))
      const binary = Buffer.from([0, 0xff, 0x80, 0x0a, 0, 0x22])
      const records: ProducedRecord[] = [
        { key: null, value: null },
        { key: null, value: 'only a value' },
        { key: 'only a key', value: null },
        { key: Buffer.alloc(0), value: Buffer.alloc(0) },
        { key: binary, value: Buffer.concat([binary, binary]) },
        { key: 'ключ', value: '{"zone":"Зона Ä"}', headers: { reason: 'not-json', 'Bemerkung ä': 'wért' } },
        { key: 'large', value: Buffer.alloc(300_000, 7) }
      ]
      await send(eventLog, topic.name, records)
      const reads = await readAll(opened, eventLog, topic.name)
      const bytes = (it: string | Buffer | null) => it === null ? null : Buffer.from(it as string)
      assert.deepEqual(
        reads.map(({ key, value }) => ({ key, value })),
        records.map(({ key, value }) => ({ key: bytes(key), value: bytes(value) })))
    })

    promise('a consumer finds the headers of records that have some', async (opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(1))
      const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
      const records: ProducedRecord[] = [
        ...numbered(200),
        { key: 'a', value: 'b', headers: { 'zwei-ü': 'ö', traceparent } },
        { key: null, value: null, headers: { traceparent, empty: '' } },
        { key: 'a', value: 'without' },
        { key: 'a', value: 'c', headers: { other: 'x'.repeat(3_000) } }
      ]
      await send(eventLog, topic.name, records)
      const consumer = await openConsumer(opened, eventLog, consumerOf(topic.name))
      await waitAssigned(consumer, 1)
      const found: unknown[] = []
      for (const fromOffset of [0n, 201n]) {
        consumer.start(0, fromOffset)
        for (let next = fromOffset; next < records.length;) {
          const news = await nextNews(consumer)
          if (news.kind !== 'records') continue
          const { records: set } = news
          next = set.nextOffset
          set.forEach({
            record: () => {},
            corrupt: () => assert.fail('a batch is corrupt'),
            headers: (find, offsetDelta) => found.push([
              set.baseOffset + BigInt(offsetDelta), find('traceparent'), find('zwei-ü'), find('empty'), find('nothing')
            ])
          })
        }
      }
      const second = [201n, traceparent, undefined, '', undefined]
      const last = [203n, undefined, undefined, undefined, undefined]
      assert.deepEqual(found, [[200n, traceparent, 'ö', undefined, undefined], second, last, second, last])
    })

    promise('reading begins at any offset, and start() moves it back', async (opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(1))
      await send(eventLog, topic.name, numbered(1_000))
      const consumer = await openConsumer(opened, eventLog, consumerOf(topic.name))
      await waitAssigned(consumer, 1)
      for (const offset of [700, 999, 0, 1, 500]) {
        consumer.start(0, BigInt(offset))
        const reads = await takeRecords(consumer, 1_000 - offset)
        assert.deepEqual(reads.map(it => it.offset), offsets(offset, 1_000))
      }
    })

    promise('partitions without records keep no room of a small buffer from the others', async (opened, { eventLog }) => {
      const partitions = 3
      const topic = await eventLog.ensureTopic(topicOf(partitions))
      const consumer = await openConsumer(
        opened, eventLog, { ...consumerOf(topic.name), fetchBufferMaxBytes: 1024 * 1024 }
      )
      await waitAssigned(consumer, partitions)
      for (let partition = 0; partition < partitions; partition++) consumer.start(partition, 0n)
      // one that is read after the other; the rest waits for records
      for (let filled = 0; filled < partitions; filled++) {
        const keys = Array.from({ length: 100 }, (_, n) => `key-${n}`)
        const key = keys.find(it => partitionOf(Buffer.from(it), partitions) === filled)!
        await send(eventLog, topic.name, numbered(500).map(it => ({ ...it, key })))
        const reads = await takeRecords(consumer, 500)
        assert.ok(reads.every(it => it.partition === filled))
        assert.deepEqual(reads.map(it => it.offset), offsets(0, 500))
      }
    })

    promise('a set of records says where reading goes on and where the log ends', async (opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(1))
      await send(eventLog, topic.name, numbered(300))
      const consumer = await openConsumer(opened, eventLog, consumerOf(topic.name))
      await waitAssigned(consumer, 1)
      consumer.start(0, 0n)
      for (let expected = 0n; expected < 300n;) {
        const news = await nextNews(consumer)
        assert.ok(news.kind === 'records')
        const reads = readRecords(news.records)
        assert.equal(reads[0]?.offset, expected)
        assert.equal(news.records.nextOffset, reads.at(-1)!.offset + 1n)
        assert.equal(news.records.endOffset, 300n)
        assert.ok(news.records.sizeBytes > 0)
        expected = news.records.nextOffset
      }
    })

    promise('records that are sent while a consumer waits wake it', async (opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(1))
      const consumer = await openConsumer(opened, eventLog, consumerOf(topic.name))
      await waitAssigned(consumer, 1)
      consumer.start(0, 0n)
      for (let round = 0; round < 5; round++) {
        const taken = takeRecords(consumer, 1)
        await send(eventLog, topic.name, [{ key: 'a', value: `round ${round}` }])
        assert.deepEqual((await taken).map(it => String(it.value)), [`round ${round}`])
      }
    })

    promise('a consumer with nothing to read says so within the wait', async (opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(1))
      const consumer = await openConsumer(opened, eventLog, consumerOf(topic.name))
      await waitAssigned(consumer, 1)
      consumer.start(0, 0n)
      const before = performance.now()
      assert.deepEqual(await consumer.next(150), { kind: 'idle' })
      const tookMs = performance.now() - before
      assert.ok(tookMs >= 140 && tookMs < 2_000, `idle after ${tookMs} ms instead of 150`)
    })

    promise('a wait that is aborted ends at once, and nothing is lost by it', async (opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(1))
      const consumer = await openConsumer(opened, eventLog, consumerOf(topic.name))
      await waitAssigned(consumer, 1)
      consumer.start(0, 0n)
      const abort = new AbortController()
      const waiting = consumer.next(60_000, abort.signal)
      abort.abort()
      const before = performance.now()
      assert.deepEqual(await waiting, { kind: 'idle' })
      assert.deepEqual(await consumer.next(60_000, AbortSignal.abort()), { kind: 'idle' })
      assert.ok(performance.now() - before < 2_000)
      await send(eventLog, topic.name, numbered(3))
      assert.equal((await takeRecords(consumer, 3)).length, 3)
    })

    promise('offsets tell what was sent', async (_opened, { eventLog, deleteRecords }) => {
      const topic = await eventLog.ensureTopic(topicOf(2))
      const producer = await eventLog.openProducer()
      await producer.send(topic.name, Array.from({ length: 20 }, (_, index) => ({ key: 'one', value: String(index) })))
      await producer.close()
      const ofKey = (await eventLog.readOffsets(topic.name)).find(it => it.endOffset > 0n)!
      assert.deepEqual(ofKey, { partition: ofKey.partition, startOffset: 0n, endOffset: 20n })
      await deleteRecords(topic.name, ofKey.partition, 12n)
      assert.deepEqual((await eventLog.readOffsets(topic.name))[ofKey.partition],
        { partition: ofKey.partition, startOffset: 12n, endOffset: 20n })
    })

    promise('a position that retention has overtaken is a gap; the owner says where to go on', async (opened, log) => {
      const { eventLog, deleteRecords } = log
      const topic = await eventLog.ensureTopic(topicOf(1))
      await send(eventLog, topic.name, numbered(50))
      await deleteRecords(topic.name, 0, 30n)
      const consumer = await openConsumer(opened, eventLog, consumerOf(topic.name))
      await waitAssigned(consumer, 1)
      consumer.start(0, 10n)
      assert.deepEqual(await nextNews(consumer), {
        kind: 'gap', gap: 'offset-out-of-range', partition: 0, expectedOffset: 10n, startOffset: 30n, endOffset: 50n
      })
      assert.deepEqual(await consumer.next(300), { kind: 'idle' }) // nothing comes before start()
      consumer.start(0, 30n)
      assert.deepEqual((await takeRecords(consumer, 20)).map(it => it.offset), offsets(30, 50))
    })

    promise('a position beyond the end of the log is a gap', async (opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(1))
      await send(eventLog, topic.name, numbered(5))
      const consumer = await openConsumer(opened, eventLog, consumerOf(topic.name))
      await waitAssigned(consumer, 1)
      consumer.start(0, 6n)
      assert.deepEqual(await nextNews(consumer), {
        kind: 'gap', gap: 'offset-out-of-range', partition: 0, expectedOffset: 6n, startOffset: 0n, endOffset: 5n
      })
      consumer.start(0, 5n) // the end itself is the place of the next record
      assert.deepEqual(await consumer.next(300), { kind: 'idle' })
      await send(eventLog, topic.name, [{ key: null, value: 'at the end' }])
      assert.deepEqual((await takeRecords(consumer, 1)).map(it => it.offset), [5n])
    })

    promise('groups read the same records, each for itself', async (opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(2))
      await send(eventLog, topic.name, numbered(100))
      const [one, other] = await Promise.all([1, 2].map(() => readAll(opened, eventLog, topic.name)))
      assert.equal(one.length, 100)
      assert.deepEqual(byPlace(one), byPlace(other))
    })

    promise('consumers of a group share the partitions: all are read, none twice', async (opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(6))
      const group = new Group(opened, eventLog, topic.name, randomUUID())
      await group.join('one')
      await group.until('one owns all', () => group.owned.length === 6)
      await send(eventLog, topic.name, numbered(600))
      await Promise.all([group.join('two'), group.join('three')])
      await group.until('each has its share', () =>
        group.owned.length === 6 && [...group.members.values()].every(it => it.owned.size > 0))
      await send(eventLog, topic.name, numbered(600, 600))
      await group.until('all are read', () => group.reads.length >= 1_200)
      assertOnceInOrder(group.reads)
      assert.deepEqual(group.owned, [0, 1, 2, 3, 4, 5])
    })

    promise('when a consumer leaves the others take over where it stood', async (opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(4))
      const group = new Group(opened, eventLog, topic.name, randomUUID())
      const leaving = await group.join('leaving')
      await group.join('staying')
      await group.until('both have a share', () =>
        group.owned.length === 4 && [...group.members.values()].every(it => it.owned.size > 0))
      await send(eventLog, topic.name, numbered(400))
      await group.until('a hundred are read', () => group.reads.length >= 100)
      await leaving.close()
      await send(eventLog, topic.name, numbered(400, 400))
      await group.until('the rest is read', () => group.reads.length >= 800)
      assertOnceInOrder(group.reads)
      assert.deepEqual([...group.members.get('staying')!.owned].sort(), [0, 1, 2, 3])
    })

    promise('consumers that share a membership split its partitions, hand over and leave as one', async (opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(6))
      const group = new Group(opened, eventLog, topic.name, randomUUID())
      await group.joinAsOne(['one', 'other'])
      await group.until('all are owned', () => group.owned.length === 6)
      assert.deepEqual([...group.members.get('one')!.owned].sort(), [0, 2, 4])
      assert.deepEqual([...group.members.get('other')!.owned].sort(), [1, 3, 5])
      await send(eventLog, topic.name, numbered(600))
      await group.until('these are read', () => group.reads.length >= 600)
      const newcomer = await group.join('newcomer')
      await group.until(
        'half of the partitions have moved', () => newcomer.owned.size === 3 && group.owned.length === 6
      )
      await send(eventLog, topic.name, numbered(600, 600))
      await group.until('all are read', () => group.reads.length >= 1_200)
      await Promise.all([group.members.get('one')!.close(), group.members.get('other')!.close()])
      await send(eventLog, topic.name, numbered(100, 1_200))
      await group.until('the newcomer has read the rest', () => group.reads.length >= 1_300)
      assertOnceInOrder(group.reads)
    })

    promise('when a consumer is killed the others take over after its session', async (opened, log) => {
      const { eventLog } = log
      const topic = await eventLog.ensureTopic(topicOf(4))
      const settings = consumerOf(topic.name)
      const victim = await startMember(opened, log, settings)
      const group = new Group(opened, eventLog, topic.name, settings.group)
      const survivor = await group.join('survivor')
      await group.until('the survivor has its share', () => survivor.owned.size === 2)
      await send(eventLog, topic.name, numbered(400))
      await victim.heard('records')
      await group.until('its share is read', () => group.reads.length > 0)

      victim.kill()
      await group.until('the survivor owns all', () => survivor.owned.size === 4)
      await send(eventLog, topic.name, numbered(400, 400))
      await group.until('all are read', () => group.reads.length >= 800)
      assertOnceInOrder(group.reads)
    })

    promise('nothing of a revoked partition comes, and nobody has it before it is released', async (opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(2))
      await send(eventLog, topic.name, numbered(2_000))
      const settings = consumerOf(topic.name)
      const first = await openConsumer(opened, eventLog, settings)
      await waitAssigned(first, 2)
      for (const partition of [0, 1]) first.start(partition, 0n)

      const second = new Group(opened, eventLog, topic.name, settings.group)
      const joining = second.join('second')
      let revoked: readonly number[] = []
      while (revoked.length === 0) {
        const news = await nextNews(first)
        if (news.kind === 'revoked') revoked = news.partitions
      }
      assert.equal(revoked.length, 1)
      await send(eventLog, topic.name, numbered(2_000))
      const member = await joining
      // while the owner may still write, the other one waits
      for (let calls = 0; calls < 5; calls++) {
        const news = await first.next(100)
        if (news.kind === 'records') assert.ok(!revoked.includes(news.records.partition))
      }
      assert.equal(member.owned.size, 0)
      await first.release(revoked)
      await second.until('the second one owns what was released', () => member.owned.size === 1)
      assert.deepEqual([...member.owned], revoked)
    })

    promise('committing positions for lag tools disturbs nobody', async (opened, { eventLog }) => {
      const topic = await eventLog.ensureTopic(topicOf(2))
      await send(eventLog, topic.name, numbered(10))
      const consumer = await openConsumer(opened, eventLog, consumerOf(topic.name))
      await waitAssigned(consumer, 2)
      for (const partition of [0, 1]) consumer.start(partition, 0n)
      await consumer.commit(new Map([[0, 1n], [1, 2n]]))
      await consumer.commit(new Map())
      assert.equal((await takeRecords(consumer, 10)).length, 10)
    })
  })
}

function topicOf (partitions: number): TopicSettings {
  return { name: `contract-${randomUUID()}`, partitions, retentionMs: 24 * 3_600_000, replicationFactor: -1 }
}

function consumerOf (topic: string): ConsumerSettings {
  return { topic, group: randomUUID(), sessionTimeoutMs: SESSION_TIMEOUT_MS, fetchBufferMaxBytes: 16 * 1024 * 1024 }
}

/** Records with consecutive values; every seventh one shares a key. */
function numbered (count: number, from = 0): { key: string, value: string }[] {
  return Array.from(
    { length: count }, (_, index) => ({ key: `device-${(from + index) % 7}`, value: `${from + index}` })
  )
}

/** The offsets of [from, to). */
function offsets (from: number, to: number): bigint[] {
  return Array.from({ length: to - from }, (_, index) => BigInt(from + index))
}

async function send (eventLog: EventLog, topic: string, records: readonly ProducedRecord[]): Promise<void> {
  const producer = await eventLog.openProducer()
  try {
    await producer.send(topic, records)
  } finally {
    await producer.close()
  }
}

async function openConsumer (
  opened: AsyncDisposableStack, eventLog: EventLog, settings: ConsumerSettings
): Promise<EventConsumer> {
  const consumer = await eventLog.openConsumer(settings)
  opened.defer(() => consumer.close())
  return consumer
}

/** All records that are in a topic now, read by a separate group. */
async function readAll (opened: AsyncDisposableStack, eventLog: EventLog, topic: string): Promise<Read[]> {
  const offsets = await eventLog.readOffsets(topic)
  const consumer = await openConsumer(opened, eventLog, consumerOf(topic))
  await waitAssigned(consumer, offsets.length)
  for (const { partition, startOffset } of offsets) consumer.start(partition, startOffset)
  return takeRecords(consumer, offsets.reduce((sum, it) => sum + Number(it.endOffset - it.startOffset), 0))
}

function byPlace (reads: readonly Read[]): string[] {
  return reads.map(it => `${it.partition}/${it.offset}: ${it.value}`).sort()
}

/** Each offset of each partition came once, in order, without gaps. */
function assertOnceInOrder (reads: readonly Read[]): void {
  for (const [partition, ofPartition] of Map.groupBy(reads, it => it.partition)) {
    ofPartition.forEach(({ offset, member }, index) =>
      assert.equal(
        offset, BigInt(index), `partition ${partition}: offset ${offset} came as number ${index}, to ${member}`
      ))
  }
}

/** Starts a member of the group as a process and waits until it has joined. */
async function startMember (opened: AsyncDisposableStack, { elsewhere }: LogUnderTest, settings: ConsumerSettings) {
  const script = fileURLToPath(new URL('./support/event-log-member.ts', import.meta.url))
  const child = spawn(process.execPath,
    [script, elsewhere.module, elsewhere.name, JSON.stringify(elsewhere.settings), JSON.stringify(settings)],
    { stdio: ['ignore', 'pipe', 'inherit'] })
  opened.defer(() => { child.kill('SIGKILL') })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const heard = async (kind: string) => {
    for (;;) {
      const { value, done } = await lines.next()
      assert.ok(!done, `the member ended before it said ${kind}`)
      if (JSON.parse(value).kind === kind) return
    }
  }
  await heard('assigned')
  return { heard, kill: () => child.kill('SIGKILL') }
}
