import { corrupt, type ByteReader, type ByteWriter } from './bytes.ts'
import { greedyParts, productError, twoSum } from './expansion.ts'

/**
 * Sums of doubles in which nothing is rounded, so that any order of adding and merging ends in the same sum, and the
 * same sum is always the same bytes.
 *
 * A sum is kept as an expansion (`expansion.ts`; Python's `math.fsum` works alike): what adding to one part rounds away
 * is passed on to the next smaller one. Readings and their squares practically always fit in the three parts that have
 * names.
 *
 * A hot path: every reading is added twice, as it is and squared; 5 and 9 ns on a 2-core cloud machine. So two-sums are
 * written out here.
 */
export interface ExactSum {
  high: number
  middle: number
  low: number
  /** what the three parts above can't hold */
  rest: number[] | undefined
  /** the sum of the values from ±2^960 on, times 2^-64: so 2^53 readings near Number.MAX_VALUE don't overflow */
  huge: ExactSum | undefined
  /** a square in this sum had no exact double parts: the sum can't be had */
  lost: boolean
}

const HUGE_MIN = 2 ** 960
const HUGE_SCALE = 2 ** -64

/** Squares of values within these have all their bits within the range of doubles (2^-1074 to 2^960). */
const SQUARED_MIN = 2 ** -485
const SQUARED_MAX = 2 ** 480

/** A sum that has no more parts than this is not tidied up; one that was has 41 at most, each 53 bits of 2,098. */
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

/** Adds a part of a sum, which may have outgrown the values: it stays with its like. */
function addPart (sum: ExactSum, value: number): void {
  const high = sum.high + value
  const part = high - sum.high
  const highError = (sum.high - (high - part)) + (value - part)
  sum.high = high
  addError(sum, highError)
}

/** Adds what the highest part rounded away (or any double that is small beside it) to the parts below. */
function addError (sum: ExactSum, error: number): void {
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

/**
 * Adds the square of a value, exactly. A value so large or so small that the bits of its square leave the range of
 * doubles (beyond 2^480, or below 2^-485 and not 0) makes the sum one that can't be had, for good.
 */
export function addSquare (sum: ExactSum, value: number): void {
  const magnitude = Math.abs(value)
  if (!(magnitude < SQUARED_MAX && (magnitude >= SQUARED_MIN || magnitude === 0))) {
    lose(sum)
    return
  }
  if (sum.lost) return
  const square = value * value
  addPart(sum, square)
  addError(sum, productError(value, value, square))
}

/** Adds `from` to `into`; `from` is another sum, and stays the same. */
export function mergeSum (into: ExactSum, from: ExactSum): void {
  if (from.lost) lose(into)
  if (into.lost) return
  addPart(into, from.high)
  if (from.middle !== 0) addPart(into, from.middle)
  if (from.low !== 0) addPart(into, from.low)
  if (from.rest !== undefined) for (const part of from.rest) addPart(into, part)
  if (from.huge !== undefined) mergeSum(into.huge ??= emptySum(), from.huge)
}

/** Nothing of a lost sum is kept, or its bytes would tell the order. */
function lose (sum: ExactSum): void {
  Object.assign(sum, emptySum(), { lost: true })
}

/**
 * The sum, rounded once: the double that is nearest to it.
 * @returns ±Infinity where it is beyond the range of doubles, NaN where it can't be had
 */
export function roundSum (sum: ExactSum): number {
  const { value, scale } = roundScaled(sum)
  return value * scale
}

/**
 * The sum divided by a count: its nearest double, or where that is beyond the range of doubles its scaled one, and then
 * one rounded division.
 */
export function meanOfSum (sum: ExactSum, count: number): number {
  const { value, scale } = roundScaled(sum)
  const whole = value * scale
  return Number.isFinite(whole) ? whole / count : value / count * scale
}

/** @returns the sum is `value * scale`, rounded as often as its size in the range of doubles allows: once */
function roundScaled (sum: ExactSum): { value: number, scale: number } {
  if (sum.lost) return { value: NaN, scale: 1 }
  const parts = canonicalParts(sum)
  const huge = sum.huge === undefined ? [] : canonicalParts(sum.huge)
  if (huge.length === 0) return { value: parts[0] ?? 0, scale: 1 }

  if (Math.abs(huge[0]) < 2 ** 959) { // its true size is below 2^1023: all of it can be added unscaled
    return { value: greedyParts([...parts, ...huge.map(it => it / HUGE_SCALE)])[0] ?? 0, scale: 1 }
  }
  // of parts so far below only the sign can matter, where the huge ones lie between two doubles
  const scaled = parts.map(it => it * HUGE_SCALE || Math.sign(it) * Number.MIN_VALUE)
  return { value: greedyParts([...huge, ...scaled])[0], scale: 1 / HUGE_SCALE }
}

/**
 * The population variance of values, from their exact sums, times the square of their count. Computed without the
 * cancellation of the textbook formula: the products are exact, and one rounding ends it.
 * @param magnitude the largest absolute value: everything is scaled by it, so that nothing overflows
 * @returns in units of `scale` squared; NaN where the sum of squares can't be had
 */
export function scaledVariance (
  sum: ExactSum, squares: ExactSum, count: number, magnitude: number
): { value: number, scale: number } {
  const scale = 2 ** Math.floor(Math.log2(magnitude))
  if (squares.lost) return { value: NaN, scale }
  const difference = emptySum() // count * Σ value² - (Σ value)²
  for (const part of canonicalParts(squares)) addProduct(difference, count, part / scale / scale)
  const parts = canonicalParts(sum).map(it => it / scale)
  for (const a of parts) for (const b of parts) addProduct(difference, -a, b)
  return { value: roundSum(difference), scale }
}

function addProduct (sum: ExactSum, a: number, b: number): void {
  const product = a * b
  addPart(sum, product)
  addPart(sum, productError(a, b, product))
}

/**
 * The one way to write a sum (but for its huge values): the double nearest to it, the double nearest to what then
 * remains, and so on; none where it is 0. Also rewrites the sum that way.
 */
function canonicalParts (sum: ExactSum): readonly number[] {
  if (sum.rest === undefined) {
    // three parts are nearly always two or three two-sums away from that, and it is cheap to see whether they got there
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
 * Writes a sum: a byte with how many parts it has (+ 128: and as many huge ones as the byte behind them says), then the
 * parts. Equal sums are equal bytes.
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

/** The sums of 2^53 values below 2^960 each are below this. */
const PART_MAX = 2 ** 1013

function decodeParts (reader: ByteReader, sum: ExactSum, count: number): void {
  let above = Infinity
  for (let n = 0; n < count; n++) {
    const part = reader.finite()
    // half of it: a part may be half a unit in the last place of the one above, where the next one decided the rounding
    const isBelow = above + part / 2 === above
    if (part === 0 || Math.abs(part) > PART_MAX || !isBelow) throw corrupt('the parts of a sum overlap')
    if (n === 0) sum.high = part
    else if (n === 1) sum.middle = part
    else if (n === 2) sum.low = part
    else (sum.rest ??= []).push(part)
    above = part
  }
}
