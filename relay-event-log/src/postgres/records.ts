/**
 * Records as sent by `read_event_log_with_headers`: rows of a binary COPY, with the arrays of `batch.ts`
 * inside.
 *
 *     file  => signature (11 bytes) flags (int32) extension_length (int32) extension [row] -1 (int16)
 *     row   => field_count (int16) [length (int32; -1: null) bytes]
 *
 * Hot path: the answer of a fetch is one buffer, and records are walked in it. It is a COPY and not a query, because
 * `pg` treats every field of a query as text.
 */
import type { RecordSet, RecordVisitor } from '../port.ts'

/** The part of a fetch that belongs to one partition. */
export interface FetchedPartition {
  readonly partition: number
  readonly startOffset: bigint
  /** offset of the next record */
  readonly endOffset: bigint
  readonly batches: StoredBatch[]
}

export interface StoredBatch {
  readonly segment: number
  readonly firstOffset: bigint
  readonly lastOffset: bigint
  /** positions of the arrays in the answer */
  readonly keysStart: number
  readonly valuesStart: number
  readonly valuesEnd: number
  /** -1: no record of the batch has headers */
  readonly headersStart: number
  readonly headersEnd: number
  /** ms since the epoch */
  readonly appendedMs: number
}

const COPY_SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')
const ROW_FIELDS = 10
const LENGTH_BYTES = 4
const NULL_LENGTH = -1

/** Decodes an answer; partitions and their batches are ascending. */
export function decodeFetched (bytes: Buffer): FetchedPartition[] {
  if (!bytes.subarray(0, COPY_SIGNATURE.length).equals(COPY_SIGNATURE)) {
    throw new Error('PostgreSQL did not answer with a binary COPY')
  }
  const extensionAt = COPY_SIGNATURE.length + 4
  let at = extensionAt + LENGTH_BYTES + bytes.readInt32BE(extensionAt)
  const fetched: FetchedPartition[] = []
  while (bytes.readInt16BE(at) === ROW_FIELDS) {
    const starts: number[] = [] // of the fields; -1: null
    const ends: number[] = []
    at += 2
    for (let field = 0; field < ROW_FIELDS; field++) {
      const length = bytes.readInt32BE(at)
      at += LENGTH_BYTES
      starts.push(length === NULL_LENGTH ? -1 : at)
      at += Math.max(length, 0)
      ends.push(at)
    }
    const partition = bytes.readInt32BE(starts[0])
    let current = fetched.at(-1)
    if (current?.partition !== partition) {
      const [, startAt, endAt] = starts
      current = {
        partition, startOffset: bytes.readBigInt64BE(startAt), endOffset: bytes.readBigInt64BE(endAt), batches: []
      }
      fetched.push(current)
    }
    if (starts[3] < 0) continue // nothing to read
    current.batches.push({
      segment: bytes.readInt32BE(starts[3]),
      firstOffset: bytes.readBigInt64BE(starts[4]),
      lastOffset: bytes.readBigInt64BE(starts[5]),
      keysStart: starts[6],
      valuesStart: starts[7],
      valuesEnd: ends[7],
      headersStart: starts[9],
      headersEnd: ends[9],
      appendedMs: Number(bytes.readBigInt64BE(starts[8]))
    })
  }
  return fetched
}

const ARRAY_HEADER_BYTES = 20
const AT_ARRAY_COUNT = 12

/** The records of consecutive batches from `baseOffset`; the first batch may start before it. */
export class PostgresRecordSet implements RecordSet {
  readonly partition: number
  readonly baseOffset: bigint
  readonly nextOffset: bigint
  readonly endOffset: bigint
  readonly sizeBytes: number
  readonly #bytes: Buffer
  readonly #batches: readonly StoredBatch[]

  constructor (
    bytes: Buffer, { partition, endOffset }: FetchedPartition, batches: readonly StoredBatch[], baseOffset: bigint
  ) {
    this.partition = partition
    this.baseOffset = baseOffset
    this.nextOffset = batches.at(-1)!.lastOffset + 1n
    this.endOffset = endOffset
    this.sizeBytes = batches.reduce((sum, it) => sum + it.valuesEnd - it.keysStart, 0)
    this.#bytes = bytes
    this.#batches = batches
  }

  forEach (visitor: RecordVisitor): void {
    for (const batch of this.#batches) {
      const firstDelta = Number(batch.firstOffset - this.baseOffset)
      const count = Number(batch.lastOffset - batch.firstOffset) + 1
      if (isArrayOf(this.#bytes, batch.keysStart, count) && isArrayOf(this.#bytes, batch.valuesStart, count)) {
        visitor.batch?.(batch.appendedMs)
        walk(this.#bytes, batch, firstDelta, count, visitor)
      } else {
        const skipped = Math.max(-firstDelta, 0)
        visitor.corrupt(this.#bytes.subarray(batch.keysStart, batch.valuesEnd), firstDelta + skipped, count - skipped,
          `a batch of ${count} records must have as many keys and values`)
      }
    }
  }
}

function isArrayOf (bytes: Buffer, start: number, count: number): boolean {
  return bytes.readInt32BE(start) === 1 && bytes.readInt32BE(start + AT_ARRAY_COUNT) === count
}

function walk (bytes: Buffer, batch: StoredBatch, firstDelta: number, count: number, visitor: RecordVisitor): void {
  let keyAt = batch.keysStart + ARRAY_HEADER_BYTES
  let valueAt = batch.valuesStart + ARRAY_HEADER_BYTES
  const { headersStart, headersEnd } = batch
  const hasHeaders = visitor.headers !== undefined && headersStart >= 0 && isArrayOf(bytes, headersStart, count)
  let headersAt = headersStart + ARRAY_HEADER_BYTES
  for (let delta = firstDelta; delta < firstDelta + count; delta++) {
    const keyLength = decodeLength(bytes, keyAt)
    const valueLength = decodeLength(bytes, valueAt)
    keyAt += LENGTH_BYTES
    valueAt += LENGTH_BYTES
    const keyEnd = keyLength < 0 ? keyAt : keyAt + keyLength
    const valueEnd = valueLength < 0 ? valueAt : valueAt + valueLength
    if (delta >= 0) {
      visitor.record(bytes, keyLength < 0 ? -1 : keyAt, keyEnd, valueLength < 0 ? -1 : valueAt, valueEnd, delta)
    }
    keyAt = keyEnd
    valueAt = valueEnd
    if (!hasHeaders) continue
    const headersLength = decodeLength(bytes, headersAt)
    headersAt += LENGTH_BYTES
    if (headersLength < 0) continue
    const start = headersAt + JSONB_VERSION_BYTES
    headersAt += headersLength
    if (headersAt > headersEnd) return
    if (delta >= 0) visitHeaders(bytes, start, headersAt, visitor, delta)
  }
}

/** Rare: only records that are traced have headers. */
function visitHeaders (bytes: Buffer, start: number, end: number, visitor: RecordVisitor, delta: number): void {
  let headers: Record<string, string> | undefined
  const parse = () => (JSON.parse(bytes.toString('utf8', start, end)) ?? {}) as Record<string, string>
  visitor.headers!(name => (headers ??= parse())[name], delta)
}

/** before the text of each jsonb */
const JSONB_VERSION_BYTES = 1

function decodeLength (bytes: Buffer, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]
}
