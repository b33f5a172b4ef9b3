import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { createInterface } from 'node:readline'
import { suite, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { Admin } from '@platformatic/kafka'

import { until } from 'relay-test-support/until.ts'
import { openKafkaEventLog, type KafkaSettings } from '../src/kafka/kafka.ts'
import type { ConsumerSettings } from '../src/port.ts'
import { createLogger } from 'relay-common'
import { openClassicKafka, openLocalKafka, type LocalKafkaForTests } from 'relay-test-support/local-kafka.ts'
import { Group, nextNews, SESSION_TIMEOUT_MS, takeRecords, waitAssigned } from 'relay-test-support/members.ts'

type Broker = (t: TestContext) => Promise<LocalKafkaForTests | undefined>

for (const [protocol, broker] of [['KIP-848', openLocalKafka], ['the classic protocol', openClassicKafka]] as const) {
  suite(`group membership on kafka with ${protocol}`, () => { membership(broker) })
}

function membership (broker: Broker): void {
  test('a named consumer that restarts in time moves no partition', async t => {
    const opened = await openTopic(t, broker, 4)
    if (!opened) return
    const { eventLog, topic } = opened
    await using closing = new AsyncDisposableStack()
    const group = new Group(closing, eventLog, topic, randomUUID())
    const named = await group.join('named', { instanceId: 'processor-0', sessionTimeoutMs: 6_000 })
    const other = await group.join('other', { instanceId: 'processor-1', sessionTimeoutMs: 6_000 })
    await group.until('both have a share', () => named.owned.size === 2 && other.owned.size === 2)
    const before = [...named.owned].sort()
    const seenByOther = other.kinds.length

    await named.close()
    const again = await group.join('named again', { instanceId: 'processor-0', sessionTimeoutMs: 6_000 })
    await group.until('it has its share again', () => again.owned.size === 2)
    assert.deepEqual([...again.owned].sort(), before)
    assert.deepEqual(other.kinds.slice(seenByOther), [])
  })

  test('a consumer that closes with a commit in progress has committed when it is closed', async t => {
    const opened = await openTopic(t, broker, 1)
    if (!opened) return
    const { eventLog, topic, admin } = opened
    const group = randomUUID()
    const consumer = await eventLog.openConsumer({
      topic, group, instanceId: 'processor-0', sessionTimeoutMs: SESSION_TIMEOUT_MS, fetchBufferMaxBytes: 1024 * 1024
    })
    t.after(() => consumer.close())
    await waitAssigned(consumer, 1)
    const commits = [1n, 2n, 3n].map(it => consumer.commit(new Map([[0, it]])))
    await consumer.close()
    const [found] = await admin.listConsumerGroupOffsets({ groups: [group] })
    assert.equal(found.topics[0]?.partitions[0].committedOffset, 3n)
    await Promise.all(commits)
  })

  test('a named consumer that is killed and restarts gets its partitions at once', async t => {
    const opened = await openTopic(t, broker, 4)
    if (!opened) return
    const { eventLog, topic } = opened
    const named = { group: randomUUID(), instanceId: 'processor-0' }
    const settings: ConsumerSettings = { topic, ...named, sessionTimeoutMs: 45_000, fetchBufferMaxBytes: 1024 * 1024 }
    const killed = startMember(t, opened.settings, settings)
    assert.deepEqual(await killed.next(), { kind: 'assigned', partitions: [0, 1, 2, 3] })
    killed.signal('SIGKILL')
    const again = await eventLog.openConsumer(settings)
    t.after(() => again.close())
    const news = await nextNews(again, 10_000) // its session would have lasted longer
    assert.ok(news.kind === 'assigned')
    assert.deepEqual(news.partitions, [0, 1, 2, 3])
  })

  test('a joining member takes half, while the other keeps reading, and writes what it must release', async t => {
    const opened = await openTopic(t, broker, 4)
    if (!opened) return
    const { eventLog, topic } = opened
    await using closing = new AsyncDisposableStack()
    const group = randomUUID()
    const first = closing.adopt(await eventLog.openConsumer(
      { topic, group, sessionTimeoutMs: SESSION_TIMEOUT_MS, fetchBufferMaxBytes: 1024 * 1024 }), it => it.close())
    await waitAssigned(first, 4)
    for (const partition of [0, 1, 2, 3]) first.start(partition, 0n)

    const others = new Group(closing, eventLog, topic, group)
    const second = await others.join('second')
    const revoked = await nextNews(first)
    assert.ok(revoked.kind === 'revoked')
    assert.equal(revoked.partitions.length, 2)
    const producer = closing.adopt(await eventLog.openProducer(), it => it.close())
    await producer.send(topic, Array.from({ length: 100 }, (_, n) => ({ key: `device-${n}`, value: String(n) })))
    const offsets = await eventLog.readOffsets(topic)
    const kept = offsets.filter(it => !revoked.partitions.includes(it.partition))
    const reads = await takeRecords(first, kept.reduce((sum, it) => sum + Number(it.endOffset), 0))
    assert.ok(reads.length > 0 && reads.every(it => !revoked.partitions.includes(it.partition)))
    assert.equal(second.owned.size, 0)

    await first.release(revoked.partitions)
    await others.until('the second one has what was released', () => second.owned.size === 2)
    assert.deepEqual([...second.owned].sort(), revoked.partitions.toSorted())
    await others.until('it has read that', () => others.reads.length === 100 - reads.length)
  })

  test('a consumer that was silent for too long learns that it lost its partitions, and joins again', async t => {
    const opened = await openTopic(t, broker, 2)
    if (!opened) return
    const { topic } = opened
    const consumer: ConsumerSettings =
      { topic, group: randomUUID(), sessionTimeoutMs: 1_500, fetchBufferMaxBytes: 1024 * 1024 }
    const silent = startMember(t, opened.settings, consumer)
    assert.deepEqual(await silent.next(), { kind: 'assigned', partitions: [0, 1] })

    silent.signal('SIGSTOP')
    // until somebody else has its partitions: then its session is over
    await using closing = new AsyncDisposableStack()
    const group = new Group(closing, opened.eventLog, topic, consumer.group)
    const heir = await group.join('heir', { sessionTimeoutMs: 1_500 })
    await group.until('the heir owns all', () => heir.owned.size === 2)
    silent.signal('SIGCONT')
    assert.deepEqual(await silent.next(), { kind: 'lost', partitions: [0, 1] })
    assert.equal((await silent.next()).kind, 'assigned')
  })

  test('partitions that are added to the topic are assigned', async t => {
    const opened = await openTopic(t, broker, 1)
    if (!opened) return
    const { eventLog, topic, admin } = opened
    const consumer = await eventLog.openConsumer(
      { topic, group: randomUUID(), sessionTimeoutMs: SESSION_TIMEOUT_MS, fetchBufferMaxBytes: 1024 * 1024 })
    t.after(() => consumer.close())
    await waitAssigned(consumer, 1)
    consumer.start(0, 0n)
    const assignments = [{ brokerIds: [1] }, { brokerIds: [1] }] // there is only one
    await admin.createPartitions({ topics: [{ name: topic, count: 3, assignments }] })
    const news = await nextNews(consumer)
    assert.ok(news.kind === 'assigned')
    assert.deepEqual([...news.partitions].sort(), [1, 2])
    assert.equal(news.topic.partitions, 3)
  })

  test('a recreated topic is revoked under its old id and assigned under its new one', async t => {
    const opened = await openTopic(t, broker, 2)
    if (!opened) return
    const { eventLog, topic, admin } = opened
    const consumer = await eventLog.openConsumer(
      { topic, group: randomUUID(), sessionTimeoutMs: SESSION_TIMEOUT_MS, fetchBufferMaxBytes: 1024 * 1024 })
    t.after(() => consumer.close())
    await waitAssigned(consumer, 2)
    for (const partition of [0, 1]) consumer.start(partition, 0n)

    await admin.deleteTopics({ topics: [topic] })
    await until('the broker to have forgotten the topic', async () => await eventLog.describeTopic(topic) === undefined)
    const anew = await eventLog.ensureTopic(
      { name: topic, partitions: 2, retentionMs: 3_600_000, replicationFactor: -1 })
    const revoked = await nextNews(consumer)
    assert.deepEqual(revoked, { kind: 'revoked', partitions: [0, 1] })
    await consumer.release([0, 1])
    const assigned = await nextNews(consumer)
    assert.deepEqual(assigned, { kind: 'assigned', topic: anew, partitions: [0, 1] })

    for (const partition of [0, 1]) consumer.start(partition, 0n)
    const producer = await eventLog.openProducer()
    t.after(() => producer.close())
    await producer.send(topic, [{ key: 'a', value: 'in the new topic' }])
    assert.deepEqual((await takeRecords(consumer, 1)).map(it => String(it.value)), ['in the new topic'])
  })

  test('a topic that stays deleted is an error, not endless idling', async t => {
    const opened = await openTopic(t, broker, 1)
    if (!opened) return
    const { eventLog, topic, admin } = opened
    const consumer = await eventLog.openConsumer(
      { topic, group: randomUUID(), sessionTimeoutMs: SESSION_TIMEOUT_MS, fetchBufferMaxBytes: 1024 * 1024 })
    t.after(() => consumer.close())
    await waitAssigned(consumer, 1)
    consumer.start(0, 0n)
    await admin.deleteTopics({ topics: [topic] })
    await assert.rejects(async () => {
      for (;;) {
        const news = await nextNews(consumer)
        if (news.kind === 'revoked') await consumer.release(news.partitions)
      }
    }, { code: 'RELAY_TOPIC_MISSING' })
  })
}

/** Starts a member as a process. */
function startMember (t: TestContext, settings: KafkaSettings, consumer: ConsumerSettings) {
  const script = fileURLToPath(new URL('./support/event-log-member.ts', import.meta.url))
  const module = new URL('../src/kafka/kafka.ts', import.meta.url).href
  const child = spawn(process.execPath,
    [script, module, 'openKafkaEventLog', JSON.stringify(settings), JSON.stringify(consumer)],
    { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => {
    for (;;) {
      const { value, done } = await lines.next()
      assert.ok(!done, 'the member ended')
      const news = JSON.parse(value)
      if (news.kind !== 'idle') return news
    }
  }
  return { next, signal: (signal: NodeJS.Signals) => child.kill(signal) }
}

async function openTopic (t: TestContext, broker: Broker, partitions: number) {
  const kafka = await broker(t)
  if (!kafka) return undefined
  const settings = { bootstrapServers: [kafka.bootstrapServers], clientId: 'relay-test' }
  const eventLog = await openKafkaEventLog(settings, createLogger('test', 'error'))
  const admin = new Admin({ bootstrapBrokers: settings.bootstrapServers, clientId: 'relay-test-admin' })
  t.after(async () => {
    await admin.close()
    await eventLog.close()
  })
  const topic = `membership-${randomUUID()}`
  await eventLog.ensureTopic({ name: topic, partitions, retentionMs: 3_600_000, replicationFactor: -1 })
  return { eventLog, topic, admin, settings }
}
