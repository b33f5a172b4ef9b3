/** Record batches of other producers (by the library's encoder), and their content according to the walker. */
import assert from 'node:assert/strict'

import { createRecordsBatch, type CompressionAlgorithmValue } from '@platformatic/kafka'

import type { AbortedTransaction } from '../relay-event-log/src/kafka/batch-header.ts'
import { decodeHeaders, KafkaRecordSet } from '../relay-event-log/src/kafka/records.ts'
import type { RecordMark } from 'relay-event-log'

export interface PlainRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: ReadonlyMap<Buffer, Buffer>
  readonly timeMs?: bigint
}

export interface BatchSettings {
  readonly baseOffset?: bigint
  readonly compression?: CompressionAlgorithmValue
  /** makes the batch part of a transaction of this producer */
  readonly transactionOf?: bigint
  /** time of its records from their producer; -1n: none */
  readonly timeMs?: bigint
  /** append time of the broker, if its topic has times of the broker */
  readonly appendedMs?: bigint
}

export function encodeAsOthersDo (records: readonly PlainRecord[], settings: BatchSettings = {}): Buffer {
  const messages = records.map(({ key, value, headers, timeMs }) => ({
    key: key ?? undefined,
    value: value as Buffer,
    headers: new Map(headers),
    topic: 'events',
    timestamp: timeMs ?? settings.timeMs ?? 1_700_000_000_000n
  }))
  const batch = Buffer.from(createRecordsBatch(messages, {
    compression: settings.compression ?? 'none',
    transactionalId: settings.transactionOf === undefined ? undefined : 'transaction',
    producerId: settings.transactionOf ?? -1n
  }).buffer)
  batch.writeBigInt64BE(settings.baseOffset ?? 0n, 0) // assigned by the broker, outside of the checksum
  if (settings.appendedMs === undefined) return batch
  const IS_APPEND_TIME = 1 << 3
  batch.writeInt16BE(batch.readInt16BE(21) | IS_APPEND_TIME, 21)
  batch.writeBigInt64BE(settings.appendedMs, 35) // the newest time; those of the records stay
  return withChecksum(batch)
}

/** A marker that ends a transaction, as brokers write it (compared with a real one in kafka-transactions.test.ts). */
export function encodeMarker (producerId: bigint, baseOffset: bigint, kind: 'abort' | 'commit'): Buffer {
  const key = Buffer.from([0, 0, 0, kind === 'abort' ? 0 : 1])
  const marker = encodeAsOthersDo([{ key, value: Buffer.alloc(6) }], { baseOffset, transactionOf: producerId })
  const IS_CONTROL = 1 << 5
  marker.writeInt16BE(marker.readInt16BE(21) | IS_CONTROL, 21)
  return withChecksum(marker)
}

/** Corrects the checksum of a batch. */
export function withChecksum (batch: Buffer): Buffer {
  batch.writeUInt32BE(crc32cSlowly(batch.subarray(21)), 17)
  return batch
}

/** CRC-32C bit by bit (Castagnoli 1993, reflected polynomial 0x82f63b78), in the simplest form. */
function crc32cSlowly (bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0)
  }
  return ~crc >>> 0
}

export interface Walked {
  readonly records: { offset: bigint, key: Buffer | null, value: Buffer | null }[]
  readonly corrupt: { offset: bigint, recordCount: number, detail: string, bytes: Buffer }[]
  readonly nextOffset: bigint
  /** of batches with an append time */
  readonly appendedMs: number[]
  /** of each record */
  readonly details: { timeMs: number, headers: Record<string, string> }[]
  /** before and after the walk: the same */
  readonly lastRecord: RecordMark | undefined
}

/** Walks bytes like those of a fetch from `offset`. */
export function walk (
  bytes: Buffer, offset = 0n, aborted: readonly AbortedTransaction[] = [], notBeforeMs?: number
): Walked {
  const set = new KafkaRecordSet(0, offset, 0n, bytes, aborted, undefined, notBeforeMs)
  const { lastRecord, nextOffset } = set
  const walked: Walked = { records: [], corrupt: [], nextOffset, appendedMs: [], details: [], lastRecord }
  let bytesOfRecord: Buffer
  set.forEach({
    batch (appendedMs) {
      walked.appendedMs.push(appendedMs)
    },
    record (buffer, keyStart, keyEnd, valueStart, valueEnd, offsetDelta) {
      const cut = (start: number, end: number) => {
        if (start === -1 && end === -1) return null
        assert.ok(start >= 0 && start <= end && end <= buffer.length, `a field lies outside: ${start}..${end}`)
        return Buffer.from(buffer.subarray(start, end))
      }
      bytesOfRecord = buffer
      walked.records.push({
        offset: offset + BigInt(offsetDelta), key: cut(keyStart, keyEnd), value: cut(valueStart, valueEnd)
      })
    },
    details (timeMs, headersStart, headersEnd) {
      walked.details.push({ timeMs, headers: decodeHeaders(bytesOfRecord, headersStart, headersEnd) })
    },
    corrupt (bytes, offsetDelta, recordCount, detail) {
      walked.corrupt.push({ offset: offset + BigInt(offsetDelta), recordCount, detail, bytes: Buffer.from(bytes) })
    }
  })
  assert.deepEqual(set.lastRecord, lastRecord)
  return walked
}
