import { emptyDigest, foldRuns, foldValue, mergeDigest, type Digest } from './digest.ts'
import { addValue, divideSum, emptySum, mergeSum, roundSum, type ExactSum } from './exact-sum.ts'
import { quantile as quantileOfDigest, type Estimate, type Fraction } from './quantile.ts'
import type { Readings } from './readings.ts'
import { addSquare, deviation, mergeSquares } from './square-sum.ts'

/**
 * The statistics of all readings of a bucket. Folding and merging are associative and commutative: the same readings in
 * any order and split give the same rollup, and the same bytes (`rollup-row.ts`). So minutes merge to hours, hours to
 * days, devices to zones, and late readings need no special case.
 */
export interface Rollup {
  count: number
  /** Infinity without readings */
  min: number
  /** -Infinity without readings */
  max: number
  sum: ExactSum
  sumSquares: ExactSum
  /** earliest time, in ms since the epoch; Infinity without readings */
  firstMs: number
  /** value at that time, the smallest if there are several; NaN without readings */
  firstValue: number
  /** latest time, in ms since the epoch; -Infinity without readings */
  lastMs: number
  /** value at that time, the greatest if there are several; NaN without readings */
  lastValue: number
  digest: Digest
}

/** What a reader needs of a rollup: `sums` is everything but the distribution, which then stays as it is. */
export type RollupParts = 'sums' | 'all'

export function emptyRollup (): Rollup {
  return {
    count: 0,
    min: Infinity,
    max: -Infinity,
    sum: emptySum(),
    sumSquares: emptySum(),
    firstMs: Infinity,
    firstValue: NaN,
    lastMs: -Infinity,
    lastValue: NaN,
    digest: emptyDigest()
  }
}

/**
 * Folds one reading. The simple version: a test compares `foldReadings` with it.
 * @param rollup changed in place
 * @param timeMs ms since the epoch
 * @param value finite, in the unit of the device; -0 becomes 0
 */
export function foldReading (rollup: Rollup, timeMs: number, value: number): void {
  value += 0 // -0 + 0 is 0
  rollup.count++
  rollup.min = Math.min(rollup.min, value)
  rollup.max = Math.max(rollup.max, value)
  addValue(rollup.sum, value)
  addSquare(rollup.sumSquares, value)
  foldFirst(rollup, timeMs, value)
  foldLast(rollup, timeMs, value)
  foldValue(rollup.digest, value)
}

/**
 * Values on their way into a rollup: sorted, then as runs of equal ones. Reused, because a hot path must not allocate.
 */
let sorted = new Float64Array(1024)
const runValues = [0.5] // always doubles, like the keys of a digest
const runCounts: number[] = []

/**
 * Folds many readings, sorting their values once. Hot path: 60 readings, a minute of a device, in 2 us.
 * @param rollup changed in place
 * @param readings sorted, as always
 */
export function foldReadings (rollup: Rollup, readings: Readings, parts: RollupParts = 'all'): void {
  const length = readings.timesMs.length
  if (length === 0) return
  if (parts === 'all') foldValues(rollup, readings.values)
  else addValues(rollup, readings.values)
  foldFirst(rollup, readings.timesMs[0], readings.values[0] + 0)
  foldLast(rollup, readings.timesMs[length - 1], readings.values[length - 1] + 0)
}

/** The same for readings in any order, such as those of several devices. */
export function foldUnsorted (rollup: Rollup, { timesMs, values }: Readings): void {
  if (timesMs.length === 0) return
  foldValues(rollup, values)
  for (let n = 0; n < timesMs.length; n++) {
    foldFirst(rollup, timesMs[n], values[n] + 0)
    foldLast(rollup, timesMs[n], values[n] + 0)
  }
}

/** Adds values to everything but the distribution. */
function addValues (rollup: Rollup, values: readonly number[]): void {
  rollup.count += values.length
  for (let n = 0; n < values.length; n++) {
    const value = values[n] + 0
    if (value < rollup.min) rollup.min = value
    if (value > rollup.max) rollup.max = value
    addValue(rollup.sum, value)
    addSquare(rollup.sumSquares, value)
  }
}

function foldValues (rollup: Rollup, values: readonly number[]): void {
  const { length } = values
  const runs = sortRuns(values)
  rollup.count += length
  rollup.min = Math.min(rollup.min, runValues[0])
  rollup.max = Math.max(rollup.max, runValues[runs - 1])
  for (let n = 0; n < length; n++) {
    addValue(rollup.sum, sorted[n])
    addSquare(rollup.sumSquares, sorted[n])
  }
  foldRuns(rollup.digest, runValues, runCounts, runs)
}

/** The columns of a row for readings, without the rest of a rollup. */
export function sumReadings ({ values }: Readings): Pick<Rollup, 'count' | 'min' | 'max' | 'sum'> {
  const sum = emptySum()
  let min = Infinity
  let max = -Infinity
  for (let n = 0; n < values.length; n++) {
    const value = values[n] + 0
    addValue(sum, value)
    if (value < min) min = value
    if (value > max) max = value
  }
  return { count: values.length, min, max, sum }
}

/** More values are sorted by V8, whose call takes as long as sorting about 20 here. */
const INSERTION_SORT_MAX = 32

/** Sorts values into `sorted`, counts equal ones in `runValues` and `runCounts`, and returns the number of runs. */
function sortRuns (values: readonly number[]): number {
  const length = values.length
  if (sorted.length < length) sorted = new Float64Array(length * 2)
  if (length > INSERTION_SORT_MAX) {
    for (let n = 0; n < length; n++) sorted[n] = values[n] + 0
    sorted.subarray(0, length).sort()
  } else {
    for (let n = 0; n < length; n++) {
      const value = values[n] + 0
      let at = n
      for (; at > 0 && sorted[at - 1] > value; at--) sorted[at] = sorted[at - 1]
      sorted[at] = value
    }
  }

  let runs = 0
  for (let n = 0; n < length; n++) {
    if (runs > 0 && runValues[runs - 1] === sorted[n]) {
      runCounts[runs - 1]++
    } else {
      runValues[runs] = sorted[n]
      runCounts[runs] = 1
      runs++
    }
  }
  return runs
}

/**
 * Merges a rollup into another.
 * @param into changed in place
 * @param from another one; stays unchanged
 */
export function mergeRollup (into: Rollup, from: Rollup): void {
  if (from.count === 0) return
  into.count += from.count
  into.min = Math.min(into.min, from.min)
  into.max = Math.max(into.max, from.max)
  mergeSum(into.sum, from.sum)
  mergeSquares(into.sumSquares, from.sumSquares)
  foldFirst(into, from.firstMs, from.firstValue)
  foldLast(into, from.lastMs, from.lastValue)
  mergeDigest(into.digest, from.digest)
}

function foldFirst (rollup: Rollup, timeMs: number, value: number): void {
  if (timeMs < rollup.firstMs || (timeMs === rollup.firstMs && value < rollup.firstValue)) {
    rollup.firstMs = timeMs
    rollup.firstValue = value
  }
}

function foldLast (rollup: Rollup, timeMs: number, value: number): void {
  if (timeMs > rollup.lastMs || (timeMs === rollup.lastMs && value > rollup.lastValue)) {
    rollup.lastMs = timeMs
    rollup.lastValue = value
  }
}

/** The sum of all values, rounded to the nearest double; ±Infinity beyond the range of doubles. */
export function total (rollup: Rollup): number {
  return roundSum(rollup.sum)
}

/**
 * The mean of all values, rounded to the nearest double, so it is never outside of [min, max]. NaN without readings.
 */
export function average (rollup: Rollup): number {
  return rollup.count === 0 ? NaN : divideSum(rollup.sum, rollup.count)
}

const HALF: Fraction = { part: 1, whole: 2 }

/** The median with its largest error. NaN without readings. */
export function median (rollup: Rollup): Estimate {
  return quantile(rollup, HALF)
}

/** A quantile, interpolated like numpy's `linear`, with its largest error. NaN without readings. */
export function quantile (rollup: Rollup, share: Fraction): Estimate {
  return quantileOfDigest(rollup.digest, share, rollup.min, rollup.max)
}

/**
 * The population standard deviation, rounded to the nearest double.
 * @returns null if unknown: without readings; if an earlier version of Relay wrote the row and met a value whose square
 *   leaves the range of doubles; if values below 1e-146 would decide between two doubles, beside others of 1e145 or
 *   more
 */
export function standardDeviation (rollup: Rollup): number | null {
  const { count, min, max, sum, sumSquares } = rollup
  if (count === 0) return null
  if (min === max) return 0
  return deviation(sum, sumSquares, count, Math.max(-min, max)) ?? null
}
