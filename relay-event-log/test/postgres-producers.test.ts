import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { createLogger } from 'relay-common'
import { Group } from 'relay-test-support/members.ts'
import { createTopic, openPostgresLog, openTestLog } from './support/postgres-log.ts'

const PRODUCERS = 6
const PARTITIONS = 5
const LIMIT_MS = 60_000

suite('several producers in PostgreSQL at once', { timeout: 180_000 }, () => {
  test('offsets become visible in order and without gaps, while segments are opened', async t => {
    await using opened = new AsyncDisposableStack()
    const { database, eventLog } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, PARTITIONS)
    const group = new Group(opened, eventLog, topic.name, 'readers')
    const reader = await group.join('reader')
    await group.until('it owns all', () => reader.owned.size === PARTITIONS)

    const stop = new AbortController()
    const producing = Array.from({ length: PRODUCERS }, async (_, producerNumber) => {
      const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
      let sent = 0
      // from single records to sends of several statements
      for (const size of [1, 40, 3, 500, 1, 9_000, 120, 60_000, 2, 700, 1, 1, 30]) {
        const records = Array.from({ length: size }, (_, index) => ({
          key: index % 3 === 0 ? null : `device-${(index * 7 + producerNumber) % 40}`,
          value: `${producerNumber}.${sent + index}`.padEnd(120, '.')
        }))
        sent += size
        await producer.send(topic.name, records)
      }
      return sent
    })
    const upkeep = (async () => {
      let opened = 0
      for (; !stop.signal.aborted; opened++) {
        await database.query('select open_event_log_segment($1)', [topic.topicId])
      }
      return opened
    })()
    const sent = (await Promise.all(producing)).reduce((sum, it) => sum + it)
    stop.abort()
    assert.ok(await upkeep > 3)

    await group.until('all are read', () => group.reads.length >= sent, LIMIT_MS)
    assert.equal(group.reads.length, sent)
    const lastByProducer = new Map<string, number>()
    for (const [partition, reads] of Map.groupBy(group.reads, it => it.partition)) {
      reads.forEach((it, index) => assert.equal(it.offset, BigInt(index), `partition ${partition}`))
      for (const { value } of reads) { // records of one producer and partition are in its order
        const [producerNumber, number] = String(value).split('.')
        const place = `${partition}/${producerNumber}`
        assert.ok(Number(number) > (lastByProducer.get(place) ?? -1))
        lastByProducer.set(place, Number(number))
      }
    }
    // the records are stored in segments that follow the offsets
    const [{ disorder }] = await database.query<{ disorder: bigint }>(`
      select count(*) filter (where segment < before) as disorder from (
        select segment, lag(segment) over (partition by partition order by last_offset) as before from event_log_batches
      ) batches`)
    assert.equal(disorder, 0n)
  })

  test('segments may be dropped during appends: no send fails, and the rest has no gaps', async t => {
    await using opened = new AsyncDisposableStack()
    const { database, settings } = await openTestLog(t, opened)
    // then a producer detects a deadlock before the maintenance has given up waiting
    await database.query(`do 'begin
      execute format($$alter database %I set deadlock_timeout = 20$$, current_database());
    end'`)
    const eventLog = opened.adopt(await openPostgresLog(settings, createLogger('test', 'fatal')), it => it.close())
    const topic = await createTopic(eventLog, PARTITIONS)
    // everything expires at once
    await database.query("update event_log_topics set segment_span = '0', retention = '0'")

    const stop = new AbortController()
    const producing = Array.from({ length: PRODUCERS }, async () => {
      const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
      for (let send = 0; send < 60; send++) {
        const size = send % 20 === 10 ? 40_000 : 50 // the large ones need several statements
        const value = 'x'.repeat(120)
        await producer.send(topic.name, Array.from({ length: size }, (_, n) => ({ key: `device-${n}`, value })))
      }
    })
    const upkeep = (async () => {
      let dropped = 0
      while (!stop.signal.aborted) {
        try {
          const [done] = await database.query<{ dropped: number }>(
            'select * from maintain_event_log_topic($1)', [topic.topicId])
          dropped += done.dropped
        } catch (error) {
          assert.equal((error as { code?: string }).code, '55P03', String(error)) // it gave up waiting, as it should
        }
      }
      return dropped
    })()
    await Promise.all(producing).finally(() => stop.abort())
    assert.ok(await upkeep > 10)

    const offsets = await eventLog.readOffsets(topic.name)
    assert.equal(offsets.reduce((sum, it) => sum + Number(it.endOffset), 0), PRODUCERS * (57 * 50 + 3 * 40_000))
    for (const { partition, startOffset, endOffset } of offsets) {
      const batches = await database.query<{ first: bigint, last: bigint }>(`
        select first_offset as first, last_offset as last from event_log_batches where partition = $1
        order by last_offset`, [partition])
      let next = startOffset
      for (const { first, last } of batches) {
        assert.equal(first, next)
        next = last + 1n
      }
      assert.equal(next, endOffset)
    }
  })

  test('a send that fails midway leaves nothing behind, and the next send gets its offsets', async t => {
    await using opened = new AsyncDisposableStack()
    const { database, eventLog } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 1)
    await database.query('alter table event_log_batches add constraint small check (size_bytes < 100000)')
    const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
    await producer.send(topic.name, [{ key: 'a', value: 'first' }])
    await assert.rejects(producer.send(topic.name, [
      { key: 'a', value: 'goes with the one that fails' }, { key: 'a', value: 'x'.repeat(5_000_000) }
    ]), { code: '23514' })
    await producer.send(topic.name, [{ key: 'a', value: 'second' }])
    const rows = await database.query(
      'select record_offset, convert_from(value, \'UTF8\') as value from event_log order by 1')
    assert.deepEqual(rows, [{ record_offset: 0n, value: 'first' }, { record_offset: 1n, value: 'second' }])
  })

  test('waiting sends are combined, each gets its result, and their order is that of the calls', async t => {
    await using opened = new AsyncDisposableStack()
    const { database, eventLog } = await openTestLog(t, opened)
    const [topic, other] = [await createTopic(eventLog, 1), await createTopic(eventLog, 1)]
    const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
    const topicOf = (index: number) => index === 150 ? 'no such topic' : index % 50 === 7 ? other.name : topic.name
    const outcomes = await Promise.allSettled(Array.from({ length: 300 }, (_, index) =>
      producer.send(topicOf(index), [{ key: 'k', value: String(index) }])))
    assert.deepEqual(outcomes.flatMap((it, index) => it.status === 'rejected' ? [index] : []), [150])
    const rows = await database.query<{ value: string }>(`
      select convert_from(value, 'UTF8') as value from event_log where topic = $1 order by record_offset`, [topic.name])
    assert.deepEqual(rows.map(it => Number(it.value)),
      Array.from({ length: 300 }, (_, index) => index).filter(it => it !== 150 && it % 50 !== 7))
    const [{ batches }] = await database.query<{ batches: bigint }>('select count(*) as batches from event_log_batches')
    assert.ok(batches < 30n, `${batches} batches`)
  })
})
