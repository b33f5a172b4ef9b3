import { corrupt, VARINT_BYTES_MAX, writeVarint, type ByteReader, type ByteWriter } from './bytes.ts'

/**
 * Sequences of numbers in few bytes: the format of stored readings and digests.
 *
 * **Whole numbers** are first made small or zero: values become differences, times differences of differences, counts
 * are reduced by 1. Then each is a varint, mostly of one byte:
 *
 *     0 to 14   a run of 1 to 15 zeros
 *     15        a longer run; its length minus 16 follows as a varint
 *     16, 17 …  any other number, zig-zag: -1, 1, -2, 2 …
 *
 * **Doubles**: devices mostly report decimals with few digits. If every value is one, a byte has the number of digits,
 * and the differences of the scaled values follow as whole numbers. Otherwise the byte is 255, and each value follows
 * as its XOR with the one before, without zero bytes at both ends: a byte with the number of leading zero bytes (high
 * half) and of stored bytes (low half), and the stored bytes (after T. Pelkonen et al., "Gorilla: A Fast, Scalable,
 * In-Memory Time Series Database", 2015, but in whole bytes). The choice depends only on the set of values.
 *
 * Hot path: 60 readings are packed in less than a microsecond, so these loops work in reused arrays.
 */

/** Reused for whole numbers on their way in or out; valid until the next call of any function here. */
let scratch = new Float64Array(1024)

export function integerScratch (length: number): Float64Array {
  if (scratch.length < length) scratch = new Float64Array(length * 2)
  return scratch
}

const RUN_MAX = 15
const LONG_RUN = 15

/** Writes whole numbers, each within ±2^51. The caller stores how many there are. */
export function encodeIntegers (writer: ByteWriter, integers: Float64Array, length: number): void {
  writer.reserve(length * VARINT_BYTES_MAX)
  const { bytes } = writer
  let at = writer.length
  for (let n = 0; n < length;) {
    const integer = integers[n++]
    if (integer !== 0) {
      at = writeVarint(bytes, at, LONG_RUN + (integer < 0 ? -2 * integer - 1 : 2 * integer))
      continue
    }
    const runStart = n - 1
    while (n < length && integers[n] === 0) n++
    const run = n - runStart
    if (run <= RUN_MAX) {
      at = writeVarint(bytes, at, run - 1)
    } else {
      at = writeVarint(bytes, at, LONG_RUN)
      at = writeVarint(bytes, at, run - RUN_MAX - 1)
    }
  }
  writer.length = at
}

/**
 * Reads whole numbers.
 * @param length how many; checked by the caller, because a few bytes may stand for a million zeros
 * @returns an array that starts with them, valid until the next call of any function here
 * @throws RelayError RELAY_ROLLUP_CORRUPT
 */
export function decodeIntegers (reader: ByteReader, length: number): Float64Array {
  const integers = integerScratch(length)
  for (let n = 0; n < length;) {
    const code = reader.varint()
    if (code > LONG_RUN) {
      const zigZag = code - LONG_RUN
      integers[n++] = zigZag % 2 === 0 ? zigZag / 2 : -(zigZag + 1) / 2
      continue
    }
    const run = code < LONG_RUN ? code + 1 : reader.varint() + RUN_MAX + 1
    if (run > length - n) throw corrupt('a run of zeros is longer than the remaining values')
    integers.fill(0, n, n + run)
    n += run
  }
  return integers
}

/** Powers for up to 9 decimal digits: degrees of latitude have 7. */
const powersOfTen = Array.from({ length: 10 }, (_, digits) => 10 ** digits)

/** Up to here scaled values need one rounded multiplication, and their differences are within ±2^51. */
const SCALED_MAX = 2 ** 50

const XORED = 255

/**
 * Writes values, finite and never -0, in their order. The caller stores how many there are.
 * @param start of the part to write; left out: all of them
 */
export function encodeValues (
  writer: ByteWriter, values: readonly number[], start = 0, end = values.length
): void {
  const digits = scaleValues(values, start, end)
  if (digits === undefined) {
    writer.byte(XORED)
    encodeXored(writer, values, start, end)
    return
  }
  writer.byte(digits)
  const integers = scratch
  for (let n = end - start - 1; n > 0; n--) integers[n] -= integers[n - 1]
  encodeIntegers(writer, integers, end - start)
}

/**
 * Writes values times a power of ten to `scratch`, if the results are whole numbers that convert back to the same
 * doubles: a division by a power of ten up to 10^22 is rounded once, like the parsing of a decimal.
 * @returns the fewest sufficient digits; undefined if no power works
 */
function scaleValues (values: readonly number[], start: number, end: number): number | undefined {
  const length = end - start
  const integers = integerScratch(length)
  let digits = 0
  let power = powersOfTen[0]
  for (let n = 0; n < length; n++) {
    const value = values[start + n]
    const scaled = Math.round(value * power)
    if (scaled / power === value && scaled <= SCALED_MAX && scaled >= -SCALED_MAX) {
      integers[n] = scaled
      continue
    }
    if (++digits === powersOfTen.length) return undefined
    power = powersOfTen[digits]
    n = -1 // the values before need more digits too
  }
  return digits
}

/** An array that V8 always stores as doubles, so that hot loops see one kind of array. */
export function emptyDoubles (): number[] {
  const values = [0.5]
  values.length = 0
  return values
}

const integersToCopy: number[] = []
const doublesToCopy = emptyDoubles()

/**
 * An array of a known length for whole numbers, to be overwritten. It is a copy of another one, because V8 copies an
 * array that grows by `push` several times, and makes one with holes of `new Array(length)`.
 */
export function arrayOfIntegers (length: number): number[] {
  while (integersToCopy.length < length) integersToCopy.push(0)
  return integersToCopy.slice(0, length)
}

/** The same for doubles: see `emptyDoubles`. */
export function arrayOfDoubles (length: number): number[] {
  while (doublesToCopy.length < length) doublesToCopy.push(0.5)
  return doublesToCopy.slice(0, length)
}

/** @throws RelayError RELAY_ROLLUP_CORRUPT */
export function decodeValues (reader: ByteReader, length: number): number[] {
  const lead = reader.byte()
  if (lead === XORED) return decodeXored(reader, length)
  const power = powersOfTen[lead]
  if (power === undefined) throw corrupt('the values have too many digits')

  const integers = decodeIntegers(reader, length)
  const values = arrayOfDoubles(length)
  let scaled = 0
  for (let n = 0; n < length; n++) {
    scaled += integers[n]
    if (Math.abs(scaled) > SCALED_MAX) throw corrupt('a value is too large')
    values[n] = scaled / power
  }
  return values
}

const bits = new DataView(new ArrayBuffer(8))

function encodeXored (writer: ByteWriter, values: readonly number[], start: number, end: number): void {
  let beforeHigh = 0
  let beforeLow = 0
  for (let n = start; n < end; n++) {
    bits.setFloat64(0, values[n])
    const valueHigh = bits.getUint32(0)
    const valueLow = bits.getUint32(4)
    const high = valueHigh ^ beforeHigh
    const low = valueLow ^ beforeLow
    beforeHigh = valueHigh
    beforeLow = valueLow

    bits.setUint32(0, high)
    bits.setUint32(4, low)
    const ahead = (high === 0 ? 32 + Math.clz32(low) : Math.clz32(high)) >>> 3
    const behind = (low === 0 ? 32 + zerosBehind(high) : zerosBehind(low)) >>> 3
    const kept = ahead === 8 ? 0 : 8 - ahead - behind
    writer.byte(ahead << 4 | kept)
    for (let at = ahead; at < ahead + kept; at++) writer.byte(bits.getUint8(at))
  }
}

/** Trailing zero bits of a 32-bit number; 32 for 0. */
function zerosBehind (word: number): number {
  return word === 0 ? 32 : 31 - Math.clz32(word & -word)
}

function decodeXored (reader: ByteReader, length: number): number[] {
  const values = arrayOfDoubles(length)
  let high = 0
  let low = 0
  for (let n = 0; n < length; n++) {
    const lead = reader.byte()
    const ahead = lead >>> 4
    const kept = lead & 15
    if (ahead + kept > 8) throw corrupt('a value has more than 8 bytes')
    bits.setFloat64(0, 0)
    for (let at = ahead; at < ahead + kept; at++) bits.setUint8(at, reader.byte())
    high ^= bits.getUint32(0)
    low ^= bits.getUint32(4)
    bits.setUint32(0, high)
    bits.setUint32(4, low)
    const value = bits.getFloat64(0)
    if (!Number.isFinite(value) || Object.is(value, -0)) throw corrupt('a value is not a finite number')
    values[n] = value
  }
  return values
}
