/**
 * A histogram from the digest of a rollup: bins of equal width, or of equal ratio. Edges of equal width are rounded to
 * the nearest doubles; those of equal ratio are within 1e-12 of the exact place. Values are counted by the actual
 * edges.
 *
 * A sketch only knows bounds of its values (`bracketsOf`). If an edge is between them, the values are counted at the
 * middle, and the counts state their error.
 */
import { bracketsOf, interpolate, lastAtOrBefore, type Rollup } from 'relay-rollups'

export type Scale = 'linear' | 'log'

export interface HistogramBin {
  /** values from here up to `to`, exclusive; the last bin includes `to` */
  readonly from: number
  readonly to: number
  readonly count: number
  /** the true count is within count ± countError; 0: exact */
  readonly countError: number
}

/**
 * @param rollup with readings
 * @param bins wanted number; fewer if the values are too close, and none has width 0
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

/** Ascending and distinct, including the ends; equal ends appear twice. */
function edgesBetween (min: number, max: number, bins: number, at: typeof interpolate): number[] {
  if (min === max) return [min, max]
  const inner = Array.from({ length: bins - 1 }, (_, n) => at(min, max, n + 1, bins))
  const edges = [min]
  for (const edge of inner) if (edge > edges[edges.length - 1] && edge < max) edges.push(edge)
  return [...edges, max]
}

/** @param min not positive: the first bin is from there to the least positive value */
function logEdgesBehind (min: number, leastPositive: number, max: number, bins: number): number[] {
  const start = leastPositive < max ? leastPositive : leastPositive / 2 // a bin of its own for a single value, too
  return start > 0 ? [min, ...edgesBetween(start, max, bins, logAt)] : [min, max]
}

function logAt (min: number, max: number, part: number, whole: number): number {
  return Math.exp(interpolate(Math.log(min), Math.log(max), part, whole))
}

/** The bin of a value: the last edge at or below it; for the last edge, the bin below. */
function binOf (edges: readonly number[], value: number): number {
  return Math.min(lastAtOrBefore(edges, value), edges.length - 2)
}
