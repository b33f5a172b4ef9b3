/**
 * The header of Kafka's record batches (records.ts has the format), and what it alone decides: where a batch
 * ends, whether it is whole, when it was appended, and whether its transaction was aborted.
 */
import { crc32 } from 'node:zlib'

import { crc32c, Reader } from '@platformatic/kafka'

export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: bigint
}

export const AT_LENGTH = 8
export const AT_MAGIC = 16
export const AT_CRC = 17
export const AT_ATTRIBUTES = 21
export const AT_LAST_OFFSET_DELTA = 23
export const AT_BASE_TIMESTAMP = 27
export const AT_MAX_TIMESTAMP = 35
export const AT_PRODUCER_ID = 43
export const AT_PRODUCER_EPOCH = 51
export const AT_BASE_SEQUENCE = 53
export const AT_RECORD_COUNT = 57
export const AT_RECORDS = 61
/** not included in `length`: the base offset and itself */
export const LENGTH_STARTS = 12

export const MAGIC = 2
/** in a message of formats 0 and 1, from before batches: a CRC-32 of all that follows */
const AT_OLD_CRC = 12
/** offset, length, crc, magic, attributes, lengths of key and value */
const OLD_MESSAGE_MIN_BYTES = 26
export const COMPRESSION_MASK = 0b111
const IS_APPEND_TIME = 1 << 3
const IS_TRANSACTIONAL = 1 << 4
const IS_CONTROL = 1 << 5
const CONTROL_ABORT = 0

/** End of the batch at `at`; undefined if the bytes end before, or its length is invalid. */
export function batchEnd (bytes: Buffer, at: number): number | undefined {
  if (isOldMessage(bytes, at)) return endAt(bytes, at)
  if (bytes.length - at < AT_RECORDS) return undefined
  const end = endAt(bytes, at)
  return end - at >= AT_RECORDS && end <= bytes.length ? end : undefined
}

function endAt (bytes: Buffer, at: number): number {
  return at + LENGTH_STARTS + bytes.readInt32BE(at + AT_LENGTH)
}

/**
 * Whether there is a whole message of a format from before batches, which a topic of before Kafka 0.11 may still have.
 * Its offset is where that of a batch is; a compressed one has that of its last record.
 */
function isOldMessage (bytes: Buffer, at: number): boolean {
  if (bytes.length - at < OLD_MESSAGE_MIN_BYTES || bytes[at + AT_MAGIC] >= MAGIC) return false
  const end = endAt(bytes, at)
  if (end - at < OLD_MESSAGE_MIN_BYTES || end > bytes.length) return false
  return crc32(bytes.subarray(at + AT_MAGIC, end)) === bytes.readUInt32BE(at + AT_OLD_CRC)
}

/** The offset after a batch, as far as its header is plausible: always after `offset`. */
export function offsetBehind (bytes: Buffer, at: number, offset: bigint): bigint {
  let lastDelta = 0
  if (!isOldMessage(bytes, at)) {
    if (bytes.length - at < AT_RECORDS) return offset + 1n
    lastDelta = bytes.readInt32BE(at + AT_LAST_OFFSET_DELTA)
  }
  const behind = bytes.readBigInt64BE(at) + BigInt(lastDelta) + 1n
  return behind > offset ? behind : offset + 1n
}

/**
 * When the newest record of a batch was appended, in ms; negative: unknown. Producers may set any time, that of the
 * event or none (-1); a broker that sets its own (`LogAppendTime`) says so. Avoids BigInt, because batches may have one
 * record each.
 * @param notBeforeMs a time when none of the records was in the log
 */
export function appendedMsOf (bytes: Buffer, at: number, notBeforeMs: number): number {
  const timeMs = readMs(bytes, at + AT_MAX_TIMESTAMP)
  return isTimeOfBroker(bytes, at) ? timeMs : Math.max(timeMs, notBeforeMs)
}

/** The time of a record, in ms. @param delta to the first one of its batch */
export function recordMsOf (bytes: Buffer, at: number, delta: number): number {
  if (isTimeOfBroker(bytes, at)) return readMs(bytes, at + AT_MAX_TIMESTAMP)
  return readMs(bytes, at + AT_BASE_TIMESTAMP) + delta
}

function isTimeOfBroker (bytes: Buffer, at: number): boolean {
  return (bytes.readInt16BE(at + AT_ATTRIBUTES) & IS_APPEND_TIME) !== 0
}

function readMs (bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4)
}

/** Number of its records, as far as the header says. */
export function countOf (bytes: Buffer, at: number): number {
  if (isOldMessage(bytes, at)) return 1
  return Math.max(0, bytes.readInt32BE(at + AT_RECORD_COUNT))
}

/** @returns what is wrong with a batch; undefined: nothing */
export function checkBatch (bytes: Buffer, at: number, end: number): string | undefined {
  const magic = bytes[at + AT_MAGIC]
  if (isOldMessage(bytes, at)) {
    return `the message is of format ${magic}, from before Kafka 0.11; Relay reads format ${MAGIC}`
  }
  if (magic !== MAGIC) return `the batch is of format ${magic}, not ${MAGIC}`
  // a Reader's buffer enters the checksum without a copy
  const crc = crc32c(Reader.from(bytes.subarray(at + AT_ATTRIBUTES, end)).buffer)
  return crc === bytes.readUInt32BE(at + AT_CRC) ? undefined : 'wrong checksum of the batch'
}

/**
 * Decides which batches to skip: control batches, and those of aborted transactions. Call it for batches in order.
 * Records of a producer are aborted from the offset given by the broker to its abort marker.
 */
export function abortedTest (
  aborted: readonly AbortedTransaction[]
): (bytes: Buffer, at: number, end: number) => boolean {
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
