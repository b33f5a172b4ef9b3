/**
 * Arithmetic on doubles as whole numbers, simple and slow, for tests to compare with: every finite double is a whole
 * multiple of 2^-1074.
 */
export const UNIT_EXPONENT = -1074

/** A finite double in units of 2^-1074. */
export function toUnits (value: number): bigint {
  const bits = new DataView(new ArrayBuffer(8))
  bits.setFloat64(0, value)
  const all = bits.getBigUint64(0)
  const exponent = (all >> 52n) & 0x7ffn
  const fraction = all & (2n ** 52n - 1n)
  const magnitude = exponent === 0n ? fraction : (fraction | 2n ** 52n) << (exponent - 1n)
  return value < 0 ? -magnitude : magnitude
}

/** The double nearest to `whole * 2^exponent`, halfway to even; ±Infinity beyond the range. */
export function toDouble (whole: bigint, exponent: number): number {
  if (whole < 0n) return -toDouble(-whole, exponent)
  const length = whole.toString(2).length
  // the lowest bit of the result is at 2^-1074 or 53 bits below the highest one; lower bits are rounded once
  const dropped = Math.max(length - 53, UNIT_EXPONENT - exponent, 0)
  let kept = whole >> BigInt(dropped)
  const below = whole - (kept << BigInt(dropped))
  const half = dropped === 0 ? 0n : 1n << BigInt(dropped - 1)
  if (dropped > 0 && (below > half || (below === half && kept % 2n === 1n))) kept++
  const scale = exponent + dropped
  return scale > 900 ? Number(kept) * 2 ** 900 * 2 ** (scale - 900) : Number(kept) * 2 ** scale
}

/** The double nearest to a quotient of whole numbers times `2^exponent`, halfway to even. @param divisor above 0 */
export function quotientToDouble (whole: bigint, divisor: bigint, exponent: number): number {
  if (whole < 0n) return -quotientToDouble(-whole, divisor, exponent)
  const shifted = whole << 1300n
  const quotient = shifted / divisor
  return toDouble(quotient * 2n + (quotient * divisor === shifted ? 0n : 1n), exponent - 1301)
}

/** The population standard deviation of doubles, rounded once. */
export function exactDeviation (values: readonly number[]): number {
  const count = BigInt(values.length)
  const squared = count * sumSquareUnits(values) - sumUnits(values) ** 2n
  const shifted = (squared << 2600n) / count ** 2n
  const root = squareRoot(shifted)
  const isExact = root * root * count ** 2n === squared << 2600n
  return toDouble(root * 2n + (isExact ? 0n : 1n), UNIT_EXPONENT - 1301)
}

/** The exact sum of doubles, in units of 2^-1074. */
export function sumUnits (values: readonly number[]): bigint {
  return values.reduce((sum, value) => sum + toUnits(value), 0n)
}

/** The exact sum of the squares of doubles, in units of 2^-2148. */
export function sumSquareUnits (values: readonly number[]): bigint {
  return values.reduce((sum, value) => sum + toUnits(value) ** 2n, 0n)
}

/** The nearest whole number below the square root. */
export function squareRoot (whole: bigint): bigint {
  if (whole < 2n) return whole
  let root = 1n << BigInt((whole.toString(2).length + 1) >> 1)
  for (;;) {
    const next = (root + whole / root) >> 1n
    if (next >= root) return root
    root = next
  }
}

/** A quantile by sorting, interpolated between neighbours like numpy's `linear`, rounded once. */
export function sortedQuantile (values: readonly number[], part: number, whole: number): number {
  const sorted = Float64Array.from(values, value => value + 0).sort()
  const place = BigInt(sorted.length - 1) * BigInt(part)
  const rank = Number(place / BigInt(whole))
  const rest = place % BigInt(whole)
  const below = toUnits(sorted[rank])
  const above = toUnits(sorted[Math.min(rank + 1, sorted.length - 1)])
  return quotientToDouble(below * (BigInt(whole) - rest) + above * rest, BigInt(whole), UNIT_EXPONENT)
}
