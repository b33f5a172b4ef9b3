/**
 * A histogram, from the digest of a rollup: bins of equal width, or of equal ratio. Edges of equal width are the doubles
 * nearest to where they belong; those of equal ratio are within 1e-12 of it. Values are counted by the edges as they are.
 *
 * A digest that is a sketch knows of its values between which two they lie (`bracketsOf`). Those that an edge of the
 * histogram falls between are counted where the middle of the two is, and say how far off the counts can be.
 */
import { bracketsOf, interpolate, lastAtOrBefore, type Rollup } from 'relay-common'

export type Scale = 'linear' | 'log'

export interface HistogramBin {
  /** values from here on, and below `to`; the last bin holds `to` as well */
  readonly from: number
  readonly to: number
  readonly count: number
  /** the true count is within count ± countError; 0: it is exact */
  readonly countError: number
}

/**
 * @param rollup with readings
 * @param bins how many are wanted; there are fewer where the values are too close, and none is empty of width
 * @param scale log: values that are not positive have one bin of their own, the first
 */
export function histogramOf (rollup: Rollup, bins: number, scale: Scale): HistogramBin[] {
  const { min, max, digest } = rollup
  const brackets = bracketsOf(digest, min, max)
  const leastPositive = brackets.find(it => it.middle > 0)?.lower
  const edges = scale === 'linear' || leastPositive === undefined
    ? edgesBetween(min, max, scale === 'linear' ? bins : 1, interpolate)
    : min > 0 ? edgesBetween(min, max, bins, logAt) : logEdgesBehind(min, leastPositive, max, bins)

  const counts = edges.slice(1).map(() => 0)
  const errors = counts.map(() => 0)
  for (const { lower, middle, upper, count } of brackets) {
    counts[binOf(edges, middle)] += count
    const [first, last] = [binOf(edges, lower), binOf(edges, upper)]
    if (first === last) continue
    for (let n = first; n <= last; n++) errors[n] += count
  }
  return counts.map((count, n) => ({ from: edges[n], to: edges[n + 1], count, countError: errors[n] }))
}

/** Ascending, each once, the ends among them; of two equal ends both. */
function edgesBetween (min: number, max: number, bins: number, at: typeof interpolate): number[] {
  if (min === max) return [min, max]
  const inner = Array.from({ length: bins - 1 }, (_, n) => at(min, max, n + 1, bins))
  const edges = [min]
  for (const edge of inner) if (edge > edges[edges.length - 1] && edge < max) edges.push(edge)
  return [...edges, max]
}

/** @param min not positive: from there to the least positive value is the first bin */
function logEdgesBehind (min: number, leastPositive: number, max: number, bins: number): number[] {
  const start = leastPositive < max ? leastPositive : leastPositive / 2 // a bin of its own for a single value, too
  return start > 0 ? [min, ...edgesBetween(start, max, bins, logAt)] : [min, max]
}

function logAt (min: number, max: number, part: number, whole: number): number {
  return Math.exp(interpolate(Math.log(min), Math.log(max), part, whole))
}

/** The bin that holds a value: the last edge that is not above it, and of the last edge the bin below. */
function binOf (edges: readonly number[], value: number): number {
  return Math.min(lastAtOrBefore(edges, value), edges.length - 2)
}
