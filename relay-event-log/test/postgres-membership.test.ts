import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { suite, test } from 'node:test'

import type { Database } from 'relay-common'
import { until } from 'relay-test-support/until.ts'
import type { ConsumerSettings } from '../src/port.ts'
import { startMemberProcess } from './support/member-process.ts'
import { Group, nextNews, SESSION_TIMEOUT_MS, takeRecords, waitAssigned } from 'relay-test-support/members.ts'
import { consumerOf, createTopic, elsewhere, openLogOnOwnServer, openTestLog } from './support/postgres-log.ts'

/** The times that a database has after its clock was set back: all are ahead of it. */
async function setClockBack (database: Database, by: string): Promise<void> {
  await database.query(`
    with leases as (update event_log_leases set revoked_at = revoked_at + $1::interval where revoked_at is not null)
    update event_log_members set expires_at = expires_at + $1::interval`, [by])
}

/** longer than any test waits: no session times out */
const LONG_SESSION_MS = 60_000

suite('group membership in PostgreSQL', { timeout: 180_000 }, () => {
  test('a consumer that was paused for longer than its session learns what it lost, and joins again', async t => {
    await using opened = new AsyncDisposableStack()
    const { eventLog, settings } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 2)
    const consumer: ConsumerSettings = { ...consumerOf(topic), sessionTimeoutMs: 1_500 }
    const stopped = startMemberProcess(t, elsewhere(settings), consumer)
    assert.deepEqual(await stopped.next(), { kind: 'assigned', partitions: [0, 1] })

    stopped.signal('SIGSTOP')
    const group = new Group(opened, eventLog, topic.name, consumer.group)
    const heir = await group.join('heir', { sessionTimeoutMs: 1_500 })
    await group.until('the heir owns all', () => heir.owned.size === 2)
    stopped.signal('SIGCONT')
    assert.deepEqual(await stopped.next(), { kind: 'lost', partitions: [0, 1] })
    assert.equal((await stopped.next()).kind, 'assigned')
    await group.until('they share', () => heir.owned.size === 1)
  })

  test('partitions that were lost and regained before the consumer knew are lost and assigned', async t => {
    await using opened = new AsyncDisposableStack()
    const { eventLog, database } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 2)
    const consumer = opened.adopt(
      await eventLog.openConsumer({ ...consumerOf(topic), sessionTimeoutMs: SESSION_TIMEOUT_MS }), it => it.close())
    await waitAssigned(consumer, 2)
    await database.query('delete from event_log_members') // like another member that finds it expired, and then leaves
    assert.deepEqual(await nextNews(consumer), { kind: 'lost', partitions: [0, 1] })
    assert.deepEqual(await nextNews(consumer), { kind: 'assigned', topic, partitions: [0, 1] })
  })

  test('a consumer that was paused without another member keeps its partitions', async t => {
    await using opened = new AsyncDisposableStack()
    const { eventLog, settings, database } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 2)
    const consumer: ConsumerSettings = { ...consumerOf(topic), sessionTimeoutMs: 1_500 }
    const stopped = startMemberProcess(t, elsewhere(settings), consumer)
    assert.deepEqual(await stopped.next(), { kind: 'assigned', partitions: [0, 1] })
    stopped.signal('SIGSTOP')
    await until('its session to be over', async () => {
      const [{ isOver }] = await database.query<{ isOver: boolean }>(
        'select expires_at < clock_timestamp() as "isOver" from event_log_members')
      return isOver
    })
    stopped.signal('SIGCONT')
    // its next news is records, not a loss
    const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
    await producer.send(topic.name, [{ key: 'a', value: 'b' }])
    assert.equal((await stopped.next()).kind, 'records')
  })

  test('downtime of the server does not count against any session', async () => {
    await using opened = new AsyncDisposableStack()
    const { eventLog, database } = await openLogOnOwnServer(opened)
    const topic = await createTopic(eventLog, 3)
    const group = new Group(opened, eventLog, topic.name, randomUUID())
    const members = [await group.join('one', { sessionTimeoutMs: LONG_SESSION_MS })]
    members.push(await group.join('two', { sessionTimeoutMs: LONG_SESSION_MS }))
    await group.until('both have a share', () => members.every(it => it.owned.size > 0) && group.owned.length === 3)

    // the state after an hour of downtime: this server has just started, and received no heartbeats
    await database.query("update event_log_members set expires_at = expires_at - interval '1 hour'")
    members.push(await group.join('three', { sessionTimeoutMs: LONG_SESSION_MS }))
    await group.until('all three have one', () => members.every(it => it.owned.size === 1))
    for (const member of members) assert.ok(!member.kinds.includes('lost'), `${member.name} lost its partitions`)
  })

  test('a database clock that was set back lengthens no lease of a killed consumer', async t => {
    await using opened = new AsyncDisposableStack()
    const { eventLog, settings, database } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 2)
    const consumer: ConsumerSettings = { ...consumerOf(topic), sessionTimeoutMs: 1_500 }
    const killed = startMemberProcess(t, elsewhere(settings), consumer)
    assert.deepEqual(await killed.next(), { kind: 'assigned', partitions: [0, 1] })
    const group = new Group(opened, eventLog, topic.name, consumer.group)
    const heir = await group.join('heir', { sessionTimeoutMs: 1_500 })
    await group.until('they share', () => heir.owned.size === 1)

    killed.signal('SIGKILL')
    await setClockBack(database, '1 hour')
    await group.until('the heir owns all', () => heir.owned.size === 2)
    assert.ok(!heir.kinds.includes('lost'))
  })

  test('a database clock that was set back lengthens no lease that its owner does not release', async t => {
    await using opened = new AsyncDisposableStack()
    const { eventLog, database } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 2)
    const settings = { ...consumerOf(topic), sessionTimeoutMs: 1_500 }
    const slow = opened.adopt(await eventLog.openConsumer(settings), it => it.close())
    await waitAssigned(slow, 2)
    const group = new Group(opened, eventLog, topic.name, settings.group)
    const other = await group.join('other', { sessionTimeoutMs: 1_500 })
    const revoked = await nextNews(slow)
    assert.ok(revoked.kind === 'revoked')
    await setClockBack(database, '1 hour')
    assert.deepEqual(await nextNews(slow), { kind: 'lost', partitions: revoked.partitions })
    await group.until('the other one has it', () => other.owned.size === 1)
  })

  test('a database clock that was set forward takes no partition from a living consumer', async t => {
    await using opened = new AsyncDisposableStack()
    const { eventLog, database } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 4)
    const group = new Group(opened, eventLog, topic.name, randomUUID())
    const members = [await group.join('one'), await group.join('two')]
    await group.until('both have a share', () => members.every(it => it.owned.size === 2))
    const heartbeats = async () => (await database.query<{ version: string }>(
      'select xmin::text as version from event_log_members order by member')).map(it => it.version)
    for (let round = 0; round < 3; round++) {
      await setClockBack(database, '-1 hour')
      const before = await heartbeats()
      await until('both to be heard of', async () => (await heartbeats()).every((it, index) => it !== before[index]))
    }
    for (const member of members) assert.deepEqual(member.kinds.filter(it => it === 'lost'), [])
  })

  test('a named consumer that is killed and restarts gets its partitions at once, and no other one moves', async t => {
    await using opened = new AsyncDisposableStack()
    const { eventLog, settings } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 4)
    const named = { ...consumerOf(topic), instanceId: 'processor-0', sessionTimeoutMs: LONG_SESSION_MS }
    const killed = startMemberProcess(t, elsewhere(settings), named)
    assert.deepEqual(await killed.next(), { kind: 'assigned', partitions: [0, 1, 2, 3] })
    const group = new Group(opened, eventLog, topic.name, named.group)
    const other = await group.join('other', { sessionTimeoutMs: LONG_SESSION_MS })
    await group.until('the other one has its share', () => other.owned.size === 2)
    const seenByOther = other.kinds.length

    killed.signal('SIGKILL')
    const again = await group.join('named again', named)
    await group.until('it has its share again', () => again.owned.size === 2)
    assert.deepEqual(group.owned, [0, 1, 2, 3])
    assert.deepEqual(other.kinds.slice(seenByOther), [])
  })

  test('a named consumer that closes keeps its partitions for a session, then they are free', async t => {
    await using opened = new AsyncDisposableStack()
    const { eventLog } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 4)
    const group = new Group(opened, eventLog, topic.name, randomUUID())
    const named = await group.join('named', { instanceId: 'processor-0' })
    const other = await group.join('other', { instanceId: 'processor-1' })
    await group.until('both have a share', () => named.owned.size === 2 && other.owned.size === 2)
    const before = [...named.owned].sort()
    const seenByOther = other.kinds.length

    await named.close()
    const again = await group.join('named again', { instanceId: 'processor-0' })
    await group.until('it has its share again', () => again.owned.size === 2)
    assert.deepEqual([...again.owned].sort(), before)
    assert.deepEqual(other.kinds.slice(seenByOther), [])

    await again.close()
    await group.until('the other one has all', () => other.owned.size === 4)
  })

  test('of two processes with one name the later one stays, and the earlier one reports it', async t => {
    await using opened = new AsyncDisposableStack()
    const { eventLog } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 2)
    const settings = { ...consumerOf(topic), instanceId: 'processor-0', sessionTimeoutMs: SESSION_TIMEOUT_MS }
    const [earlier, later] = [
      opened.adopt(await eventLog.openConsumer(settings), it => it.close()),
      opened.adopt(await eventLog.openConsumer(settings), it => it.close())
    ]
    // their first heartbeats decide which comes later
    const fates = await Promise.allSettled([earlier, later].map(async consumer => {
      for (let news = 0; news < 10; news++) {
        if ((await consumer.next(2 * SESSION_TIMEOUT_MS)).kind === 'idle') return
      }
      assert.fail('they take the name from one another')
    }))
    assert.equal(fates.filter(it => it.status === 'fulfilled').length, 1)
    const refused = fates.find(it => it.status === 'rejected')
    assert.equal(refused?.reason.code, 'RELAY_PARTITION_FENCED')
    assert.match(refused?.reason.message, /processor-0/)
  })

  test('an owner that does not release in time learns that the partition is lost', async t => {
    await using opened = new AsyncDisposableStack()
    const { eventLog } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 2)
    const settings = { ...consumerOf(topic), sessionTimeoutMs: 1_500 }
    const slow = opened.adopt(await eventLog.openConsumer(settings), it => it.close())
    await waitAssigned(slow, 2)
    const group = new Group(opened, eventLog, topic.name, settings.group)
    const other = await group.join('other', { sessionTimeoutMs: 1_500 })
    const revoked = await nextNews(slow)
    assert.ok(revoked.kind === 'revoked')
    assert.equal(revoked.partitions.length, 1)
    const lost = await nextNews(slow)
    assert.deepEqual(lost, { kind: 'lost', partitions: revoked.partitions })
    await group.until('the other one has it', () => other.owned.size === 1)
    await slow.release(revoked.partitions) // too late: it no longer belongs to us
    assert.deepEqual(await slow.next(1_000), { kind: 'idle' })
    assert.deepEqual([...other.owned], revoked.partitions)
  })

  test('changes are announced at once, without waiting for the next heartbeat or poll', async t => {
    await using opened = new AsyncDisposableStack()
    const { eventLog } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 2)
    const group = new Group(opened, eventLog, topic.name, randomUUID())
    const session = { sessionTimeoutMs: 600_000 } // heartbeats are minutes apart
    const first = await group.join('first', session)
    await group.until('the first one has all', () => first.owned.size === 2)
    const second = await group.join('second', session)
    await group.until('they share', () => first.owned.size === 1 && second.owned.size === 1)

    await second.close()
    await group.until('the first one has all again', () => first.owned.size === 2)

    const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
    const reader = opened.adopt(await eventLog.openConsumer(consumerOf(topic)), it => it.close())
    await waitAssigned(reader, 2)
    for (const partition of [0, 1]) reader.start(partition, 0n)
    let tookMs = 0
    for (let round = 0; round < 4; round++) {
      assert.deepEqual(await reader.next(200), { kind: 'idle' }) // it has polled, and waits
      const sentMs = performance.now()
      await producer.send(topic.name, [{ key: 'a', value: 'b' }])
      await takeRecords(reader, 1)
      tookMs += performance.now() - sentMs
    }
    assert.ok(tookMs < 3_600, `${tookMs} ms for four records: who looks every two seconds takes seven seconds`)
  })

  test('a recreated topic is lost under its old id and assigned under its new one', async t => {
    await using opened = new AsyncDisposableStack()
    const { eventLog, database } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 2)
    const consumer = opened.adopt(
      await eventLog.openConsumer({ ...consumerOf(topic), sessionTimeoutMs: SESSION_TIMEOUT_MS }), it => it.close())
    const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
    await waitAssigned(consumer, 2)
    for (const partition of [0, 1]) consumer.start(partition, 0n)
    await producer.send(topic.name, [{ key: 'a', value: 'in the old topic' }])
    assert.equal((await takeRecords(consumer, 1)).length, 1)

    await database.transaction(async client => { // atomically: the consumer must not find it missing
      await client.query('select drop_event_log_topic($1)', [topic.name])
      await client.query("select create_event_log_topic($1, 2, interval '1 hour')", [topic.name])
    })
    const anew = await eventLog.describeTopic(topic.name)
    assert.notEqual(anew!.topicId, topic.topicId)
    assert.deepEqual(await nextNews(consumer), { kind: 'lost', partitions: [0, 1] })
    assert.deepEqual(await nextNews(consumer), { kind: 'assigned', topic: anew, partitions: [0, 1] })
    for (const partition of [0, 1]) consumer.start(partition, 0n)
    await producer.send(topic.name, [{ key: 'a', value: 'in the new topic' }])
    assert.deepEqual((await takeRecords(consumer, 1)).map(it => String(it.value)), ['in the new topic'])
  })

  test('a topic that stays deleted is an error, not endless idling', async t => {
    await using opened = new AsyncDisposableStack()
    const { eventLog, database } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 1)
    const consumer = opened.adopt(
      await eventLog.openConsumer({ ...consumerOf(topic), sessionTimeoutMs: SESSION_TIMEOUT_MS }), it => it.close())
    await waitAssigned(consumer, 1)
    consumer.start(0, 0n)
    await database.query('select drop_event_log_topic($1)', [topic.name])
    assert.deepEqual(await nextNews(consumer), { kind: 'lost', partitions: [0] })
    await assert.rejects(nextNews(consumer), { code: 'RELAY_TOPIC_MISSING' })
  })

  test('partitions that are added to the topic are assigned and read', async t => {
    await using opened = new AsyncDisposableStack()
    const { eventLog, database } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 1)
    const consumer = opened.adopt(
      await eventLog.openConsumer({ ...consumerOf(topic), sessionTimeoutMs: SESSION_TIMEOUT_MS }), it => it.close())
    await waitAssigned(consumer, 1)
    consumer.start(0, 0n)
    await database.query('select add_event_log_partitions($1, 3)', [topic.name])
    assert.deepEqual(await nextNews(consumer),
      { kind: 'assigned', topic: { ...topic, partitions: 3 }, partitions: [1, 2] })
    for (const partition of [1, 2]) consumer.start(partition, 0n)
    const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
    await producer.send(topic.name, Array.from({ length: 50 }, (_, index) => ({ key: `device-${index}`, value: 'v' })))
    const reads = await takeRecords(consumer, 50)
    assert.deepEqual([...new Set(reads.map(it => it.partition))].sort(), [0, 1, 2])
  })
})
