/**
 * Encodes records for `append_to_event_log`: grouped by partition, in batches, as arrays in PostgreSQL's binary format,
 * which it stores and sends back unchanged:
 *
 *     array    => dimensions=1 (int32) has_nulls (int32) type (int32) count (int32) first_index=1 (int32) [element]
 *     element  => length (int32; -1: null) bytes
 *
 * Hot path (backfills produce millions): records are written straight into the arrays, and nothing is allocated per
 * record.
 */
import { partitionOf } from '../key-partition.ts'
import type { ProducedRecord } from '../port.ts'

/** Arguments of one call of `append_to_event_log`. */
export interface Append {
  /** partition of each batch, ascending; the next call starts with the same partition or a later one */
  readonly partitions: number[]
  readonly counts: number[]
  readonly sizesBytes: number[]
  readonly keys: Buffer
  readonly values: Buffer
  /** null: no record has headers */
  readonly headers: Buffer | null
}

/** A reader takes whole batches: large enough to make a row cheap, small enough for its buffer. */
const BATCH_TARGET_BYTES = 128 * 1024
/** PostgreSQL walks the arrays from their start for every batch, so larger calls cost more than further calls */
const APPEND_TARGET_BYTES = 4 * 1024 * 1024
/** number of keyless records before the next partition */
const KEYLESS_RUN = 100

const BYTEA = 17
const JSONB = 3802
const ARRAY_HEADER_BYTES = 20
const LENGTH_BYTES = 4
const UTF8_BYTES_MAX = 3 // a UTF-16 unit takes up to 3 bytes

/** A growing array. */
class OpenArray {
  size = ARRAY_HEADER_BYTES
  #bytes = Buffer.allocUnsafe(64 * 1024)
  #count = 0
  #hasNulls = 0
  readonly #type: number

  constructor (type: number) {
    this.#type = type
  }

  append (element: string | Buffer | null): void {
    this.#count++
    this.#reserve(LENGTH_BYTES + (element === null ? 0 : element.length * UTF8_BYTES_MAX))
    const at = this.size + LENGTH_BYTES
    let length = -1
    if (element === null) this.#hasNulls = 1
    else length = typeof element === 'string' ? this.#bytes.write(element, at) : element.copy(this.#bytes, at)
    this.#bytes.writeInt32BE(length, this.size)
    this.size = at + Math.max(length, 0)
  }

  #reserve (bytes: number): void {
    if (this.size + bytes <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(2 * this.#bytes.length, this.size + bytes))
    this.#bytes.copy(grown, 0, 0, this.size)
    this.#bytes = grown
  }

  close (): Buffer {
    const header = [1, this.#hasNulls, this.#type, this.#count, 1]
    header.forEach((word, index) => this.#bytes.writeInt32BE(word, index * 4))
    return this.#bytes.subarray(0, this.size)
  }
}

class OpenAppend {
  readonly partitions: number[] = []
  readonly counts: number[] = []
  readonly sizesBytes: number[] = []
  readonly #keys = new OpenArray(BYTEA)
  readonly #values = new OpenArray(BYTEA)
  readonly #headers: OpenArray | undefined

  constructor (hasHeaders: boolean) {
    if (hasHeaders) this.#headers = new OpenArray(JSONB)
  }

  get isFull (): boolean {
    return this.#keys.size + this.#values.size >= APPEND_TARGET_BYTES
  }

  append (partition: number, record: ProducedRecord): void {
    let batch = this.partitions.length - 1
    if (this.partitions[batch] !== partition || this.sizesBytes[batch] >= BATCH_TARGET_BYTES) {
      batch++
      this.partitions.push(partition)
      this.counts.push(0)
      this.sizesBytes.push(0)
    }
    const sizeBefore = this.#keys.size + this.#values.size
    this.#keys.append(record.key)
    this.#values.append(record.value)
    this.#headers?.append(record.headers ? encodeHeaders(record.headers) : null)
    this.counts[batch]++
    this.sizesBytes[batch] += this.#keys.size + this.#values.size - sizeBefore
  }

  close (): Append {
    const { partitions, counts, sizesBytes } = this
    const headers = this.#headers ? this.#headers.close() : null
    return { partitions, counts, sizesBytes, keys: this.#keys.close(), values: this.#values.close(), headers }
  }
}

/**
 * Encodes records into as few calls as possible; records of one partition stay in order.
 * @param partitions of the topic
 * @param round counts keyless records over all sends, so that they rotate over partitions
 */
export function encodeAppends (
  records: readonly ProducedRecord[], partitions: number, round: number
): { appends: Append[], round: number } {
  const byPartition = Array.from({ length: partitions }, (): ProducedRecord[] => [])
  let hasHeaders = false
  for (const record of records) {
    const key = keyBytes(record.key)
    byPartition[key ? partitionOf(key, partitions) : Math.floor(round++ / KEYLESS_RUN) % partitions].push(record)
    hasHeaders ||= record.headers !== undefined
  }

  const appends: Append[] = []
  let open = new OpenAppend(hasHeaders)
  byPartition.forEach((ofPartition, partition) => {
    for (const record of ofPartition) {
      if (open.isFull) {
        appends.push(open.close())
        open = new OpenAppend(hasHeaders)
      }
      open.append(partition, record)
    }
  })
  if (open.counts.length > 0) appends.push(open.close())
  return { appends, round }
}

const KEY_SCRATCH_BYTES = 4 * 1024
let scratch: Buffer | undefined

/** A key as bytes; for a string they are valid until the next call. */
function keyBytes (key: string | Buffer | null): Buffer | null {
  if (typeof key !== 'string') return key
  scratch ??= Buffer.allocUnsafe(KEY_SCRATCH_BYTES)
  if (key.length * UTF8_BYTES_MAX > scratch.length) return Buffer.from(key)
  return scratch.subarray(0, scratch.write(key))
}

const JSONB_VERSION = '\u0001'

/** jsonb accepts neither NUL nor half surrogate pairs; headers are for people, so these are replaced visibly. */
function encodeHeaders (headers: Readonly<Record<string, string>>): string {
  const readable = (text: string) => text.toWellFormed().replaceAll('\0', '\ufffd')
  return JSONB_VERSION + JSON.stringify(Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [readable(name), readable(value)])))
}
