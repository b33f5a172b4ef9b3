import { corrupt, type ByteReader, type ByteWriter } from './bytes.ts'
import { greedyParts, productError, twoSum } from './expansion.ts'
import { divideFast, divideUnits, isFast, toUnits } from './rounding.ts'

/**
 * Exact sums of doubles: any order of adding and merging gives the same sum, and the same sum always has the same
 * bytes.
 *
 * A sum is stored as an expansion (`expansion.ts`; like Python's `math.fsum`): what rounding removes from one part is
 * carried to the next smaller one. Readings and their squares almost always fit the three named parts.
 *
 * Hot path: every reading is added twice, plain and squared (`square-sum.ts`), in 5 and 9 ns on a 2-core cloud machine.
 * So two-sums are inlined here.
 */
export interface ExactSum {
  high: number
  middle: number
  low: number
  /** what does not fit the three parts above */
  rest: number[] | undefined
  /**
   * Of values: the sum of those from ±2^960 on, times 2^-64, so that 2^53 readings near Number.MAX_VALUE do not
   * overflow. Of squares: see `square-sum.ts`.
   */
  huge: ExactSum | undefined
  /** a sum of squares that an earlier version of Relay could not hold, so it is unknown */
  lost: boolean
}

const HUGE_MIN = 2 ** 960
const HUGE_SCALE = 2 ** -64

/** A sum with at most this many parts is not compacted; a compacted one has at most 41, each 53 bits of 2,098. */
const REST_MAX = 64

export function emptySum (): ExactSum {
  return { high: 0, middle: 0, low: 0, rest: undefined, huge: undefined, lost: false }
}

/**
 * Adds one value to a sum, exactly.
 * @param value finite
 */
export function addValue (sum: ExactSum, value: number): void {
  if (value >= HUGE_MIN || value <= -HUGE_MIN) {
    addPart(sum.huge ??= emptySum(), value * HUGE_SCALE)
  } else {
    addPart(sum, value)
  }
}

/** Adds a part of a sum, which may be larger than any value; it stays with parts of its size. */
export function addPart (sum: ExactSum, value: number): void {
  const high = sum.high + value
  const part = high - sum.high
  const highError = (sum.high - (high - part)) + (value - part)
  sum.high = high
  addError(sum, highError)
}

/** Adds the rounding error of the highest part (or any comparatively small double) to the parts below. */
export function addError (sum: ExactSum, error: number): void {
  const middle = sum.middle + error
  let part = middle - sum.middle
  const middleError = (sum.middle - (middle - part)) + (error - part)
  sum.middle = middle

  const low = sum.low + middleError
  part = low - sum.low
  const lowError = (sum.low - (low - part)) + (middleError - part)
  sum.low = low

  if (lowError !== 0) addRest(sum, lowError)
}

function addRest (sum: ExactSum, error: number): void {
  sum.rest ??= []
  sum.rest.push(error)
  if (sum.rest.length > REST_MAX) tidy(sum)
}

/** Adds a product of two doubles, exactly, if neither it nor its rounding error leaves their range. */
export function addProduct (sum: ExactSum, a: number, b: number): void {
  const product = a * b
  addPart(sum, product)
  addPart(sum, productError(a, b, product))
}

/**
 * Adds a value times a whole number, exactly.
 * @param value finite
 * @param times whole, up to 2^53
 */
export function addTimes (sum: ExactSum, value: number, times: number): void {
  if (Math.abs(value) * times < HUGE_MIN) addProduct(sum, value, times)
  else addProduct(sum.huge ??= emptySum(), value * HUGE_SCALE, times)
}

/** Adds `from` to `into`; `from` is another sum, and stays unchanged. */
export function mergeSum (into: ExactSum, from: ExactSum): void {
  mergeParts(into, from)
  if (from.huge !== undefined) mergeParts(into.huge ??= emptySum(), from.huge)
}

/** Adds everything of a sum except `huge`. */
export function mergeParts (into: ExactSum, from: ExactSum): void {
  addPart(into, from.high)
  if (from.middle !== 0) addPart(into, from.middle)
  if (from.low !== 0) addPart(into, from.low)
  if (from.rest !== undefined) for (const part of from.rest) addPart(into, part)
}

/**
 * The sum, rounded once to the nearest double.
 * @returns ±Infinity beyond the range of doubles
 */
export function roundSum (sum: ExactSum): number {
  const { value, scale } = roundScaled(sum)
  return value * scale
}

/**
 * A sum times a whole number, divided by another, rounded once to the nearest double.
 * @param divisor up to 2^53
 * @param times up to 2^53
 * @returns ±Infinity beyond the range of doubles
 */
export function divideSum (sum: ExactSum, divisor: number, times = 1): number {
  if (sum.huge === undefined) {
    const [high = 0, low = 0] = canonicalParts(sum)
    if (high === 0) return 0
    const product = high * times
    if (isFast(high) && isFast(product)) {
      const more = times === 1 ? low : productError(high, times, product) + low * times
      const quotient = divideFast(product, more, divisor)
      if (quotient !== undefined) return quotient
    }
  }
  return divideUnits(sumUnits(sum) * BigInt(times), BigInt(divisor))
}

/** A sum divided by a positive one, rounded once to the nearest double. */
export function divideSums (sum: ExactSum, divisor: ExactSum): number {
  const [first, another] = canonicalParts(divisor)
  if (another === undefined && divisor.huge === undefined && Number.isSafeInteger(first)) return divideSum(sum, first)
  return divideUnits(sumUnits(sum) << 1074n, sumUnits(divisor))
}

/** @returns the sum is `value * scale`, rounded once, except near the ends of the range of doubles */
function roundScaled (sum: ExactSum): { value: number, scale: number } {
  const parts = canonicalParts(sum)
  const huge = sum.huge === undefined ? [] : canonicalParts(sum.huge)
  if (huge.length === 0) return { value: parts[0] ?? 0, scale: 1 }

  if (Math.abs(huge[0]) < 2 ** 959) { // its true size is below 2^1023, so everything can be added unscaled
    return { value: greedyParts([...parts, ...huge.map(it => it / HUGE_SCALE)])[0] ?? 0, scale: 1 }
  }
  // only the sign of such small parts can matter, if the huge ones lie between two doubles
  const scaled = parts.map(it => it * HUGE_SCALE || Math.sign(it) * Number.MIN_VALUE)
  return { value: greedyParts([...huge, ...scaled])[0], scale: 1 / HUGE_SCALE }
}

/** The sum in units of 2^-1074. Every finite double is a whole number of them. */
export function sumUnits (sum: ExactSum): bigint {
  const units = partUnits(sum)
  return sum.huge === undefined ? units : units + (partUnits(sum.huge) << 64n)
}

/** The same for everything except `huge`. */
export function partUnits ({ high, middle, low, rest = [] }: ExactSum): bigint {
  return [high, middle, low, ...rest].reduce((units, part) => units + toUnits(part), 0n)
}

/**
 * The canonical form of a sum (without its huge values): the nearest double, the double nearest to the rest, and so on;
 * no parts for 0. Also rewrites the sum in this form.
 */
export function canonicalParts (sum: ExactSum): readonly number[] {
  if (sum.rest === undefined) {
    // three parts are almost always two or three two-sums away from it, and that is cheap to check
    const { high, middle, low } = sum
    const [upper, upperError] = twoSum(high, middle)
    const [second, third] = twoSum(upperError, low)
    const [first, rest] = twoSum(upper, second)
    const [next, last] = twoSum(rest, third)
    const isHalfway = last !== 0 && (first + 2 * next) - first === 2 * next
    if (first + next === first && !isHalfway) {
      sum.high = first
      sum.middle = next
      sum.low = last
      return first === 0 ? [] : next === 0 ? [first] : last === 0 ? [first, next] : [first, next, last]
    }
  }
  return tidy(sum)
}

function tidy (sum: ExactSum): number[] {
  const parts = greedyParts([sum.high, sum.middle, sum.low, ...sum.rest ?? []])
  sum.high = parts[0] ?? 0
  sum.middle = parts[1] ?? 0
  sum.low = parts[2] ?? 0
  sum.rest = parts.length > 3 ? parts.slice(3) : undefined
  return parts
}

const LOST = 255
const HUGE_FOLLOWS = 128

/**
 * Writes a sum: a byte with the number of parts (+ 128 if a second byte has the number of huge ones), then the parts.
 * Equal sums have equal bytes.
 */
export function encodeSum (writer: ByteWriter, sum: ExactSum): void {
  if (sum.lost) {
    writer.byte(LOST)
    return
  }
  const parts = canonicalParts(sum)
  const huge = sum.huge === undefined ? [] : canonicalParts(sum.huge)
  writer.byte(parts.length + (huge.length > 0 ? HUGE_FOLLOWS : 0))
  for (const part of parts) writer.double(part)
  if (huge.length === 0) return
  writer.byte(huge.length)
  for (const part of huge) writer.double(part)
}

/** @throws RelayError RELAY_ROLLUP_CORRUPT */
export function decodeSum (reader: ByteReader): ExactSum {
  const lead = reader.byte()
  const sum = emptySum()
  if (lead === LOST) {
    sum.lost = true
    return sum
  }
  decodeParts(reader, sum, lead & ~HUGE_FOLLOWS)
  if (lead & HUGE_FOLLOWS) decodeParts(reader, sum.huge = emptySum(), reader.byte())
  return sum
}

/** Sums of 2^53 values below 2^960 are below this. */
const PART_MAX = 2 ** 1013

function decodeParts (reader: ByteReader, sum: ExactSum, count: number): void {
  let above = Infinity
  for (let n = 0; n < count; n++) {
    const part = reader.finite()
    // half of it: a part may be half a unit in the last place of the one above, if the next one decided the rounding
    const isBelow = above + part / 2 === above
    if (part === 0 || Math.abs(part) > PART_MAX || !isBelow) throw corrupt('the components of a sum overlap')
    if (n === 0) sum.high = part
    else if (n === 1) sum.middle = part
    else if (n === 2) sum.low = part
    else (sum.rest ??= []).push(part)
    above = part
  }
}
