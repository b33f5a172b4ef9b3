/**
 * Walks Kafka's record batches in the buffer of their answer, and visits each record as a range of bytes.
 *
 * Hot path: nothing is allocated per record, varints are read in place, and offsets stay small numbers. A property test
 * compares it with the library's `readRecordsBatches`.
 *
 *     batch (version 2) => base_offset INT64, length INT32 (of all that follows), leader_epoch INT32, magic INT8,
 *                          crc UINT32 (CRC-32C of all that follows), attributes INT16, last_offset_delta INT32,
 *                          base_timestamp INT64, max_timestamp INT64, producer_id INT64, producer_epoch INT16,
 *                          base_sequence INT32, [records]  — from here on compressed where attributes say so
 *     record            => length VARINT, attributes INT8, timestamp_delta VARLONG, offset_delta VARINT,
 *                          key VARINT_BYTES, value VARINT_BYTES, [headers]
 *
 * (https://kafka.apache.org/documentation/#recordbatch.) An invalid batch is visited as `corrupt`, once, and the walk
 * continues after it. Nothing here throws, or reads outside of the batch.
 */
import { compressionsAlgorithmsByBitmask, crc32c, Reader } from '@platformatic/kafka'

import {
  abortedTest, appendedMsOf, AT_ATTRIBUTES, AT_LAST_OFFSET_DELTA, AT_RECORD_COUNT, AT_RECORDS, batchEnd, checkBatch,
  COMPRESSION_MASK, countOf, offsetBehind, recordMsOf, type AbortedTransaction
} from './batch-header.ts'
import type { RecordMark, RecordSet, RecordVisitor } from '../port.ts'

/** A visitor that wants to know more of each record. */
export interface DetailVisitor extends RecordVisitor {
  /**
   * Comes after each record.
   * @param timeMs its time, ms since the epoch
   * @param headersStart for `decodeHeaders`, in the buffer of the record
   */
  details? (timeMs: number, headersStart: number, headersEnd: number): void
}

/** The record batches of one partition from one fetch. */
export class KafkaRecordSet implements RecordSet {
  readonly partition: number
  readonly baseOffset: bigint
  readonly nextOffset: bigint
  readonly endOffset: bigint
  readonly sizeBytes: number
  #bytes: Buffer
  readonly #aborted: readonly AbortedTransaction[]
  readonly #notBeforeMs: number
  #release: (() => void) | undefined
  #lastRecord: RecordMark | undefined

  /**
   * @param offset the requested one; records before it are skipped (their batch starts before it)
   * @param bytes as received: whole batches, and perhaps the start of another one. The first is whole, because a broker
   *   sends nothing rather than part of it. If it is not, its length is invalid
   * @param release called after all records were visited: the bytes are no longer needed
   * @param notBeforeMs a time when none of the records was in the log; -Infinity: unknown
   */
  constructor (
    partition: number, offset: bigint, endOffset: bigint, bytes: Buffer, aborted: readonly AbortedTransaction[],
    release?: () => void, notBeforeMs = -Infinity
  ) {
    this.partition = partition
    this.baseOffset = offset
    this.endOffset = endOffset
    this.sizeBytes = bytes.length
    this.#bytes = bytes
    this.#aborted = aborted
    this.#notBeforeMs = notBeforeMs
    this.#release = release

    let next = offset
    let at = 0
    for (let end; at < bytes.length; at = end) {
      end = batchEnd(bytes, at)
      if (end === undefined) break
      next = offsetBehind(bytes, at, next)
    }
    this.nextOffset = at === 0 ? offsetBehind(bytes, 0, offset) : next
  }

  /** Known without a walk after `forEach`. */
  get lastRecord (): RecordMark | undefined {
    if (this.#bytes.length > 0) this.#walk(noVisitor)
    return this.#lastRecord
  }

  forEach (visitor: DetailVisitor): void {
    try {
      this.#walk(visitor)
    } finally {
      this.#bytes = Buffer.alloc(0)
      this.#release?.()
      this.#release = undefined
    }
  }

  #walk (visitor: DetailVisitor): void {
    last.bytes = undefined
    this.#walkBatches(visitor)
    if (last.bytes) this.#lastRecord = markOf(last.bytes, last.valueStart, last.valueEnd, this.baseOffset, last.delta)
    last.bytes = undefined
  }

  #walkBatches (visitor: DetailVisitor): void {
    const bytes = this.#bytes
    const isAborted = abortedTest(this.#aborted)
    for (let at = 0, end; at < bytes.length; at = end) {
      end = batchEnd(bytes, at)
      if (end === undefined) {
        if (at === 0) visitor.corrupt(bytes, 0, 0, 'the length of the batch does not match its bytes')
        return
      }
      const delta = Number(bytes.readBigInt64BE(at) - this.baseOffset)
      const problem = checkBatch(bytes, at, end)
      if (problem) {
        visitor.corrupt(bytes.subarray(at, end), Math.max(0, delta), countOf(bytes, at), problem)
      } else if (!isAborted(bytes, at, end)) {
        const appendedMs = appendedMsOf(bytes, at, this.#notBeforeMs)
        if (appendedMs >= 0) visitor.batch?.(appendedMs)
        walkBatch(bytes, at, end, delta, visitor)
      }
    }
  }
}

const noVisitor: RecordVisitor = { record () {}, corrupt () {} }

/** The last visited record; not an object per batch, because batches may have one record each. */
const last: { bytes: Buffer | undefined, valueStart: number, valueEnd: number, delta: number } =
  { bytes: undefined, valueStart: -1, valueEnd: -1, delta: 0 }

function markOf (bytes: Buffer, valueStart: number, valueEnd: number, baseOffset: bigint, delta: number): RecordMark {
  const valueCrc = valueStart < 0 ? 0 : crc32c(Reader.from(bytes.subarray(valueStart, valueEnd)).buffer)
  return { offset: baseOffset + BigInt(delta), valueCrc }
}

/**
 * The first record of record batches that were fetched from an offset on.
 * @returns undefined: it can't be read
 */
export function firstRecord (
  offset: bigint, batches: Buffer, aborted: readonly AbortedTransaction[]
): RecordMark | undefined {
  let first: RecordMark | undefined
  let isFound = false
  new KafkaRecordSet(0, offset, offset, batches, aborted).forEach({
    record: (bytes, _keyStart, _keyEnd, valueStart, valueEnd, delta) => {
      if (!isFound) first = markOf(bytes, valueStart, valueEnd, offset, delta)
      isFound = true
    },
    corrupt: () => { isFound = true }
  })
  return first
}

/** Position after the last varint; past any end if the varint was too long. */
let behind = 0

/** A zig-zag varint of 32 bits. */
function decodeVarint (bytes: Uint8Array, at: number): number {
  let byte = bytes[at++]
  let raw = byte & 0x7f
  for (let shift = 7; byte >= 0x80; shift += 7) {
    if (shift > 28) {
      behind = Infinity
      return 0
    }
    byte = bytes[at++]
    raw |= (byte & 0x7f) << shift
  }
  behind = at
  return (raw >>> 1) ^ -(raw & 1)
}

function skipVarlong (bytes: Uint8Array, at: number): number {
  const limit = at + 10
  while (bytes[at++] >= 0x80) if (at >= limit) return Infinity
  return at
}

/** A zig-zag varint of 64 bits; exact up to 2^53. */
function decodeVarlong (bytes: Uint8Array, at: number): number {
  let raw = 0
  for (let scale = 1, byte = 0x80; byte >= 0x80; scale *= 128) {
    byte = bytes[at++]
    raw += (byte & 0x7f) * scale
  }
  return raw % 2 === 0 ? raw / 2 : -(raw + 1) / 2
}

/** number of headers, as a varint */
const NO_HEADERS = 0

/** Rare: only records that are traced, or of other programs, have headers. */
function visitHeaders (bytes: Buffer, start: number, end: number, visitor: RecordVisitor, offsetDelta: number): void {
  visitor.headers!(name => findHeader(bytes, start, end, name), offsetDelta)
}

/** Called for a header; returns whether to stop. `valueStart` is -1: its value is null */
type TakeHeader = (nameStart: number, nameEnd: number, valueStart: number, valueEnd: number) => boolean

/** Walks headers as far as they are valid: they are for people, and the event counts. */
function walkHeaders (bytes: Buffer, start: number, end: number, take: TakeHeader): void {
  const count = start < end ? decodeVarint(bytes, start) : 0
  let at = behind
  for (let index = 0; index < count; index++) {
    const nameLength = decodeVarint(bytes, at)
    const nameStart = behind
    const nameEnd = nameStart + nameLength
    if (nameLength < 0 || !(nameEnd < end)) return
    const valueLength = decodeVarint(bytes, nameEnd)
    const valueStart = behind
    at = valueStart + Math.max(valueLength, 0)
    if (!(at <= end) || take(nameStart, nameEnd, valueLength < 0 ? -1 : valueStart, at)) return
  }
}

function findHeader (bytes: Buffer, start: number, end: number, name: string): string | undefined {
  const length = Buffer.byteLength(name)
  let found: string | undefined
  walkHeaders(bytes, start, end, (nameStart, nameEnd, valueStart, valueEnd) => {
    if (valueStart < 0 || nameEnd - nameStart !== length) return false
    if (bytes.toString('utf8', nameStart, nameEnd) !== name) return false
    found = bytes.toString('utf8', valueStart, valueEnd)
    return true
  })
  return found
}

/** All headers of a record, as text; an empty one where a value is null. */
export function decodeHeaders (bytes: Buffer, start: number, end: number): Record<string, string> {
  const headers: [string, string][] = []
  walkHeaders(bytes, start, end, (nameStart, nameEnd, valueStart, valueEnd) => {
    const value = valueStart < 0 ? '' : bytes.toString('utf8', valueStart, valueEnd)
    headers.push([bytes.toString('utf8', nameStart, nameEnd), value])
    return false
  })
  return Object.fromEntries(headers)
}

/** Visits the records of a batch with a valid checksum. `delta` is its base offset, relative to the set's. */
function walkBatch (batch: Buffer, at: number, end: number, delta: number, visitor: DetailVisitor): void {
  const count = batch.readInt32BE(at + AT_RECORD_COUNT)
  const lastDelta = batch.readInt32BE(at + AT_LAST_OFFSET_DELTA)
  let previous = -1
  let valueStart = -1
  let valueEnd = -1
  const corrupt = (remaining: number, detail: string) =>
    visitor.corrupt(batch.subarray(at, end), Math.max(0, delta + previous + 1), Math.max(0, remaining), detail)

  let bytes = batch
  let pos = at + AT_RECORDS
  let limit = end
  const compression = batch.readInt16BE(at + AT_ATTRIBUTES) & COMPRESSION_MASK
  if (compression !== 0) {
    try {
      bytes = compressionsAlgorithmsByBitmask[compression].decompressSync(batch.subarray(pos, end))
    } catch (error) {
      return corrupt(count, `could not decompress the batch: ${(error as Error).message}`)
    }
    pos = 0
    limit = bytes.length
  }

  for (let index = 0; index < count; index++) {
    const length = decodeVarint(bytes, pos)
    const recordEnd = behind + length
    if (length < 0 || !(recordEnd <= limit)) return corrupt(count - index, 'a record extends beyond its batch')

    const timeAt = behind + 1
    const offsetDelta = decodeVarint(bytes, skipVarlong(bytes, timeAt))
    let keyStart = -1
    const keyLength = decodeVarint(bytes, behind)
    let keyEnd = behind
    if (keyLength >= 0) {
      keyStart = behind
      keyEnd = keyStart + keyLength
    }
    valueStart = -1
    const valueLength = decodeVarint(bytes, keyEnd)
    valueEnd = behind
    if (valueLength >= 0) {
      valueStart = behind
      valueEnd = valueStart + valueLength
    }
    // lengths are checked once, here, before anything read beyond the record is used
    if (!(valueEnd <= recordEnd && keyEnd <= recordEnd) || keyLength < -1 || valueLength < -1) {
      return corrupt(count - index, 'a field extends beyond its record')
    }
    if (offsetDelta <= previous || offsetDelta > lastDelta) {
      return corrupt(count - index, 'a record has an offset outside its batch')
    }

    previous = offsetDelta
    pos = recordEnd
    if (delta + offsetDelta < 0) continue // before the requested offset
    const headersAt = valueEnd
    if (keyStart < 0) keyEnd = -1
    if (valueStart < 0) valueEnd = -1
    visitor.record(bytes, keyStart, keyEnd, valueStart, valueEnd, delta + offsetDelta)
    if (headersAt < recordEnd && bytes[headersAt] !== NO_HEADERS && visitor.headers) {
      visitHeaders(bytes, headersAt, recordEnd, visitor, delta + offsetDelta)
    }
    if (visitor.details) visitor.details(recordMsOf(batch, at, decodeVarlong(bytes, timeAt)), headersAt, recordEnd)
  }
  if (delta + previous >= 0 && previous >= 0) {
    last.bytes = bytes
    last.valueStart = valueStart
    last.valueEnd = valueEnd
    last.delta = delta + previous
  }
  if (count < 0 || pos !== limit) corrupt(0, 'the batch has data after its last record')
}
