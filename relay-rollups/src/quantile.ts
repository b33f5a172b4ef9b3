import { BIN_OFFSET, BINS_PER_E, EXACT, type Digest } from './digest.ts'
import { interpolate } from './rounding.ts'

/** A number, and the largest distance of the true value. */
export interface Estimate {
  readonly value: number
  /** in the unit of the value: the true value is within value ± error; 0: exact */
  readonly error: number
}

/**
 * Relative widening of the edges of bins. A logarithm of up to 745 is rounded to 1e-13, and a value passes about four
 * of them to its bin and its edges.
 */
const ROUNDING = 4e-12

/** An exact fraction: 99.9 % is 999 of 1,000, which no double represents. Both are whole, with `part` up to `whole`. */
export interface Fraction {
  readonly part: number
  readonly whole: number
}

/**
 * A quantile, interpolated between the two values around its place, (count - 1) * share, like numpy's `linear`: the
 * median of an even number of values is the mean of the two in the middle. For an exact digest it is the nearest
 * double.
 * @param min the smallest of the values; the answer is never outside of [min, max]
 * @param max the largest
 * @returns NaN without values
 */
export function quantile (digest: Digest, share: Fraction, min: number, max: number): Estimate {
  const count = digest.counts.reduce((sum, it) => sum + it, 0)
  if (count === 0) return { value: NaN, error: NaN }
  const { whole } = share
  const { rank, rest } = placeOf(count - 1, share)
  const a = bracketOf(digest, rank, count, min, max)
  const b = rest === 0 ? a : bracketOf(digest, rank + 1, count, min, max)

  const value = interpolate(a.middle, b.middle, rest, whole) + 0 // -0 + 0 is 0, as digests have it
  if (a.lower === a.upper && b.lower === b.upper) return { value, error: 0 }
  const lower = interpolate(a.lower, b.lower, rest, whole)
  const upper = interpolate(a.upper, b.upper, rest, whole)
  return { value, error: above(above(Math.max(upper - value, value - lower)) + ulp(lower) + ulp(upper)) }
}

/** The place of a share of a number: `rank`, plus `rest` of `whole`. */
function placeOf (last: number, { part, whole }: Fraction): { rank: number, rest: number } {
  const product = last * part
  if (Number.isSafeInteger(product)) {
    const rest = product % whole
    return { rank: (product - rest) / whole, rest }
  }
  const exactly = BigInt(last) * BigInt(part)
  return { rank: Number(exactly / BigInt(whole)), rest: Number(exactly % BigInt(whole)) }
}

/** The distance of neighbouring doubles of this size, or up to twice that. */
function ulp (value: number): number {
  return Math.abs(value) * 2 ** -52 + Number.MIN_VALUE
}

/** A double above a positive one. */
function above (value: number): number {
  return value + ulp(value)
}

/** Bounds of one of the sorted values: between `lower` and `upper`, best estimated as `middle`. */
interface Bracket {
  readonly lower: number
  readonly middle: number
  readonly upper: number
}

/** @param rank which of the sorted values, from 0 */
function bracketOf (digest: Digest, rank: number, count: number, min: number, max: number): Bracket {
  if (rank <= 0) return { lower: min, middle: min, upper: min }
  if (rank >= count - 1) return { lower: max, middle: max, upper: max }
  let n = 0
  for (let before = digest.counts[0]; before <= rank; before += digest.counts[n]) n++
  return bracketOfKey(digest.keys[n], digest.level, min, max)
}

function bracketOfKey (key: number, level: number, min: number, max: number): Bracket {
  if (level === EXACT || key === 0) return { lower: key, middle: key, upper: key }
  const { lower, middle, upper } = binBracket(Math.abs(key) - BIN_OFFSET, level)
  const clamp = (value: number) => Math.min(Math.max(value, min), max)
  return key > 0
    ? { lower: clamp(lower), middle: clamp(middle), upper: clamp(upper) }
    : { lower: clamp(-upper), middle: clamp(-middle), upper: clamp(-lower) }
}

/** A number of values, and bounds for all of them. For an exact digest the bounds are equal. */
export interface CountedBracket extends Bracket {
  readonly count: number
}

/**
 * All values of a digest, ascending, in the finest groups that it distinguishes.
 * @param min the smallest of the values
 * @param max the largest
 */
export function bracketsOf (digest: Digest, min: number, max: number): CountedBracket[] {
  return digest.keys.map((key, n) => ({ ...bracketOfKey(key, digest.level, min, max), count: digest.counts[n] }))
}

/**
 * The edges of a bin, slightly widened for rounding, and the magnitude with the same relative distance to both: 2 g^i /
 * (1 + g).
 */
function binBracket (bin: number, level: number): Bracket {
  const width = 2 ** level / BINS_PER_E // ln g
  return {
    lower: Math.exp((bin - 1) * width) * (1 - ROUNDING) - Number.MIN_VALUE,
    middle: Math.exp(bin * width + Math.log(2 / (1 + Math.exp(width)))),
    upper: Math.exp(bin * width) * (1 + ROUNDING) + Number.MIN_VALUE
  }
}
