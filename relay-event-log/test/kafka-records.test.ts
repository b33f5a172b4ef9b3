import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { crc32 } from 'node:zlib'

import {
  encodeAsOthersDo, encodeMarker, walk, withChecksum, type PlainRecord
} from 'relay-test-support/record-batches.ts'

const records = (count: number, prefix = 'value'): PlainRecord[] =>
  Array.from({ length: count }, (_, index) =>
    ({ key: Buffer.from(`key ${index}`), value: Buffer.from(`${prefix} ${index}`) }))

const values = (walked: ReturnType<typeof walk>) => walked.records.map(it => String(it.value))

suite('record batches', () => {
  for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
    test(`are read with the compression ${compression}`, () => {
      const walked = walk(encodeAsOthersDo(records(1_000), { compression }))
      assert.deepEqual(walked.records.map(({ key, value }) => ({ key, value })), records(1_000))
      assert.deepEqual(walked.corrupt, [])
      assert.equal(walked.nextOffset, 1_000n)
    })
  }

  test('report their append time: from the broker, or the last time without them, or from their producer', () => {
    const bytes = Buffer.concat([
      encodeAsOthersDo(records(1), { baseOffset: 0n, timeMs: 5_000n }),
      encodeAsOthersDo(records(1), { baseOffset: 1n, timeMs: 0n }),
      encodeAsOthersDo(records(1), { baseOffset: 2n, timeMs: -1n }),
      encodeAsOthersDo(records(1), { baseOffset: 3n, timeMs: 9_000n, appendedMs: 2_000n })
    ])
    assert.deepEqual(walk(bytes).appendedMs, [5_000, 0, 2_000])
    assert.deepEqual(walk(bytes, 0n, [], 3_000).appendedMs, [5_000, 3_000, 3_000, 2_000])
  })

  test('are read from the requested offset, in the middle of a batch', () => {
    const bytes = Buffer.concat([
      encodeAsOthersDo(records(10, 'first'), { baseOffset: 100n }),
      encodeAsOthersDo(records(2, 'second'), { baseOffset: 110n })
    ])
    const walked = walk(bytes, 107n)
    assert.deepEqual(values(walked), ['first 7', 'first 8', 'first 9', 'second 0', 'second 1'])
    assert.deepEqual(walked.records.map(it => it.offset), [107n, 108n, 109n, 110n, 111n])
    assert.equal(walked.nextOffset, 112n)
  })

  test('may be truncated at the end of a fetch: the rest comes with the next one', () => {
    const first = encodeAsOthersDo(records(3), { baseOffset: 7n })
    const second = encodeAsOthersDo(records(3), { baseOffset: 10n })
    for (let length = first.length; length < first.length + second.length; length++) {
      const walked = walk(Buffer.concat([first, second]).subarray(0, length), 7n)
      assert.equal(walked.records.length, 3)
      assert.equal(walked.nextOffset, 10n)
      assert.deepEqual(walked.corrupt, [])
    }
  })

  test('with a wrong checksum are reported as corrupt once, with their bytes, and reading continues after them', () => {
    const broken = encodeAsOthersDo(records(5), { baseOffset: 3n })
    broken[broken.length - 1] ^= 1
    const walked = walk(Buffer.concat([
      encodeAsOthersDo(records(3, 'before')), broken, encodeAsOthersDo(records(2, 'behind'), { baseOffset: 8n })
    ]))
    assert.deepEqual(values(walked), ['before 0', 'before 1', 'before 2', 'behind 0', 'behind 1'])
    assert.deepEqual(walked.corrupt,
      [{ offset: 3n, recordCount: 5, detail: 'wrong checksum of the batch', bytes: broken }])
    assert.equal(walked.nextOffset, 10n)
  })

  for (const format of [0, 1, 3]) {
    test(`of format ${format}, without the checksum of an old message, are corrupt`, () => {
      const other = encodeAsOthersDo(records(1))
      other[16] = format
      assert.equal(walk(other).corrupt[0].detail, `the batch is of format ${format}, not 2`)
    })
  }

  for (const format of [0, 1]) {
    test(`may come after messages of format ${format}, each of which is reported with its bytes`, () => {
      const old = [3n, 4n, 5n].map((offset, n) => encodeOldMessage(format, offset, 'x'.repeat(30 * n)))
      const next = encodeAsOthersDo(records(2), { baseOffset: 6n })
      const walked = walk(Buffer.concat([...old, next]), 3n)
      const detail = `the message is of format ${format}, from before Kafka 0.11; Relay reads format 2`
      assert.deepEqual(walked.corrupt,
        old.map((bytes, n) => ({ offset: 3n + BigInt(n), recordCount: 1, detail, bytes })))
      assert.deepEqual(walked.records.map(it => it.offset), [6n, 7n])
      assert.equal(walked.nextOffset, 8n)
      assert.equal(walk(Buffer.concat(old), 3n).nextOffset, 6n)
    })
  }

  test('with an invalid length are corrupt, and the position advances', () => {
    for (const length of [-1, 0, 48, 1_000_000, -2_147_483_648, 2_147_483_647]) {
      const lying = encodeAsOthersDo(records(4), { baseOffset: 20n })
      lying.writeInt32BE(length, 8)
      const walked = walk(lying, 21n)
      assert.equal(walked.records.length, 0)
      assert.equal(walked.corrupt.length, 1)
      assert.equal(walked.nextOffset, 24n)
    }
  })

  test('with a record that exceeds its batch are read up to it, and corrupt from there', () => {
    const lying = encodeAsOthersDo([
      { key: null, value: Buffer.from('good') }, { key: null, value: Buffer.from('lies') }, { key: null, value: null }
    ])
    lying[lying.indexOf('lies') - 1] = 0x7e // the length of the value: 63
    const walked = walk(withChecksum(lying))
    assert.deepEqual(values(walked), ['good'])
    assert.deepEqual(walked.corrupt.map(({ offset, recordCount, detail }) => ({ offset, recordCount, detail })),
      [{ offset: 1n, recordCount: 2, detail: 'a field extends beyond its record' }])
    assert.equal(walked.nextOffset, 3n)
  })

  test('with more records than stated are corrupt after the stated ones', () => {
    const lying = encodeAsOthersDo(records(3))
    lying.writeInt32BE(2, 57)
    const walked = walk(withChecksum(lying))
    assert.equal(walked.records.length, 2)
    assert.deepEqual(walked.corrupt.map(it => it.detail), ['the batch has data after its last record'])
  })

  test('that can\'t be decompressed are corrupt', () => {
    for (const compression of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
      const broken = encodeAsOthersDo(records(50), { compression })
      broken.fill(0xff, 61)
      const walked = walk(withChecksum(broken))
      assert.equal(walked.records.length, 0)
      assert.equal(walked.corrupt[0].recordCount, 50)
      assert.match(walked.corrupt[0].detail, /could not decompress|outside|beyond/)
    }
  })

  test('with an unknown compression are corrupt', () => {
    const broken = encodeAsOthersDo(records(1))
    broken.writeInt16BE(0b111, 21)
    assert.match(walk(withChecksum(broken)).corrupt[0].detail, /could not decompress/)
  })
})

suite('transactions', () => {
  test('that were aborted are skipped, like markers, and offsets advance over both', () => {
    const bytes = Buffer.concat([
      encodeAsOthersDo(records(2, 'plain'), { baseOffset: 0n }),
      encodeAsOthersDo(records(2, 'aborted'), { baseOffset: 2n, transactionOf: 8n }),
      encodeAsOthersDo(records(2, 'other'), { baseOffset: 4n, transactionOf: 9n }),
      encodeAsOthersDo(records(1, 'aborted too'), { baseOffset: 6n, transactionOf: 8n }),
      encodeMarker(8n, 7n, 'abort'),
      encodeAsOthersDo(records(1, 'committed'), { baseOffset: 8n, transactionOf: 8n }),
      encodeMarker(9n, 9n, 'commit'),
      encodeMarker(8n, 10n, 'commit')
    ])
    const walked = walk(bytes, 0n, [{ producerId: 8n, firstOffset: 2n }])
    assert.deepEqual(values(walked), ['plain 0', 'plain 1', 'other 0', 'other 1', 'committed 0'])
    assert.equal(walked.nextOffset, 11n)
    assert.deepEqual(walked.corrupt, [])
  })

  test('of one producer may be aborted several times in a fetch, and the marker may come with the next one', () => {
    const bytes = Buffer.concat([
      encodeAsOthersDo(records(1, 'aborted'), { baseOffset: 0n, transactionOf: 8n }),
      encodeMarker(8n, 1n, 'abort'),
      encodeAsOthersDo(records(1, 'committed'), { baseOffset: 2n, transactionOf: 8n }),
      encodeMarker(8n, 3n, 'commit'),
      encodeAsOthersDo(records(1, 'aborted'), { baseOffset: 4n, transactionOf: 8n })
    ])
    const aborted = [{ producerId: 8n, firstOffset: 0n }, { producerId: 8n, firstOffset: 4n }]
    assert.deepEqual(values(walk(bytes, 0n, aborted)), ['committed 0'])
  })

  test('consisting of markers only advance the position', () => {
    const walked = walk(encodeMarker(8n, 40n, 'commit'), 40n)
    assert.deepEqual(walked, {
      records: [], corrupt: [], nextOffset: 41n, appendedMs: [], details: [], lastRecord: undefined
    })
  })
})

/** A message without a key, as brokers before 0.11 stored it. */
function encodeOldMessage (format: number, offset: bigint, value: string): Buffer {
  const times = format === 0 ? Buffer.alloc(0) : Buffer.alloc(8, 1)
  const lengths = Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, value.length])
  const message = Buffer.concat([Buffer.from([format, 0]), times, lengths, Buffer.from(value)])
  const head = Buffer.alloc(16)
  head.writeBigInt64BE(offset)
  head.writeInt32BE(message.length + 4, 8)
  head.writeUInt32BE(crc32(message), 12)
  return Buffer.concat([head, message])
}
