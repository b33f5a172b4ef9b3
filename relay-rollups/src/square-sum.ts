/**
 * Exact sums of squares. Squares of doubles span twice the range of doubles, so there are three kinds:
 *
 *     |value|                 its square is
 *     0, 2^-485 to 2^480      a part of the sum
 *     from 2^480 on, giant    a part of `huge`, times 2^-1088: a positive sum
 *     below 2^-485, tiny      a part of `huge`, times 2^1074 and negated: a negative sum; dropped once there are giants
 *
 * Beside a giant, all tiny squares together, 2^53 of them, are less than 2^-1800 of the variance, and `deviation`
 * allows for that. The content depends only on the set of values, so any order of adding and merging gives the same
 * bytes.
 *
 * The bytes are those of any sum with huge values. So a program of an earlier version, which creates neither kind,
 * reads, merges and writes them without a loss, and can run beside this one. If it meets such a value itself, it drops
 * the sum (`lost`).
 */
import {
  addError, addPart, addProduct, canonicalParts, emptySum, mergeParts, partUnits, sumUnits, type ExactSum
} from './exact-sum.ts'
import { productError } from './expansion.ts'
import { divideFast, divideRoot } from './rounding.ts'

/** Squares of values within these limits have all their bits within the range of doubles (2^-1074 to 2^960). */
const SQUARED_MIN = 2 ** -485
const SQUARED_MAX = 2 ** 480

const GIANT_EXPONENT = 544
const TINY_EXPONENT = -537

/** Adds the square of a value, exactly. @param value finite */
export function addSquare (sum: ExactSum, value: number): void {
  const magnitude = Math.abs(value)
  if (!(magnitude < SQUARED_MAX && (magnitude >= SQUARED_MIN || magnitude === 0))) {
    addExtremes(sum, value, 1)
    return
  }
  if (sum.lost) return
  const square = value * value
  addPart(sum, square)
  addError(sum, productError(value, value, square))
}

/** Adds the square of a value, `count` times. */
export function addSquares (sum: ExactSum, value: number, count: number): void {
  const magnitude = Math.abs(value)
  if (magnitude === 0) return
  if (magnitude >= SQUARED_MIN && magnitude < SQUARED_MAX) addSquareTimes(sum, value, count)
  else addExtremes(sum, value, count)
}

function addSquareTimes (sum: ExactSum, value: number, times: number): void {
  const square = value * value
  addProduct(sum, square, times)
  addProduct(sum, productError(value, value, square), times)
}

function addExtremes (sum: ExactSum, value: number, count: number): void {
  const isGiant = Math.abs(value) >= SQUARED_MAX
  const extremes = extremesOf(sum, isGiant)
  if (extremes === undefined) return
  if (isGiant) addSquareTimes(extremes, value * 2 ** -GIANT_EXPONENT, count)
  else addSquareTimes(extremes, value * 2 ** -TINY_EXPONENT, -count)
}

/** The sum of squares of this kind; undefined if it is no longer kept. */
function extremesOf (sum: ExactSum, isGiant: boolean): ExactSum | undefined {
  if (sum.lost) return undefined
  if (sum.huge !== undefined && hasGiants(sum.huge) !== isGiant) {
    if (!isGiant) return undefined
    sum.huge = undefined
  }
  sum.huge ??= emptySum()
  return sum.huge
}

function hasGiants (extremes: ExactSum): boolean {
  return extremes.high > 0
}

/** Adds `from` to `into`; `from` is another sum of squares, and stays unchanged. */
export function mergeSquares (into: ExactSum, from: ExactSum): void {
  if (from.lost) lose(into)
  if (into.lost) return
  mergeParts(into, from)
  if (from.huge === undefined) return
  const extremes = extremesOf(into, hasGiants(from.huge))
  if (extremes !== undefined) mergeParts(extremes, from.huge)
}

/** Nothing of a lost sum is kept, or its bytes would depend on the order. */
function lose (sum: ExactSum): void {
  Object.assign(sum, emptySum(), { lost: true })
}

/**
 * The population standard deviation, rounded to the nearest double. Nothing cancels as in the textbook formula, because
 * the products are exact.
 * @param sum of the values
 * @param squares of the values, at least two of which differ
 * @param magnitude the largest absolute value
 * @returns undefined if unknown: the sum of squares was lost, or so close to halfway between two doubles that dropped
 *   tiny squares would decide
 */
export function deviation (sum: ExactSum, squares: ExactSum, count: number, magnitude: number): number | undefined {
  if (squares.lost) return undefined
  return fastDeviation(sum, squares, count, magnitude) ?? exactDeviation(sum, squares, count)
}

/** Everything is scaled so that the largest value is about 1. The precision that the smallest lose does not matter. */
function fastDeviation (sum: ExactSum, squares: ExactSum, count: number, magnitude: number): number | undefined {
  // the logarithm of the greatest double is rounded up
  const exponent = Math.min(Math.floor(Math.log2(magnitude)), 1023)
  const difference = emptySum() // count * Σ value² - (Σ value)²
  const addScaled = (parts: readonly number[], partExponent: number, sign: number) => {
    const factor = 2 ** (partExponent - exponent) // applied twice, because its square may exceed doubles
    for (const part of parts) addProduct(difference, part * factor * factor, sign * count)
  }
  if (exponent < -960) return undefined
  addScaled(canonicalParts(squares), 0, 1)
  if (squares.huge !== undefined) {
    if (hasGiants(squares.huge)) addScaled(canonicalParts(squares.huge), GIANT_EXPONENT, 1)
    else addScaled(canonicalParts(squares.huge), TINY_EXPONENT, -1)
  }
  const factor = 2 ** -exponent
  const parts = canonicalParts(sum).map(it => it * factor)
  if (sum.huge !== undefined) for (const part of canonicalParts(sum.huge)) parts.push(part * factor * 2 ** 64)
  for (const a of parts) for (const b of parts) addProduct(difference, -a, b)

  const [high, low = 0] = canonicalParts(difference)
  if (!(high > DIFFERENCE_MIN)) return undefined
  const root = Math.sqrt(high)
  const square = root * root
  const more = ((high - square) - productError(root, root, square) + low) / (2 * root)
  const deviation = divideFast(root, more, count)
  return deviation === undefined || deviation * 2 ** exponent < RESULT_MIN ? undefined : deviation * 2 ** exponent
}

/** If the largest value is about 1 and not all are equal, it is above 2^-108. */
const DIFFERENCE_MIN = 2 ** -120
/** Doubles from here on lose no bits by scaling. */
const RESULT_MIN = 2 ** -1020

/** The most squares, each less than 2^-970, in units of 2^-2148. */
const TINY_SQUARE_UNITS = 1n << 1178n

function exactDeviation (sum: ExactSum, squares: ExactSum, count: number): number | undefined {
  const divisor = BigInt(count)
  const difference = divisor * squareUnits(squares) - sumUnits(sum) ** 2n
  if (difference < 0n) return undefined
  const deviation = divideRoot(difference, divisor)
  if (squares.huge === undefined || !hasGiants(squares.huge)) return deviation
  return divideRoot(difference + divisor * divisor * TINY_SQUARE_UNITS, divisor) === deviation ? deviation : undefined
}

/** A sum of squares in units of 2^-2148. */
function squareUnits (squares: ExactSum): bigint {
  const units = partUnits(squares) << 1074n
  if (squares.huge === undefined) return units
  const extremes = partUnits(squares.huge)
  return hasGiants(squares.huge) ? units + (extremes << BigInt(1074 + 2 * GIANT_EXPONENT)) : units - extremes
}
