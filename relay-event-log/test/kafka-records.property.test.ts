import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { crc32c, murmur2 as murmur2OfOthers, Reader, readRecordsBatches } from '@platformatic/kafka'
import fc from 'fast-check'

import { encodeBatches, sealBatch } from '../src/kafka/batch.ts'
import { partitionOf } from '../src/key-partition.ts'
import { murmur2 } from 'relay-common'
import type { ProducedRecord } from '../src/port.ts'
import { encodeAsOthersDo, walk, withChecksum } from 'relay-test-support/record-batches.ts'

/** lengths at which a varint grows: 63|64 and 8191|8192 bytes */
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.constantFrom(0, 1, 63, 64, 65, 127, 128, 8_191, 8_192, 20_000).map(length => new Uint8Array(length).fill(length))
).map(it => Buffer.from(it))

const plainRecord = fc.record({
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.array(fc.tuple(bytes, bytes), { maxLength: 3 }).map(it => new Map(it)),
  timeMs: fc.oneof(fc.bigInt(1_700_000_000_000n, 1_700_000_000_100n), fc.bigInt(0n, 2n ** 50n))
})

const batch = fc.record({
  records: fc.array(plainRecord, { minLength: 1, maxLength: 100 }),
  compression: fc.constantFrom('none', 'gzip', 'snappy', 'lz4', 'zstd')
})

const producedRecord: fc.Arbitrary<ProducedRecord> = fc.record({
  key: fc.option(fc.oneof(bytes, fc.string({ unit: 'binary', maxLength: 100 }))),
  value: fc.option(fc.oneof(bytes, fc.string({ unit: 'binary', maxLength: 200 }))),
  headers: fc.dictionary(fc.string({ maxLength: 20 }), fc.string({ maxLength: 20 }), { maxKeys: 3 })
}, { requiredKeys: ['key', 'value'] })

const crcOf = (bytes: Buffer) => crc32c(Reader.from(bytes).buffer)

/** Consecutive batches in a partition, from an offset. */
function lay (batches: { records: unknown[], bytes: (baseOffset: bigint) => Buffer }[], from: bigint): Buffer {
  let baseOffset = from
  return Buffer.concat(batches.map(it => {
    const laid = it.bytes(baseOffset)
    baseOffset += BigInt(it.records.length)
    return laid
  }))
}

suite('walking record batches', () => {
  test('returns what the library reads, for any records, compression and offset', () => {
    const several = fc.array(batch, { minLength: 1, maxLength: 4 })
    fc.assert(fc.property(several, fc.nat(300), fc.bigInt(0n, 2n ** 60n), (batches, skip, from) => {
      const all = lay(batches.map(({ records, compression }) =>
        ({ records, bytes: baseOffset => encodeAsOthersDo(records, { baseOffset, compression }) })), from)
      const wanted = from + BigInt(skip)
      const expected = readRecordsBatches(Reader.from(all)).flatMap(({ firstOffset, records }) =>
        records.map(({ offsetDelta, key, value }) => ({ offset: firstOffset + BigInt(offsetDelta), key, value })))
      const walked = walk(all, wanted)
      assert.deepEqual(walked.records, expected.filter(it => it.offset >= wanted))
      assert.deepEqual(walked.corrupt, [])
      assert.ok(walked.nextOffset >= wanted)
      const last = walked.records.at(-1)
      assert.deepEqual(walked.lastRecord, last && { offset: last.offset, valueCrc: last.value ? crcOf(last.value) : 0 })
    }), { numRuns: 300 })
  })

  test('returns time and headers of each record as the library does', () => {
    fc.assert(fc.property(batch, fc.option(fc.bigInt(0n, 2n ** 50n), { nil: undefined }), (batch, appendedMs) => {
      const { records, compression } = batch
      const bytes = encodeAsOthersDo(records, { compression, ...appendedMs === undefined ? {} : { appendedMs } })
      const [{ firstTimestamp, records: read }] = readRecordsBatches(Reader.from(bytes))
      assert.deepEqual(walk(bytes).details, read.map(({ timestampDelta, headers }) => ({
        timeMs: Number(appendedMs ?? firstTimestamp + timestampDelta),
        headers: Object.fromEntries(headers.map(([name, value]) => [String(name), String(value ?? '')]))
      })))
    }))
  })

  test('survives any changed bytes, stays inside the buffer, and always advances', () => {
    const change = fc.record({ at: fc.nat(), byte: fc.nat(255) })
    fc.assert(fc.property(batch, fc.array(change, { minLength: 1, maxLength: 5 }), fc.option(fc.nat()), fc.boolean(),
      ({ records, compression }, changes, cutAt, checksum) => {
        let broken = encodeAsOthersDo(records, { compression, baseOffset: 50n })
        for (const { at, byte } of changes) broken[at % broken.length] = byte
        if (cutAt !== null) broken = broken.subarray(0, cutAt % broken.length)
        // with a corrected checksum the damage reaches the records
        if (checksum && broken.length > 61) withChecksum(broken)
        const walked = walk(broken, 50n)
        if (broken.length > 0) assert.ok(walked.nextOffset > 50n)
        for (const { offset } of walked.records) assert.ok(offset >= 50n)
        assert.ok(walked.corrupt.length <= 1)
      }), { numRuns: 3_000 })
  })
})

suite('encoding record batches', () => {
  test('returns every record, in order per key, in the partition of its key', () => {
    const several = fc.array(producedRecord, { minLength: 1, maxLength: 300 })
    fc.assert(fc.property(several, fc.integer({ min: 1, max: 12 }), (records, partitions) => {
      const { batches } = encodeBatches(records, partitions, 0, 1_700_000_000_000)
      const came = batches.flatMap(it => {
        sealBatch(it, 7n, 0, 0)
        const walked = walk(it.bytes)
        assert.deepEqual(walked.corrupt, [])
        assert.equal(walked.records.length, it.recordCount)
        const read = readRecordsBatches(Reader.from(it.bytes))[0].records
        return walked.records.map(({ key, value }, index) =>
          ({ partition: it.partition, key, value, headers: read[index].headers.map(pair => pair.map(String)) }))
      })
      for (let partition = 0; partition < partitions; partition++) {
        const sent = records
          .filter(({ key }) => key !== null && partitionOf(Buffer.from(key as string), partitions) === partition)
          .map(({ key, value, headers }) => ({
            partition,
            key: Buffer.from(key as string),
            value: value === null ? null : Buffer.from(value as string),
            headers: Object.entries(headers ?? {})
          }))
        assert.deepEqual(came.filter(it => it.key !== null && it.partition === partition), sent)
      }
      const keyless = (it: { key: unknown }) => it.key === null
      assert.equal(came.filter(keyless).length, records.filter(keyless).length)
    }), { numRuns: 300 })
  })

  test('hashes keys like all Kafka clients', () => {
    fc.assert(fc.property(bytes, key => { assert.equal(murmur2(key), murmur2OfOthers(key)) }), { numRuns: 1_000 })
    // from the tests of Kafka's own Utils.murmur2
    for (const [key, hash] of [['21', -973932308], ['foobar', -790332482], ['a-little-bit-long-string', -985981536],
      ['a-little-bit-longer-string', -1486304829], ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
      ['abc', 479470107]] as const) {
      assert.equal(murmur2(Buffer.from(key)), hash)
    }
  })

  test('closes a batch before it exceeds the broker\'s limit', () => {
    const BROKER_MAX_BYTES = 1_048_588
    const value = (index: number) => Buffer.alloc(index % 7 === 0 ? 500_000 : 5_000)
    const records = Array.from({ length: 400 }, (_, index) => ({ key: 'one', value: value(index) }))
    const { batches } = encodeBatches(records, 3, 0, 0)
    assert.equal(batches.reduce((sum, it) => sum + it.recordCount, 0), 400)
    for (const { bytes } of batches) assert.ok(bytes.length < BROKER_MAX_BYTES)
  })
})
