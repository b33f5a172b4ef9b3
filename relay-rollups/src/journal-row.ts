import { firstAtOrAfter } from './ascending.ts'
import { ByteReader, ByteWriter, corrupt } from './bytes.ts'
import { decodeIntegers, encodeIntegers, integerScratch } from './packed-values.ts'
import { decodeReadings, encodeReadings, READINGS_ENCODED_MAX, type Readings } from './readings.ts'
import { appendRollupBody, decodeContent } from './rollup-row.ts'
import type { Rollup } from './rollup.ts'
import { bucketStartMs, MINUTE_MS } from './window.ts'

/**
 * A row of the table `journal` (`migrations/0022-journal.sql`): readings that a flush added to the series of one block
 * of one source partition, and that are not in their rollup rows yet.
 *
 *     content of a bucket of a series = its rows of all source partitions + what the journal has of it, merged
 *
 * Nothing is in both, and duplicates were removed before, so readers add the two. A row holds one of two kinds:
 *
 *     readings  of devices: each belongs to the minute, the hour and the day of its time
 *     rollups   of groups: each is of some readings of one minute, and belongs to that minute, its hour and its day
 *
 * | bytes | content |
 * | --- | --- |
 * | 1 | 0x11: readings; 0x12: rollups |
 * | varint | the time that entries count from, ms since the epoch |
 * | varint | number of entries |
 * | integers | series of each entry: its id minus that of the entry before, minus 1 |
 * | integers | bytes of each entry, as differences |
 * | entries | readings as `encodeReadings` writes them; or the minute (by its number after the first), the body of a rollup, count, min, max |
 *
 * The sizes of entries come first, so one series can be read without the others. A series has several entries if it has
 * rollups of several minutes, or more readings than fit in one entry.
 */
export interface JournalVisitor {
  /** @param readings sorted */
  readings (seriesId: number, readings: Readings): void
  rollup (seriesId: number, minuteMs: number, rollup: Rollup): void
}

/**
 * Series whose ids differ only in their low bits share a block. A device has two: late readings have a block of their
 * own, so that the other one only has the last minutes, and queries about the past skip it. Late readings are few, so
 * sixteen times as many devices share their block.
 *
 *     devices  0 to 2^23 - 1     id >> 8
 *     late     from 2^23 on      2^23 + (id >> 12)
 *     groups   from -2 down      -2 - (id >> 8): no row mixes groups and devices
 */
const BLOCK_BITS = 8
const LATE_BITS = 4
const FIRST_LATE_BLOCK = 2 ** (31 - BLOCK_BITS)
const FIRST_GROUP_BLOCK = -2

/** The block of a device for readings that are not late. */
export function deviceBlockOf (seriesId: number): number {
  return seriesId >> BLOCK_BITS
}

/** The block of a device for late readings. */
export function lateBlockOf (seriesId: number): number {
  return FIRST_LATE_BLOCK + (seriesId >> (BLOCK_BITS + LATE_BITS))
}

/** The block of a group's rollups. */
export function groupBlockOf (seriesId: number): number {
  return FIRST_GROUP_BLOCK - (seriesId >> BLOCK_BITS)
}

export function kindOfBlock (block: number): 'devices' | 'late' | 'groups' {
  if (block < 0) return 'groups'
  return block < FIRST_LATE_BLOCK ? 'devices' : 'late'
}

/** SQL of the block of a series for what is not late. @param seriesId SQL of its id */
export function journalBlockOf (seriesId: string, of: 'devices' | 'groups'): string {
  const block = `(${seriesId} >> ${BLOCK_BITS})`
  return of === 'devices' ? block : `(${FIRST_GROUP_BLOCK} - ${block})`
}

/** SQL of the late block of devices. @param deviceBlock SQL of their other block */
export function lateJournalBlockOf (deviceBlock: string): string {
  return `(${FIRST_LATE_BLOCK} + (${deviceBlock} >> ${LATE_BITS}))`
}

/** SQL list of all blocks of a series. @param seriesId SQL of its id */
export function journalBlocksIn (seriesId: string, of: 'devices' | 'groups'): string {
  const own = journalBlockOf(seriesId, of)
  return of === 'devices' ? `${own}, ${lateJournalBlockOf(own)}` : own
}

const READINGS = 0x11
const ROLLUPS = 0x12

/** The columns of a row besides its key. */
export interface JournalContent {
  readonly firstMs: number
  readonly lastMs: number
  /** readings, including those in rollups */
  readonly count: number
  readonly body: Buffer
}

/**
 * Collects the content of one row, with series in the order of their ids. Hot path: if each device has one reading per
 * flush, each event is one call.
 */
export class JournalWriter {
  // these arrays are not emptied: V8 would free their memory, and each row would let them grow again
  readonly #seriesIds: number[] = []
  /** by entry, the end of its readings */
  readonly #ends: number[] = []
  readonly #readings: Readings = { timesMs: [], values: [] }
  /** entries and readings in use */
  #length = 0
  #count = 0
  readonly #rollups: Array<{ readonly minuteMs: number, readonly rollup: Rollup }> = []
  readonly #entries = new ByteWriter(16 * 1024)
  readonly #out = new ByteWriter(16 * 1024)

  get isEmpty (): boolean { return this.#length === 0 }

  /** Adds a reading. Readings of a series are consecutive and sorted. */
  addReading (seriesId: number, timeMs: number, value: number): void {
    this.#readings.timesMs[this.#count] = timeMs
    this.#readings.values[this.#count++] = value
    const last = this.#length - 1
    const start = last > 0 ? this.#ends[last - 1] : 0
    if (last >= 0 && this.#seriesIds[last] === seriesId && this.#count - start <= READINGS_ENCODED_MAX) {
      this.#ends[last] = this.#count
      return
    }
    this.#ends[this.#length] = this.#count
    this.#seriesIds[this.#length++] = seriesId
  }

  /** Adds a rollup of a group and minute. A row with readings can't have rollups. */
  addRollup (seriesId: number, minuteMs: number, rollup: Rollup): void {
    this.#seriesIds[this.#length++] = seriesId
    this.#rollups.push({ minuteMs, rollup })
  }

  /** The content collected since the last call; not empty. */
  take (): JournalContent {
    const isOfRollups = this.#rollups.length > 0
    const [firstMs, lastMs, count] = isOfRollups ? this.#spanOfRollups() : this.#spanOfReadings()
    const baseMs = isOfRollups ? bucketStartMs(MINUTE_MS, firstMs) : firstMs
    const sizes = isOfRollups ? this.#encodeRollups(baseMs) : this.#encodeReadings(baseMs)

    const ids = this.#seriesIds
    const length = this.#length
    const out = this.#out
    out.length = 0
    out.byte(isOfRollups ? ROLLUPS : READINGS)
    out.varint(baseMs)
    out.varint(length)
    const integers = integerScratch(length)
    for (let n = 0, before = -1; n < length; before = ids[n++]) integers[n] = ids[n] - before - 1
    encodeIntegers(out, integers, length)
    for (let n = 0, before = 0; n < length; before = sizes[n++]) integers[n] = sizes[n] - before
    encodeIntegers(out, integers, length)
    out.append(this.#entries.bytes.subarray(0, this.#entries.length))

    this.#length = this.#count = this.#rollups.length = 0
    return { firstMs, lastMs, count, body: out.copy() }
  }

  #spanOfReadings (): [firstMs: number, lastMs: number, count: number] {
    const { timesMs } = this.#readings
    let firstMs = Infinity
    let lastMs = -Infinity
    for (let n = 0; n < this.#count; n++) {
      firstMs = Math.min(firstMs, timesMs[n])
      lastMs = Math.max(lastMs, timesMs[n])
    }
    return [firstMs, lastMs, this.#count]
  }

  #spanOfRollups (): [firstMs: number, lastMs: number, count: number] {
    let firstMs = Infinity
    let lastMs = -Infinity
    let count = 0
    for (const { rollup } of this.#rollups) {
      firstMs = Math.min(firstMs, rollup.firstMs)
      lastMs = Math.max(lastMs, rollup.lastMs)
      count += rollup.count
    }
    return [firstMs, lastMs, count]
  }

  /** @returns the bytes of each entry */
  #encodeReadings (baseMs: number): number[] {
    const entries = this.#entries
    const sizes: number[] = []
    entries.length = 0
    for (let n = 0, start = 0; n < this.#length; start = this.#ends[n++]) {
      const before = entries.length
      encodeReadings(entries, this.#readings, baseMs, start, this.#ends[n])
      sizes.push(entries.length - before)
    }
    return sizes
  }

  #encodeRollups (baseMs: number): number[] {
    const entries = this.#entries
    entries.length = 0
    return this.#rollups.map(({ minuteMs, rollup }) => {
      const before = entries.length
      entries.varint((minuteMs - baseMs) / MINUTE_MS)
      appendRollupBody(entries, rollup, minuteMs)
      entries.varint(rollup.count)
      entries.double(rollup.min)
      entries.double(rollup.max)
      return entries.length - before
    })
  }
}

/**
 * Reads a row, or its part of some series.
 * @param wanted left out: all series
 * @throws RelayError RELAY_ROLLUP_CORRUPT
 */
export function decodeJournal (
  body: Uint8Array, visitor: JournalVisitor, wanted?: (seriesId: number) => boolean
): void {
  const row = new JournalRow(body)
  for (let n = 0; n < row.length; n++) if (wanted === undefined || wanted(row.seriesIdAt(n))) row.readAt(n, visitor)
}

/** A row with random access to its entries, for reading one series after the other. */
export class JournalRow {
  readonly #reader: ByteReader
  readonly #kind: number
  readonly #baseMs: number
  readonly #ids: Float64Array
  /** start of each entry, and the end of the last */
  readonly #places: Float64Array

  /** @throws RelayError RELAY_ROLLUP_CORRUPT */
  constructor (body: Uint8Array) {
    const reader = this.#reader = new ByteReader(body)
    this.#kind = reader.byte()
    if (this.#kind !== READINGS && this.#kind !== ROLLUPS) {
      throw corrupt(`unknown kind ${this.#kind} of a journal row: it was written by a newer version of Relay`)
    }
    this.#baseMs = reader.varint()
    const length = reader.varint()
    if (length > reader.remaining * SERIES_PER_BYTE_MAX) {
      throw corrupt(`impossible number of entries in a journal row: ${length}`)
    }
    const ids = this.#ids = decodeIntegers(reader, length).slice(0, length)
    for (let n = 0, id = -1; n < length; n++) ids[n] = id += ids[n] + 1
    const sizes = decodeIntegers(reader, length)
    const places = this.#places = new Float64Array(length + 1)
    places[0] = reader.offset
    for (let n = 0, size = 0; n < length; n++) {
      size += sizes[n]
      places[n + 1] = places[n] + size
      if (size <= 0 || places[n + 1] > body.length) throw corrupt('an entry extends beyond its journal row')
    }
    if (places[length] !== body.length) {
      throw corrupt(`${body.length - places[length]} bytes after the end of a journal row`)
    }
  }

  /** entries, in the order of their series */
  get length (): number { return this.#ids.length }

  seriesIdAt (n: number): number { return this.#ids[n] }

  /** @throws RelayError RELAY_ROLLUP_CORRUPT */
  readAt (n: number, visitor: JournalVisitor): void {
    const reader = this.#reader
    reader.offset = this.#places[n]
    if (this.#kind === READINGS) visitor.readings(this.#ids[n], decodeReadings(reader, this.#baseMs))
    else decodeRollup(reader, this.#baseMs, this.#ids[n], visitor)
    if (reader.offset !== this.#places[n + 1]) {
      throw corrupt('the length of an entry in a journal row does not match its bytes')
    }
  }

  /** Reads the part of one series. @throws RelayError RELAY_ROLLUP_CORRUPT */
  readOf (seriesId: number, visitor: JournalVisitor): void {
    const ids = this.#ids
    for (let n = firstAtOrAfter(ids, seriesId); ids[n] === seriesId; n++) this.readAt(n, visitor)
  }
}

/** A run of zeros takes a few bytes, but each entry has some, so damaged bytes can't cause a large allocation. */
const SERIES_PER_BYTE_MAX = 1

function decodeRollup (reader: ByteReader, baseMs: number, seriesId: number, visitor: JournalVisitor): void {
  const minuteMs = baseMs + reader.varint() * MINUTE_MS
  const content = decodeContent(reader, minuteMs)
  if (content.kind !== 'rollup') throw corrupt('a group rollup in the journal contains readings')
  const { rollup } = content
  rollup.count = reader.varint()
  rollup.min = reader.double()
  rollup.max = reader.double()
  visitor.rollup(seriesId, minuteMs, rollup)
}
