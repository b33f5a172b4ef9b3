import { firstAtOrAfter } from './ascending.ts'
import { corrupt, type ByteReader, type ByteWriter } from './bytes.ts'
import {
  arrayOfDoubles, decodeIntegers, decodeValues, encodeIntegers, encodeValues, integerScratch
} from './packed-values.ts'
import { bucketStartMs, type TimeRange } from './window.ts'

/**
 * The readings of one series in one bucket, with times and values.
 *
 * Sorted by time, then by value. The same time and value twice is a duplicate and stored once, unless duplicates are to
 * be kept. Another value at the same time is a separate reading. So the content depends only on what was sent, not on
 * the order or number of deliveries.
 */
export interface Readings {
  /** ms since the epoch, whole */
  timesMs: number[]
  /** finite, in the unit of the device; the n-th belongs to the n-th time */
  values: number[]
}

export interface MergedReadings {
  /** `base`, which now holds all of them */
  readonly merged: Readings
  /** readings that `base` did not have, sorted, each once; possibly `arrived` itself. Valid until the next merge */
  readonly fresh: Readings
  /** how many arrived readings were known, or arrived twice */
  readonly duplicates: number
}

export function emptyReadings (): Readings {
  return { timesMs: [], values: [] }
}

/**
 * Merges arrived readings into stored ones. While time advances, that costs one comparison per reading, and nothing for
 * stored ones.
 * @param base sorted; changed in place
 * @param arrived in any order; ownership passes here (it may be returned as `fresh`). A value of -0 becomes 0
 * @param keepDuplicates counts a duplicate as a reading of its own
 */
export function mergeReadings (base: Readings, arrived: Readings, keepDuplicates: boolean): MergedReadings {
  if (!isBehind(base, arrived, keepDuplicates)) return mergeUnsorted(base, arrived, keepDuplicates)
  const isFirst = base.timesMs.length === 0
  for (let n = 0; n < arrived.timesMs.length; n++) {
    arrived.values[n] += 0 // -0 + 0 is 0
    if (!isFirst) push(base, arrived.timesMs[n], arrived.values[n])
  }
  if (isFirst) {
    base.timesMs = arrived.timesMs
    base.values = arrived.values
  }
  return { merged: base, fresh: arrived, duplicates: 0 }
}

/** Whether readings are sorted and all after those of `base`, as when they arrive in the order of time. */
function isBehind (base: Readings, arrived: Readings, keepDuplicates: boolean): boolean {
  const last = base.timesMs.length - 1
  let timeMs = last < 0 ? -Infinity : base.timesMs[last]
  let value = last < 0 ? -Infinity : base.values[last]
  for (let n = 0; n < arrived.timesMs.length; n++) {
    const order = compare(timeMs, value, arrived.timesMs[n], arrived.values[n])
    if (order > 0 || (order === 0 && !keepDuplicates)) return false
    timeMs = arrived.timesMs[n]
    value = arrived.values[n]
  }
  return true
}

/** The part of sorted readings in [startMs, endMs). */
export function cutReadings ({ timesMs, values }: Readings, { startMs, endMs }: TimeRange): Readings {
  const start = firstAtOrAfter(timesMs, startMs)
  const end = firstAtOrAfter(timesMs, endMs, start)
  return { timesMs: timesMs.slice(start, end), values: values.slice(start, end) }
}

/** Sorted readings, split into buckets of one size. */
export function * readingsByBucket (
  { timesMs, values }: Readings, sizeMs: number
): Generator<[bucketMs: number, readings: Readings]> {
  for (let start = 0, end; start < timesMs.length; start = end) {
    const bucketMs = bucketStartMs(sizeMs, timesMs[start])
    for (end = start + 1; end < timesMs.length && timesMs[end] < bucketMs + sizeMs;) end++
    yield [bucketMs, { timesMs: timesMs.slice(start, end), values: values.slice(start, end) }]
  }
}

function mergeUnsorted (base: Readings, arrived: Readings, keepDuplicates: boolean): MergedReadings {
  const before: Readings = { timesMs: base.timesMs, values: base.values }
  const merged = emptyReadings()
  const fresh = emptyReadings()
  let taken = 0 // of `before`
  let duplicates = 0

  for (const n of sortedOrder(arrived)) {
    const timeMs = arrived.timesMs[n]
    const value = arrived.values[n] + 0
    while (taken < before.timesMs.length && compare(before.timesMs[taken], before.values[taken], timeMs, value) <= 0) {
      push(merged, before.timesMs[taken], before.values[taken])
      taken++
    }
    const last = merged.timesMs.length - 1
    if (!keepDuplicates && last >= 0 && merged.timesMs[last] === timeMs && merged.values[last] === value) {
      duplicates++
      continue
    }
    push(merged, timeMs, value)
    push(fresh, timeMs, value)
  }
  for (; taken < before.timesMs.length; taken++) push(merged, before.timesMs[taken], before.values[taken])

  base.timesMs = merged.timesMs
  base.values = merged.values
  return { merged: base, fresh, duplicates }
}

/** Indexes of readings, in the order of time and value. */
function sortedOrder ({ timesMs, values }: Readings): number[] {
  return Array.from(timesMs, (_, n) => n).sort((a, b) => compare(timesMs[a], values[a], timesMs[b], values[b]))
}

function compare (timeMs: number, value: number, otherTimeMs: number, otherValue: number): number {
  if (timeMs !== otherTimeMs) return timeMs < otherTimeMs ? -1 : 1
  return value === otherValue ? 0 : value < otherValue ? -1 : 1
}

function push (readings: Readings, timeMs: number, value: number): void {
  readings.timesMs.push(timeMs)
  readings.values.push(value)
}

/** Most readings of one encoding, so that damaged bytes can't cause a large allocation. */
export const READINGS_ENCODED_MAX = 2 ** 16

/**
 * Writes readings: their number, times as differences of differences (regular ones cost nearly nothing, jitter one or
 * two bytes each), and values (`packed-values.ts`). Equal readings have equal bytes.
 * @param readings sorted; at most READINGS_ENCODED_MAX
 * @param bucketStartMs start of their bucket; times are relative to it
 * @param start of the part to write; left out: all of them
 */
export function encodeReadings (
  writer: ByteWriter, { timesMs, values }: Readings, bucketStartMs: number, start = 0, end = timesMs.length
): void {
  const length = end - start
  if (length > READINGS_ENCODED_MAX) {
    throw new RangeError(`${length} readings in one bucket; at most ${READINGS_ENCODED_MAX} can be encoded`)
  }
  if (timesMs[start] < bucketStartMs) throw new RangeError('readings start before their bucket')
  writer.varint(length)

  const changes = integerScratch(length)
  let timeMs = bucketStartMs
  let step = 0
  for (let n = 0; n < length; n++) {
    const nextStep = timesMs[start + n] - timeMs
    changes[n] = nextStep - step
    timeMs = timesMs[start + n]
    step = nextStep
  }
  encodeIntegers(writer, changes, length)
  encodeValues(writer, values, start, end)
}

/**
 * Reads readings.
 * @throws RelayError RELAY_ROLLUP_CORRUPT, also if they are not sorted or start before their bucket
 */
export function decodeReadings (reader: ByteReader, bucketStartMs: number): Readings {
  const length = reader.varint()
  if (length > READINGS_ENCODED_MAX) throw corrupt(`impossible number of readings: ${length}`)

  const changes = decodeIntegers(reader, length)
  const timesMs = arrayOfDoubles(length)
  let timeMs = bucketStartMs
  let step = 0
  for (let n = 0; n < length; n++) {
    step += changes[n]
    timeMs += step
    if (step < 0 || !Number.isSafeInteger(timeMs)) throw corrupt('the times do not increase')
    timesMs[n] = timeMs
  }

  const values = decodeValues(reader, length)
  for (let n = 1; n < length; n++) {
    const isSorted = timesMs[n] > timesMs[n - 1] || values[n] >= values[n - 1]
    if (!isSorted) throw corrupt('the values of one time are not sorted')
  }
  return { timesMs, values }
}
