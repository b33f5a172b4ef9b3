import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import type { EventProducer, ProducedRecord } from '../src/port.ts'
import { Group, nextNews, readRecords, waitAssigned, type Read } from 'relay-test-support/members.ts'
import { consumerOf, createTopic, openLogOnOwnServer, openTestLog } from './support/postgres-log.ts'

const BATCH_RECORDS = 200
const BATCHES = 60

function batch (number: number): ProducedRecord[] {
  return Array.from({ length: BATCH_RECORDS }, (_, index) =>
    ({ key: `device-${index % 16}`, value: `${number}.${index}` }))
}

/** Sends until the log has everything; a failed send may have been written, and then its records are there twice. */
async function insist (producer: EventProducer, topic: string, records: readonly ProducedRecord[]): Promise<number> {
  for (let failures = 0; ; failures++) {
    try {
      await producer.send(topic, records)
      return failures
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'RELAY_EVENT_LOG_UNREACHABLE', String(error))
      assert.ok(failures < 1_000)
    }
  }
}

/** All offsets of all partitions, without gaps, and every value at least once. */
function assertComplete (reads: readonly Read[]): void {
  for (const [partition, ofPartition] of Map.groupBy(reads, it => it.partition)) {
    ofPartition.forEach((it, index) => assert.equal(it.offset, BigInt(index), `partition ${partition}`))
  }
  const values = new Set(reads.map(it => String(it.value)))
  assert.equal(values.size, BATCHES * BATCH_RECORDS)
}

suite('cut connections of the log in PostgreSQL', { timeout: 120_000 }, () => {
  test('lose nothing and break no order while it is written and read, and nobody loses a partition', async t => {
    await using opened = new AsyncDisposableStack()
    const { database, eventLog } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 4)
    const group = new Group(opened, eventLog, topic.name, 'cut')
    const session = { sessionTimeoutMs: 30_000 }
    const members = [await group.join('one', session), await group.join('two', session)]
    await group.until('both have a share', () => members.every(it => it.owned.size === 2))
    const kindsBefore = members.map(it => it.kinds.length)
    const producer = opened.adopt(await eventLog.openProducer(), it => it.close())

    let cuts = 0n
    for (let number = 0; number < BATCHES; number++) {
      const sending = insist(producer, topic.name, batch(number))
      // the first between sends and fetches, the others in the middle of them
      if (number % 2 === 0) cuts += await cutAll()
      await sending
    }
    assert.ok(cuts > BigInt(BATCHES / 2), `${cuts} connections were cut`)
    const offsets = await eventLog.readOffsets(topic.name)
    const written = offsets.reduce((sum, it) => sum + Number(it.endOffset), 0)
    await group.until('all are read', () => group.reads.length >= written)
    assertComplete(group.reads)
    members.forEach((it, index) => assert.deepEqual(new Set(it.kinds.slice(kindsBefore[index])), new Set(['records'])))

    async function cutAll (): Promise<bigint> {
      const [{ count }] = await database.query<{ count: bigint }>(`
        select count(pg_terminate_backend(pid)) as count from pg_stat_activity
        where datname = current_database() and application_name = 'event-log-test'`)
      return count
    }
  })

  test('by a server crash: the consumer resumes at its position, in the same membership', async () => {
    await using opened = new AsyncDisposableStack()
    const { database, eventLog } = await openLogOnOwnServer(opened)
    const topic = await createTopic(eventLog, 2)
    const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
    const consumer = opened.adopt(await eventLog.openConsumer(consumerOf(topic)), it => it.close())
    await waitAssigned(consumer, 2)
    for (const partition of [0, 1]) consumer.start(partition, 0n)

    const reads: Read[] = []
    let failures = 0
    for (let number = 0; number < BATCHES; number++) {
      if (number % 20 === 10) {
        const [{ pid }] = await database.query<{ pid: number }>(
          "select pid from pg_stat_activity where application_name = 'event-log-test' limit 1")
        process.kill(pid, 'SIGKILL') // the server ends all others, and recovers
      }
      failures += await insist(producer, topic.name, batch(number))
    }
    assert.ok(failures > 0, 'the server did not crash')
    const written = (await eventLog.readOffsets(topic.name)).reduce((sum, it) => sum + Number(it.endOffset), 0)
    while (reads.length < written) {
      const news = await nextNews(consumer)
      assert.ok(news.kind === 'records', `got ${news.kind}`)
      reads.push(...readRecords(news.records))
    }
    assertComplete(reads)
  })
})
