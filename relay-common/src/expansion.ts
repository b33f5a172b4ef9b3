/**
 * Exact arithmetic on expansions: several doubles that stand for their exact sum. What an addition or a multiplication
 * of doubles rounds away is itself a double, and can be had (the two-sum of Knuth and Møller, the two-product of Dekker
 * and Veltkamp); an expansion keeps it as a part of its own.
 *
 * J. R. Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric Predicates", 1997.
 */

/**
 * Parts whose exact sum is that of the values: the double nearest to it, the double nearest to what then remains, and so
 * on; none where it is 0. That depends on the sum alone.
 * @param values any doubles whose sums stay within the range of doubles
 */
export function greedyParts (values: readonly number[]): number[] {
  const remaining: number[] = []
  for (const value of values) growExpansion(remaining, value)
  const parts: number[] = []
  while (remaining.length > 0) {
    const part = roundExpansion(remaining)
    parts.push(part)
    growExpansion(remaining, -part)
  }
  return parts
}

/** Adds a value to parts that don't overlap, smallest first, none of them 0; they stay so. */
function growExpansion (parts: number[], value: number): void {
  let kept = 0
  for (const part of parts) {
    const [sum, error] = twoSum(value, part)
    if (error !== 0) parts[kept++] = error
    value = sum
  }
  parts.length = kept
  if (value !== 0) parts.push(value)
}

/** The double nearest to the sum of parts that don't overlap, smallest first; halfway to the even one, as IEEE 754. */
function roundExpansion (parts: readonly number[]): number {
  let at = parts.length - 1
  let rounded = parts[at]
  let error = 0
  while (error === 0 && --at >= 0) [rounded, error] = twoSum(rounded, parts[at])

  const below = parts[at - 1]
  if (error !== 0 && below !== undefined && (error > 0) === (below > 0)) {
    // was it rounded from halfway? then what is below decides, and says the other way
    const [away, awayError] = twoSum(rounded, error * 2)
    if (awayError === 0) return away
  }
  return rounded
}

/** A rounded sum, and what the rounding took away: for any two doubles whose sum is one. */
export function twoSum (a: number, b: number): [sum: number, error: number] {
  const sum = a + b
  const part = sum - a
  return [sum, (a - (sum - part)) + (b - part)]
}

/**
 * Splits a double into halves of 26 bits each, whose products are exact: T. J. Dekker, "A Floating-Point Technique for
 * Extending the Available Precision", 1971, after G. W. Veltkamp.
 */
const SPLITTER = 2 ** 27 + 1

/** What `product = a * b` rounded away; exact while neither the halves nor the error leave the range of doubles. */
export function productError (a: number, b: number, product: number): number {
  let split = SPLITTER * a
  const aHigh = split - (split - a)
  const aLow = a - aHigh
  split = SPLITTER * b
  const bHigh = split - (split - b)
  const bLow = b - bHigh
  return ((aHigh * bHigh - product) + aHigh * bLow + aLow * bHigh) + aLow * bLow
}
