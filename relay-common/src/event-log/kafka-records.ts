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

import type { RecordMark, RecordSet, RecordVisitor } from './port.ts'

export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: bigint
}

const AT_LENGTH = 8
const AT_MAGIC = 16
const AT_CRC = 17
const AT_ATTRIBUTES = 21
const AT_LAST_OFFSET_DELTA = 23
const AT_MAX_TIMESTAMP = 35
const AT_PRODUCER_ID = 43
const AT_RECORD_COUNT = 57
const AT_RECORDS = 61
/** not included in `length`: the base offset and itself */
const LENGTH_STARTS = 12

const MAGIC = 2
const COMPRESSION_MASK = 0b111
export const IS_APPEND_TIME = 1 << 3
const IS_TRANSACTIONAL = 1 << 4
const IS_CONTROL = 1 << 5
const CONTROL_ABORT = 0

/** End of the batch at `at`; undefined if the bytes end before, or its length is invalid. */
function batchEnd (bytes: Buffer, at: number): number | undefined {
  if (bytes.length - at < AT_RECORDS) return undefined
  const end = at + LENGTH_STARTS + bytes.readInt32BE(at + AT_LENGTH)
  return end - at >= AT_RECORDS && end <= bytes.length ? end : undefined
}

/** The offset after a batch, as far as its header is plausible: always after `offset`. */
function offsetBehind (bytes: Buffer, at: number, offset: bigint): bigint {
  if (bytes.length - at < AT_RECORDS) return offset + 1n
  const behind = bytes.readBigInt64BE(at) + BigInt(bytes.readInt32BE(at + AT_LAST_OFFSET_DELTA)) + 1n
  return behind > offset ? behind : offset + 1n
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

  forEach (visitor: RecordVisitor): void {
    try {
      this.#walk(visitor)
    } finally {
      this.#bytes = Buffer.alloc(0)
      this.#release?.()
      this.#release = undefined
    }
  }

  #walk (visitor: RecordVisitor): void {
    last.bytes = undefined
    this.#walkBatches(visitor)
    if (last.bytes) this.#lastRecord = markOf(last.bytes, last.valueStart, last.valueEnd, this.baseOffset, last.delta)
    last.bytes = undefined
  }

  #walkBatches (visitor: RecordVisitor): void {
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
        showTime(bytes, at, this.#notBeforeMs, visitor)
        walkBatch(bytes, at, end, delta, visitor)
      }
    }
  }
}

/**
 * Reports when the newest record of a batch was appended. Producers may set any time, that of the event or none (-1); a
 * broker that sets its own (`LogAppendTime`) says so. Avoids BigInt, because batches may have one record each.
 */
function showTime (bytes: Buffer, at: number, notBeforeMs: number, visitor: RecordVisitor): void {
  const timeMs = bytes.readInt32BE(at + AT_MAX_TIMESTAMP) * 2 ** 32 + bytes.readUInt32BE(at + AT_MAX_TIMESTAMP + 4)
  const isOfBroker = (bytes.readInt16BE(at + AT_ATTRIBUTES) & IS_APPEND_TIME) !== 0
  const appendedMs = isOfBroker ? timeMs : Math.max(timeMs, notBeforeMs)
  if (appendedMs >= 0) visitor.batch?.(appendedMs)
}

function countOf (bytes: Buffer, at: number): number {
  return Math.max(0, bytes.readInt32BE(at + AT_RECORD_COUNT))
}

function checkBatch (bytes: Buffer, at: number, end: number): string | undefined {
  const magic = bytes[at + AT_MAGIC]
  if (magic !== MAGIC) return `the batch is of format ${magic}, not ${MAGIC}`
  // a Reader's buffer enters the checksum without a copy
  const crc = crc32c(Reader.from(bytes.subarray(at + AT_ATTRIBUTES, end)).buffer)
  return crc === bytes.readUInt32BE(at + AT_CRC) ? undefined : 'wrong checksum of the batch'
}

/**
 * Decides which batches to skip: control batches, and those of aborted transactions. Call it for batches in order.
 * Records of a producer are aborted from the offset given by the broker to its abort marker.
 */
function abortedTest (aborted: readonly AbortedTransaction[]): (bytes: Buffer, at: number, end: number) => boolean {
  const open = new Set<bigint>()
  let seen = 0
  return (bytes, at, end) => {
    const attributes = bytes.readInt16BE(at + AT_ATTRIBUTES)
    const isControl = (attributes & IS_CONTROL) !== 0
    if (aborted.length === 0) return isControl
    const last = offsetBehind(bytes, at, -1n) - 1n
    while (seen < aborted.length && aborted[seen].firstOffset <= last) open.add(aborted[seen++].producerId)
    const producerId = bytes.readBigInt64BE(at + AT_PRODUCER_ID)
    if (isControl) {
      // the marker's key: a record of length, attributes, two deltas and a key of version INT16, type INT16
      if (bytes.readInt16BE(Math.min(at + AT_RECORDS + 7, end - 2)) === CONTROL_ABORT) open.delete(producerId)
      return true
    }
    return (attributes & IS_TRANSACTIONAL) !== 0 && open.has(producerId)
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

/** number of headers, as a varint */
const NO_HEADERS = 0

/** Rare: only records that are traced, or of other programs, have headers. */
function visitHeaders (bytes: Buffer, start: number, end: number, visitor: RecordVisitor, offsetDelta: number): void {
  visitor.headers!(name => findHeader(bytes, start, end, name), offsetDelta)
}

/** @returns undefined also if the headers are invalid: they are for people, and the event counts */
function findHeader (bytes: Buffer, start: number, end: number, name: string): string | undefined {
  const count = decodeVarint(bytes, start)
  let at = behind
  const wantedLength = Buffer.byteLength(name)
  for (let index = 0; index < count; index++) {
    const nameLength = decodeVarint(bytes, at)
    const nameStart = behind
    const nameEnd = nameStart + nameLength
    if (nameLength < 0 || !(nameEnd < end)) return undefined
    const valueLength = decodeVarint(bytes, nameEnd)
    const valueStart = behind
    at = valueStart + Math.max(valueLength, 0)
    if (!(at <= end)) return undefined
    if (valueLength >= 0 && nameLength === wantedLength && bytes.toString('utf8', nameStart, nameEnd) === name) {
      return bytes.toString('utf8', valueStart, at)
    }
  }
  return undefined
}

/** Visits the records of a batch with a valid checksum. `delta` is its base offset, relative to the set's. */
function walkBatch (batch: Buffer, at: number, end: number, delta: number, visitor: RecordVisitor): void {
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

    const offsetDelta = decodeVarint(bytes, skipVarlong(bytes, behind + 1))
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
  }
  if (delta + previous >= 0 && previous >= 0) {
    last.bytes = bytes
    last.valueStart = valueStart
    last.valueEnd = valueEnd
    last.delta = delta + previous
  }
  if (count < 0 || pos !== limit) corrupt(0, 'the batch has data after its last record')
}
