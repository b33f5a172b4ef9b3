import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'

import type { ProducedRecord } from '../src/port.ts'
import { partitionOf } from '../src/key-partition.ts'
import { encodeAppends } from '../src/postgres/batch.ts'
import { nextNews, readRecords, takeRecords, waitAssigned } from 'relay-test-support/members.ts'
import { consumerOf, createTopic, openTestLog } from './support/postgres-log.ts'

const text = fc.string({ unit: 'binary', maxLength: 40 })
const bytes = fc.oneof(text, fc.uint8Array({ maxLength: 60 }).map(it => Buffer.from(it)))
const largeValue = fc.constant(Buffer.alloc(70_000, 'x'))
const record: fc.Arbitrary<ProducedRecord> = fc.record({
  key: fc.option(bytes),
  value: fc.option(fc.oneof({ weight: 9, arbitrary: bytes }, { weight: 1, arbitrary: largeValue })),
  headers: fc.option(fc.dictionary(text, text, { maxKeys: 3 }), { nil: undefined, freq: 3 })
})
const sends = fc.array(fc.array(record, { minLength: 1, maxLength: 60 }), { minLength: 1, maxLength: 4 })

const asBytes = (it: string | Buffer | null) => it === null ? null : Buffer.from(it as string)
const asHex = (it: string | Buffer | null) => asBytes(it)?.toString('hex') ?? null

suite('records in PostgreSQL', () => {
  test('any records, sent in any batches, are read back byte for byte and in order, from any offset', async t => {
    await using opened = new AsyncDisposableStack()
    const { database, eventLog } = await openTestLog(t, opened)
    await fc.assert(fc.asyncProperty(sends, fc.nat(), async (pieces, seed) => {
      const topic = await createTopic(eventLog, 1)
      const producer = await eventLog.openProducer()
      for (const piece of pieces) await producer.send(topic.name, piece)
      await producer.close()

      const sent = pieces.flat()
      const from = seed % sent.length
      const consumer = await eventLog.openConsumer({ ...consumerOf(topic), fetchBufferMaxBytes: 200_000 })
      await waitAssigned(consumer, 1)
      consumer.start(0, BigInt(from))
      const reads = await takeRecords(consumer, sent.length - from)
      await consumer.close()
      const inHex = (it: ProducedRecord) => [asHex(it.key), asHex(it.value)]
      reads.forEach((it, index) => assert.equal(it.offset, BigInt(from + index)))
      assert.deepEqual(reads.map(inHex), sent.slice(from).map(inHex))

      // the same in SQL
      const rows = await database.query<{ key: string | null, value: string | null, hasHeaders: boolean }>(`
        select encode(key, 'hex') as key, encode(value, 'hex') as value, headers is not null as "hasHeaders"
        from event_log where topic = $1 order by record_offset`, [topic.name])
      assert.deepEqual(rows, sent.map(it => ({ key: asHex(it.key), value: asHex(it.value), hasHeaders: !!it.headers })))
    }), { numRuns: 30 })
  })

  test('encoding keeps all records of a partition in order, in batches of a limited size', () => {
    const many = fc.array(fc.tuple(fc.option(text), fc.nat({ max: 40_000 })), { minLength: 1, maxLength: 300 })
    const partitionCount = fc.integer({ min: 1, max: 12 })
    fc.assert(fc.property(many, partitionCount, fc.nat({ max: 10_000 }), (sketch, partitions, round) => {
      const records = sketch.map(([key, length], index) => ({ key, value: `${index}:`.padEnd(length, '.') }))
      const encoded = encodeAppends(records, partitions, round)
      const placed: { partition: number, index: number }[] = []
      for (const append of encoded.appends) {
        const values = elements(append.values)
        let at = 0
        append.partitions.forEach((partition, batch) => {
          const ofBatch = values.slice(at, at += append.counts[batch])
          assert.ok(ofBatch.length > 0)
          // a batch is closed when it reaches its size
          assert.ok(append.sizesBytes[batch] < 128 * 1024 + 41_000 + 200)
          for (const value of ofBatch) placed.push({ partition, index: Number.parseInt(value) })
        })
        assert.equal(at, values.length)
        assert.deepEqual(append.partitions.toSorted((a, b) => a - b), append.partitions)
      }
      assert.equal(placed.length, records.length)
      assert.equal(encoded.round, round + records.filter(it => it.key === null).length)
      for (const { partition, index } of placed) {
        const { key } = records[index]
        if (key !== null) assert.equal(partition, partitionOf(Buffer.from(key), partitions))
      }
      for (const [, ofPartition] of Map.groupBy(placed, it => it.partition)) {
        assert.deepEqual(ofPartition.map(it => it.index), ofPartition.map(it => it.index).toSorted((a, b) => a - b))
      }
    }), { numRuns: 60 })
  })

  test('a batch whose arrays do not match is reported as corrupt, and reading continues after it', async t => {
    await using opened = new AsyncDisposableStack()
    const { database, eventLog } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 1)
    const producer = await eventLog.openProducer()
    for (let send = 0; send < 3; send++) {
      await producer.send(topic.name, [1, 2, 3, 4].map(it => ({ key: 'k', value: `${send}.${it}` })))
    }
    await producer.close()
    await database.query('update event_log_batches set record_values = record_values[1:2] where first_offset = 4')

    const consumer = opened.adopt(await eventLog.openConsumer(consumerOf(topic)), it => it.close())
    await waitAssigned(consumer, 1)
    for (const [from, expected] of [
      [2n, ['2: 0.3', '3: 0.4', 'corrupt 4, 4 records', '8: 2.1', '9: 2.2', '10: 2.3', '11: 2.4']],
      [6n, ['corrupt 6, 2 records', '8: 2.1', '9: 2.2', '10: 2.3', '11: 2.4']]
    ] as const) {
      consumer.start(0, from)
      const news = await nextNews(consumer)
      assert.ok(news.kind === 'records')
      const { baseOffset, nextOffset } = news.records
      const seen: string[] = []
      news.records.forEach({
        record: (buffer, _keyStart, _keyEnd, valueStart, valueEnd, delta) => {
          seen.push(`${baseOffset + BigInt(delta)}: ${buffer.toString('utf8', valueStart, valueEnd)}`)
        },
        corrupt: (_bytes, delta, count) => { seen.push(`corrupt ${baseOffset + BigInt(delta)}, ${count} records`) }
      })
      assert.deepEqual(seen, expected)
      assert.equal(nextOffset, 12n)
    }
  })

  test('batches that somebody deleted are a gap, never a silent jump', async t => {
    await using opened = new AsyncDisposableStack()
    const { database, eventLog } = await openTestLog(t, opened)
    const topic = await createTopic(eventLog, 1)
    const producer = await eventLog.openProducer()
    for (let send = 0; send < 3; send++) await producer.send(topic.name, [{ key: 'k', value: `${send}` }])
    await producer.close()
    await database.query('delete from event_log_batches where first_offset = 1')

    const consumer = opened.adopt(await eventLog.openConsumer(consumerOf(topic)), it => it.close())
    await waitAssigned(consumer, 1)
    consumer.start(0, 0n)
    const first = await nextNews(consumer)
    assert.ok(first.kind === 'records')
    assert.deepEqual(readRecords(first.records).map(it => it.offset), [0n])
    assert.deepEqual(await nextNews(consumer),
      { kind: 'gap', gap: 'offset-out-of-range', partition: 0, expectedOffset: 1n, startOffset: 2n, endOffset: 3n })
    consumer.start(0, 2n)
    assert.deepEqual((await takeRecords(consumer, 1)).map(it => String(it.value)), ['2'])
  })

  test('dead letters are a readable table, for any bytes', async t => {
    await using opened = new AsyncDisposableStack()
    const { database, eventLog } = await openTestLog(t, opened)
    const letters = await createTopic(eventLog, 1, { suffix: '.dead-letters' })
    const others = await createTopic(eventLog, 1)
    const producer = await eventLog.openProducer()
    await producer.send(others.name, [{ key: 'a', value: 'no dead letter' }])
    await producer.send(letters.name, [
      { key: 'thermostat-001', value: '{"value":"ä', headers: { reason: 'not-json', offset: '17' } },
      { key: null, value: Buffer.from([0xff, 0, 0x80]), headers: { reason: 'not-json', field: 'a\0b\ud800' } },
      { key: 'k', value: null }
    ])
    await producer.close()
    const rows = await database.query(`
      select partition, record_offset, headers, key, value, value_bytes from dead_letters
      where topic = $1 order by record_offset`, [letters.name])
    assert.deepEqual(rows, [
      {
        partition: 0,
        record_offset: 0n,
        headers: { reason: 'not-json', offset: '17' },
        key: 'thermostat-001',
        value: '{"value":"ä',
        value_bytes: Buffer.from('{"value":"ä')
      },
      {
        partition: 0,
        record_offset: 1n,
        headers: { reason: 'not-json', field: 'a\ufffdb\ufffd' },
        key: null,
        value: null,
        value_bytes: Buffer.from([0xff, 0, 0x80])
      },
      { partition: 0, record_offset: 2n, headers: null, key: 'k', value: null, value_bytes: null }
    ])
    assert.deepEqual(await database.query('select from dead_letters where topic = $1', [others.name]), [])
  })
})

/** The elements of an array in PostgreSQL's binary format, as text. */
function elements (array: Buffer): string[] {
  const found: string[] = []
  for (let at = 20; at < array.length;) {
    const length = array.readInt32BE(at)
    found.push(array.toString('utf8', at + 4, at + 4 + length))
    at += 4 + length
  }
  assert.equal(found.length, array.readInt32BE(12))
  return found
}
