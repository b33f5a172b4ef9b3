/**
 * Correct rounding: the double nearest to an exact quotient or root, or to a point between two numbers; halfway cases
 * round to even, as in IEEE 754.
 *
 * Each is first computed with twice the precision of a double. If the remaining uncertainty can't change the result,
 * that is the result (A. Ziv, "Fast Evaluation of Elementary Mathematical Functions with Correctly Rounded Last Bit",
 * 1991). Otherwise, and near the ends of the range of doubles, it is computed with whole numbers: slow, and rounded
 * only at the end.
 */
import { productError, twoSum } from './expansion.ts'

/** Within these limits no part of a product or quotient with a whole number up to 2^53 leaves the range of doubles. */
const FAST_MIN = 2 ** -900
const FAST_MAX = 2 ** 900

export function isFast (value: number): boolean {
  const magnitude = Math.abs(value)
  return magnitude < FAST_MAX && (magnitude > FAST_MIN || magnitude === 0)
}

/** Bound of the relative error of the precise computations below, with a margin: they are within 2^-98. */
const SLACK = 2 ** -90

/**
 * The double nearest to `(high + low) / divisor`, or undefined if that needs more precision.
 * @param high fast (`isFast`), as is the quotient
 * @param low the error of `high`, to within 2^-100 of `size`
 * @param divisor whole, up to 2^53
 */
export function divideFast (high: number, low: number, divisor: number, size = Math.abs(high)): number | undefined {
  const first = high / divisor
  const product = first * divisor
  const remainder = (high - product) - productError(first, divisor, product)
  const correction = (remainder + low) / divisor
  const quotient = first + correction
  const error = correction - (quotient - first)
  const slack = size / divisor * SLACK
  return quotient + (error + slack) === quotient && quotient + (error - slack) === quotient ? quotient : undefined
}

/**
 * The point between two numbers at `part` of `whole` of the way, rounded to the nearest double.
 * @param from finite
 * @param to finite
 * @param part whole, from 0 to `whole`
 * @param whole up to 2^53, not 0
 */
export function interpolate (from: number, to: number, part: number, whole: number): number {
  if (part === 0 || from === to) return from
  if (part === whole) return to
  if (part * 2 === whole) { // one rounding: halving only rounds if the sum did not
    const sum = from + to
    return Number.isFinite(sum) ? sum / 2 + 0 : from / 2 + to / 2
  }
  const left = whole - part
  if (isFast(from) && isFast(to)) {
    const fromPart = from * left
    const toPart = to * part
    const [high, error] = twoSum(fromPart, toPart)
    const low = error + (productError(from, left, fromPart) + productError(to, part, toPart))
    const point = divideFast(high, low, whole, Math.abs(fromPart) + Math.abs(toPart))
    if (point !== undefined) return point
  }
  return divideUnits(toUnits(from) * BigInt(left) + toUnits(to) * BigInt(part), BigInt(whole))
}

/** Units of this size: every finite double is a whole number of them. */
const UNIT_EXPONENT = -1074

const bits = new DataView(new ArrayBuffer(8))

/** A finite double in units of 2^-1074. */
export function toUnits (value: number): bigint {
  if (value === 0) return 0n
  bits.setFloat64(0, value)
  const head = bits.getUint32(0)
  const exponent = (head >>> 20) & 0x7ff
  const fraction = (head & 0xfffff) * 2 ** 32 + bits.getUint32(4)
  const magnitude = exponent === 0 ? BigInt(fraction) : BigInt(fraction + 2 ** 52) << BigInt(exponent - 1)
  return value < 0 ? -magnitude : magnitude
}

/** The double nearest to a quotient of units; ±Infinity beyond the range of doubles. */
export function divideUnits (units: bigint, divisor: bigint): number {
  if (units < 0n) return 0 - divideUnits(-units, divisor)
  const shift = Math.max(QUOTIENT_BITS - (bitLength(units) - bitLength(divisor)), 0)
  const shifted = units << BigInt(shift)
  const quotient = shifted / divisor
  return roundBits(quotient, quotient * divisor !== shifted, UNIT_EXPONENT - shift)
}

/**
 * The double nearest to the square root of `square` units squared, divided by `divisor`.
 * @param square not negative
 */
export function divideRoot (square: bigint, divisor: bigint): number {
  const squareDivisor = divisor * divisor
  const missing = 2 * QUOTIENT_BITS - (bitLength(square) - bitLength(squareDivisor))
  const shift = Math.max(Math.ceil(missing / 2), 0)
  const shifted = square << BigInt(2 * shift)
  const root = squareRoot(shifted / squareDivisor)
  return roundBits(root, root * root * squareDivisor !== shifted, UNIT_EXPONENT - shift)
}

/** More bits than a double has, with a margin; one more bit says whether anything follows. */
const QUOTIENT_BITS = 66

/** @param hasMore whether the exact number is slightly above `whole * 2^exponent` */
function roundBits (whole: bigint, hasMore: boolean, exponent: number): number {
  const dropped = Math.max(bitLength(whole) - 53, UNIT_EXPONENT - exponent, 0)
  let kept = whole >> BigInt(dropped)
  const below = whole - (kept << BigInt(dropped))
  const half = dropped === 0 ? 1n : 1n << BigInt(dropped - 1)
  if (below > half || (below === half && (hasMore || (kept & 1n) === 1n))) kept++
  const scale = exponent + dropped
  return scale > 900 ? Number(kept) * 2 ** 900 * 2 ** (scale - 900) : Number(kept) * 2 ** scale
}

function bitLength (whole: bigint): number {
  const hex = whole.toString(16)
  return hex.length * 4 - (Math.clz32(parseInt(hex[0], 16)) - 28)
}

/** The greatest whole number up to the root: Newton's method, from above. */
function squareRoot (whole: bigint): bigint {
  if (whole < 2n) return whole
  let root = 1n << BigInt((bitLength(whole) + 1) >> 1)
  for (;;) {
    const next = (root + whole / root) >> 1n
    if (next >= root) return root
    root = next
  }
}
