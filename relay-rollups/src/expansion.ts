/**
 * Exact arithmetic on expansions: several doubles that represent their exact sum. The rounding error of an addition or
 * multiplication of doubles is itself a double that can be computed (the two-sum of Knuth and Møller, the two-product
 * of Dekker and Veltkamp). An expansion keeps it as a separate part.
 *
 * J. R. Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric Predicates", 1997.
 */

/**
 * Parts with the same exact sum as the values: the nearest double, the double nearest to the rest, and so on; none for
 * 0. They depend only on the sum.
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

/** Adds a value to parts that do not overlap, smallest first, none of them 0; the result has the same form. */
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

/**
 * The double nearest to the sum of parts that do not overlap, smallest first; halfway cases round to even, as in IEEE
 * 754.
 */
function roundExpansion (parts: readonly number[]): number {
  let at = parts.length - 1
  let rounded = parts[at]
  let error = 0
  while (error === 0 && --at >= 0) [rounded, error] = twoSum(rounded, parts[at])

  const below = parts[at - 1]
  if (error !== 0 && below !== undefined && (error > 0) === (below > 0)) {
    // rounded from a halfway case: the smaller parts decide, and may decide otherwise
    const [away, awayError] = twoSum(rounded, error * 2)
    if (awayError === 0) return away
  }
  return rounded
}

/** A rounded sum and its rounding error, for any two doubles with a finite sum. */
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

/** The rounding error of `product = a * b`; exact if neither the halves nor the error leave the range of doubles. */
export function productError (a: number, b: number, product: number): number {
  let split = SPLITTER * a
  const aHigh = split - (split - a)
  const aLow = a - aHigh
  split = SPLITTER * b
  const bHigh = split - (split - b)
  const bLow = b - bHigh
  return ((aHigh * bHigh - product) + aHigh * bLow + aLow * bHigh) + aLow * bLow
}
