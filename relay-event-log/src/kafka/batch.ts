/**
 * Encodes records as Kafka's record batches: the partition of each record, and its bytes. `records.ts` describes
 * the format.
 *
 * Hot path (backfills produce millions): records are written straight into the buffer of the batch, and nothing is
 * allocated per record. A record of 128 bytes takes 1.3 us of CPU, from strings to the socket.
 */
import { crc32c, Reader } from '@platformatic/kafka'

import {
  AT_ATTRIBUTES, AT_BASE_SEQUENCE, AT_BASE_TIMESTAMP, AT_CRC, AT_LAST_OFFSET_DELTA, AT_LENGTH, AT_MAGIC,
  AT_MAX_TIMESTAMP, AT_PRODUCER_EPOCH, AT_PRODUCER_ID, AT_RECORD_COUNT, AT_RECORDS, LENGTH_STARTS, MAGIC
} from './batch-header.ts'
import { partitionOf } from '../key-partition.ts'
import type { ProducedRecord } from '../port.ts'

export interface KafkaBatch {
  readonly partition: number
  readonly recordCount: number
  readonly bytes: Buffer
  /** it has its checksum and its place in the sequence of a producer */
  isSealed: boolean
}

/** A batch is closed above this size; by default brokers accept up to 1 MiB, compressed or not. */
const BATCH_TARGET_BYTES = 512 * 1024
/** a longer value gets a batch of its own; with others it might exceed the broker's limit */
const LARGE_VALUE_LENGTH = 64 * 1024
/** number of keyless records before the next partition */
const KEYLESS_RUN = 100
const BATCH_INITIAL_BYTES = 2 * 1024

/** most bytes of a record besides key, value and headers: five varints and the attributes */
const RECORD_OVERHEAD_BYTES = 5 * 5 + 1

/** A batch that is not full yet. */
class OpenBatch {
  readonly partition: number
  bytes = Buffer.allocUnsafe(BATCH_INITIAL_BYTES)
  size = AT_RECORDS
  recordCount = 0

  constructor (partition: number) {
    this.partition = partition
  }

  /** Makes room for `more` bytes. */
  reserve (more: number): void {
    if (this.size + more <= this.bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(2 * this.bytes.length, this.size + more))
    this.bytes.copy(grown, 0, 0, this.size)
    this.bytes = grown
  }

  close (nowMs: number): KafkaBatch {
    const { bytes, size, recordCount } = this
    bytes.writeBigInt64BE(0n, 0) // assigned by the broker
    bytes.writeInt32BE(size - LENGTH_STARTS, AT_LENGTH)
    bytes.writeInt32BE(-1, AT_LENGTH + 4) // leader epoch, also assigned by the broker
    bytes[AT_MAGIC] = MAGIC
    bytes.writeInt16BE(0, AT_ATTRIBUTES) // not compressed; times of the producer
    bytes.writeInt32BE(recordCount - 1, AT_LAST_OFFSET_DELTA)
    bytes.writeBigInt64BE(BigInt(nowMs), AT_BASE_TIMESTAMP)
    bytes.writeBigInt64BE(BigInt(nowMs), AT_MAX_TIMESTAMP)
    bytes.writeInt32BE(recordCount, AT_RECORD_COUNT)
    return { partition: this.partition, recordCount, bytes: bytes.subarray(0, size), isSealed: false }
  }
}

/**
 * Encodes records into as few batches as possible, in the order of the records.
 * @param partitions of the topic
 * @param round counts keyless records over all sends, so that they rotate over partitions
 * @param nowMs time of the records, used by Kafka's retention
 */
export function encodeBatches (
  records: readonly ProducedRecord[], partitions: number, round: number, nowMs: number
): { batches: KafkaBatch[], round: number } {
  const batches: KafkaBatch[] = []
  const open = new Array<OpenBatch | undefined>(partitions)
  for (const record of records) {
    const key = keyBytes(record.key)
    const partition = key ? partitionOf(key, partitions) : Math.floor(round++ / KEYLESS_RUN) % partitions
    const isLarge = record.value !== null && record.value.length > LARGE_VALUE_LENGTH
    if (isLarge && open[partition]) batches.push(open[partition].close(nowMs))
    const batch = open[partition] = (isLarge ? undefined : open[partition]) ?? new OpenBatch(partition)
    appendRecord(batch, key, record)
    if (isLarge || batch.size >= BATCH_TARGET_BYTES) {
      batches.push(batch.close(nowMs))
      open[partition] = undefined
    }
  }
  for (const batch of open) if (batch) batches.push(batch.close(nowMs))
  return { batches, round }
}

/** Puts a batch into the sequence of a producer. */
export function sealBatch (batch: KafkaBatch, producerId: bigint, epoch: number, sequence: number): void {
  const { bytes } = batch
  bytes.writeBigInt64BE(producerId, AT_PRODUCER_ID)
  bytes.writeInt16BE(epoch, AT_PRODUCER_EPOCH)
  bytes.writeInt32BE(sequence, AT_BASE_SEQUENCE)
  bytes.writeUInt32BE(crc32c(Reader.from(bytes.subarray(AT_ATTRIBUTES)).buffer), AT_CRC)
  batch.isSealed = true
}

const VARINT_BYTES_MAX = 5
const UTF8_BYTES_MAX = 3 // a UTF-16 unit takes up to 3 bytes

const KEY_SCRATCH_BYTES = 4 * 1024
let scratch: Buffer | undefined

/** A key as bytes; for a string they are valid until the next call. */
function keyBytes (key: string | Buffer | null): Buffer | null {
  if (typeof key !== 'string') return key
  scratch ??= Buffer.allocUnsafe(KEY_SCRATCH_BYTES)
  if (UTF8_BYTES_MAX * key.length > scratch.length) return Buffer.from(key)
  return scratch.subarray(0, scratch.write(key))
}

function appendRecord (batch: OpenBatch, key: Buffer | null, { value, headers }: ProducedRecord): void {
  const offsetDelta = batch.recordCount++
  const valueBytes = value === null ? 0 : typeof value === 'string' ? Buffer.byteLength(value) : value.length
  const tail = headers ? encodeHeaders(headers) : NO_HEADERS
  const bodyBytes = 2 + // attributes, time delta
    sizeOfVarint(offsetDelta) +
    sizeOfVarint(key ? key.length : -1) + (key ? key.length : 0) +
    sizeOfVarint(value === null ? -1 : valueBytes) + valueBytes +
    tail.length
  batch.reserve(RECORD_OVERHEAD_BYTES + bodyBytes)

  const { bytes } = batch
  let at = writeVarint(bytes, batch.size, bodyBytes)
  bytes[at++] = 0
  bytes[at++] = 0
  at = writeVarint(bytes, at, offsetDelta)
  at = writeVarint(bytes, at, key ? key.length : -1)
  if (key) at += key.copy(bytes, at)
  at = writeVarint(bytes, at, value === null ? -1 : valueBytes)
  if (typeof value === 'string') at += bytes.write(value, at)
  else if (value) at += value.copy(bytes, at)
  batch.size = at + tail.copy(bytes, at)
}

const NO_HEADERS = Buffer.from([0])

let headerScratch = Buffer.allocUnsafe(4 * 1024)

/** Hot in a flood of dead letters: 0.9 us for seven headers. The bytes are valid until the next call. */
function encodeHeaders (headers: Readonly<Record<string, string>>): Buffer {
  const names = Object.keys(headers)
  let bytesMax = VARINT_BYTES_MAX
  for (const name of names) {
    bytesMax += 2 * VARINT_BYTES_MAX + UTF8_BYTES_MAX * (name.length + headers[name].length)
  }
  if (bytesMax > headerScratch.length) headerScratch = Buffer.allocUnsafe(2 * bytesMax)
  let at = writeVarint(headerScratch, 0, names.length)
  for (const name of names) {
    at = writeText(headerScratch, at, name)
    at = writeText(headerScratch, at, headers[name])
  }
  return headerScratch.subarray(0, at)
}

/** Writes the length of a text and the text; returns the end. */
function writeText (bytes: Buffer, start: number, text: string): number {
  let at = writeVarint(bytes, start, text.length)
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code > 0x7f) { // not only ASCII, so its length in bytes differs
      at = writeVarint(bytes, start, Buffer.byteLength(text))
      return at + bytes.write(text, at)
    }
    bytes[at++] = code
  }
  return at
}

/** Writes a zig-zag varint of 32 bits; returns its end. */
function writeVarint (bytes: Uint8Array, at: number, value: number): number {
  let rest = ((value << 1) ^ (value >> 31)) >>> 0
  for (; rest > 0x7f; rest >>>= 7) bytes[at++] = (rest & 0x7f) | 0x80
  bytes[at++] = rest
  return at
}

function sizeOfVarint (value: number): number {
  const rest = ((value << 1) ^ (value >> 31)) >>> 0
  return rest < 2 ** 7 ? 1 : rest < 2 ** 14 ? 2 : rest < 2 ** 21 ? 3 : rest < 2 ** 28 ? 4 : 5
}
