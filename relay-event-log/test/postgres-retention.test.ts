import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { createLogger, type Database, type Logger } from 'relay-common'
import { until } from 'relay-test-support/until.ts'
import type { Topic } from '../src/port.ts'
import { maintainTopics } from '../src/postgres/topics.ts'
import { nextNews, takeRecords, waitAssigned } from 'relay-test-support/members.ts'
import { consumerOf, createTopic, openTestLog } from './support/postgres-log.ts'

const log = createLogger('test', 'fatal')
const HOUR_MS = 3_600_000

/** Makes everything in the log older. */
async function age (database: Database, hours: number): Promise<void> {
  await database.query("update event_log_segments set opened_at = opened_at - $1 * interval '1 hour'", [hours])
}

/** Sets the clock of the server, which can't be set here: everything that it has told moves the other way. */
async function setClock (database: Database, hours: number): Promise<void> {
  await database.query(`
    with topics as (
      update event_log_topics set log_time = log_time - make_interval(hours => $1), looked_at = looked_at - make_interval(hours => $1)
    ), segments as (update event_log_segments set opened_at = opened_at - make_interval(hours => $1))
    update event_log_batches set appended_at = appended_at - make_interval(hours => $1)`, [hours])
}

/** A log that keeps its warnings. */
function listeningLog () {
  const warnings: string[] = []
  const keep = (_fields: unknown, text: string) => { warnings.push(text) }
  return { warnings, log: { info () {}, warn: keep } as unknown as Logger }
}

async function tablesOf (database: Database, topic: Topic): Promise<string[]> {
  const rows = await database.query<{ name: string }>(`
    select c.relname as name from event_log_topics t
    join pg_inherits i on i.inhparent = ('event_log_' || t.topic_number)::regclass
    join pg_class c on c.oid = i.inhrelid
    where t.topic_id = $1 order by c.oid`, [topic.topicId])
  return rows.map(it => it.name)
}

suite('retention in PostgreSQL', { timeout: 120_000 }, () => {
  test('segments with only expired records are dropped, and a lagging reader finds a gap', async t => {
    await using opened = new AsyncDisposableStack()
    const { database, eventLog } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 2, { retentionMs: 24 * HOUR_MS })
    const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
    const send = (from: number) => producer.send(topic.name,
      Array.from({ length: 10 }, (_, index) => ({ key: 'always the same', value: String(from + index) })))
    const offsets = async () => (await eventLog.readOffsets(topic.name)).find(it => it.endOffset > 0n)!

    await send(0)
    await age(database, 3) // a segment accepts appends for a twelfth of the retention
    await maintainTopics(database, log)
    await send(10)
    assert.equal((await tablesOf(database, topic)).length, 2)
    await age(database, 23) // the second segment is 23 hours old, and so are the last records of the first one
    await maintainTopics(database, log)
    assert.equal((await offsets()).startOffset, 0n)

    const { partition } = await offsets()
    const reader = opened.adopt(await eventLog.openConsumer(consumerOf(topic)), it => it.close())
    await waitAssigned(reader, 2)
    reader.start(partition, 0n)
    assert.equal((await takeRecords(reader, 20)).length, 20)

    const before = await tablesOf(database, topic)
    await age(database, 2)
    await maintainTopics(database, log)
    assert.deepEqual(await offsets(), { partition, startOffset: 10n, endOffset: 20n })
    const after = await tablesOf(database, topic)
    assert.ok(!after.includes(before[0]), `${before[0]} is still there`)

    reader.start(partition, 3n)
    assert.deepEqual(await nextNews(reader),
      { kind: 'gap', gap: 'offset-out-of-range', partition, expectedOffset: 3n, startOffset: 10n, endOffset: 20n })
    reader.start(partition, 10n)
    const values = (await takeRecords(reader, 10)).map(it => Number(it.value))
    assert.deepEqual(values, [10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
    await send(20)
    assert.equal((await takeRecords(reader, 10))[0].offset, 20n)
  })

  test('when everything has expired the log is empty, and offsets continue', async t => {
    await using opened = new AsyncDisposableStack()
    const { database, eventLog } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 1, { retentionMs: 24 * HOUR_MS })
    const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
    await producer.send(topic.name, [{ key: null, value: 'old' }])
    for (let round = 0; round < 3; round++) {
      await age(database, 30)
      await maintainTopics(database, log)
    }
    assert.deepEqual(await eventLog.readOffsets(topic.name), [{ partition: 0, startOffset: 1n, endOffset: 1n }])
    assert.equal((await tablesOf(database, topic)).length, 1) // an empty segment needs no successor
    await producer.send(topic.name, [{ key: null, value: 'new' }])
    assert.deepEqual(await database.query('select record_offset from event_log'), [{ record_offset: 1n }])
  })

  test('topics have separate retention times', async t => {
    await using opened = new AsyncDisposableStack()
    const { database, eventLog } = await openTestLog(t, opened)
    const short = await createTopic(eventLog, 1, { retentionMs: 24 * HOUR_MS })
    const long = await createTopic(eventLog, 1, { retentionMs: 240 * HOUR_MS })
    const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
    for (const { name } of [short, long]) await producer.send(name, [{ key: null, value: name }])
    for (let round = 0; round < 2; round++) {
      await age(database, 30)
      await maintainTopics(database, log)
    }
    assert.deepEqual(await database.query('select topic from event_log'), [{ topic: long.name }])
  })

  test('an open log maintains its topics, and a query that holds a table only delays it', async t => {
    await using opened = new AsyncDisposableStack()
    const { database, eventLog } = await openTestLog(t, opened, { maintenanceIntervalMs: 20 })
    const topic = await createTopic(eventLog, 1, { retentionMs: 24 * HOUR_MS })
    const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
    await producer.send(topic.name, [{ key: null, value: 'old' }])

    const curious = await database.connect()
    await curious.query('begin')
    await curious.query('select from event_log')
    await age(database, 30)
    await until('a second segment', async () => (await tablesOf(database, topic)).length === 2)
    await age(database, 30)
    await until('the drop of the old segment to wait', async () => (await database.query(`
      select from pg_locks where not granted and mode = 'AccessExclusiveLock'
      and database = (select oid from pg_database where datname = current_database())`)).length > 0)
    await producer.send(topic.name, [{ key: null, value: 'new' }]) // waits for at most a second, and succeeds
    assert.equal((await tablesOf(database, topic)).length, 2)
    await curious.query('commit')
    curious.release()
    await until(
      'the first segment to be dropped', async () => (await eventLog.readOffsets(topic.name))[0].startOffset === 1n
    )
    assert.deepEqual(await database.query('select record_offset from event_log'), [{ record_offset: 1n }])
  })

  test('a clock that is set forward by years drops nothing, and set back it stops nothing', async t => {
    await using opened = new AsyncDisposableStack()
    const { database, eventLog } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 1, { retentionMs: 24 * HOUR_MS })
    const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
    const { warnings, log } = listeningLog()
    const lookedMs = new Map<string, number>()
    const look = () => maintainTopics(database, log, lookedMs)
    const send = (value: string) => producer.send(topic.name, [{ key: null, value }])
    for (const value of ['a', 'b', 'c']) {
      await send(value)
      await age(database, 3)
      await look()
    }
    assert.equal((await tablesOf(database, topic)).length, 4)
    assert.deepEqual(warnings, [])

    const years = 10 * 365 * 24
    await setClock(database, years)
    for (let n = 0; n < 3; n++) await look()
    assert.equal(warnings.length, 1)
    assert.match(warnings[0], /^the clock of the database was set/)
    assert.deepEqual(await eventLog.readOffsets(topic.name), [{ partition: 0, startOffset: 0n, endOffset: 3n }])
    await send('d')
    await setClock(database, -years)
    for (let n = 0; n < 3; n++) await look()
    assert.equal(warnings.length, 2)
    assert.equal((await tablesOf(database, topic)).length, 4)

    const reader = opened.adopt(await eventLog.openConsumer(consumerOf(topic)), it => it.close())
    await waitAssigned(reader, 1)
    reader.start(0, 0n)
    assert.deepEqual((await takeRecords(reader, 4)).map(it => String(it.value)), ['a', 'b', 'c', 'd'])

    await age(database, 3)
    await look()
    assert.equal((await tablesOf(database, topic)).length, 5)
    await age(database, 16) // the segment of 'a' was closed 25 hours ago
    await look()
    assert.deepEqual(await eventLog.readOffsets(topic.name), [{ partition: 0, startOffset: 1n, endOffset: 4n }])
  })

  test('time in which no program ran does not count', async t => {
    await using opened = new AsyncDisposableStack()
    const { database, eventLog } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 1, { retentionMs: 24 * HOUR_MS })
    const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
    const { warnings, log } = listeningLog()
    await producer.send(topic.name, [{ key: null, value: 'before' }])
    await age(database, 3)
    await maintainTopics(database, log)
    await setClock(database, 40 * 24)
    for (let n = 0; n < 3; n++) await maintainTopics(database, log)
    assert.deepEqual(await eventLog.readOffsets(topic.name), [{ partition: 0, startOffset: 0n, endOffset: 1n }])
    assert.deepEqual(warnings, [])
  })
})
