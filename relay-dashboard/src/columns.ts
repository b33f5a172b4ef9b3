/**
 * Many points on few pixels: per column of pixels one bar, from the lowest to the highest value. Hot path: each step of
 * a zoom visits all visible points, so values are read from arrays of numbers.
 */

export type Values = readonly (number | null | undefined)[]

/** NaN where there is no value. */
export type Numbers = Float64Array

const known = new WeakMap<Values, Numbers>()

export function numbersOf (values: Values): Numbers {
  let numbers = known.get(values)
  if (!numbers) {
    numbers = Float64Array.from(values, it => it ?? NaN)
    known.set(values, numbers)
  }
  return numbers
}

/** A scale on the canvas: where its least value is, and pixels per unit. */
export interface Axis { readonly start: number, readonly min: number, readonly by: number }

export function axisOf (start: number, length: number, min: number, max: number): Axis {
  const by = length / (max - min)
  return { start, min, by: Number.isFinite(by) ? by : 0 } // a single value, or two nearly equal ones
}

/** Pixels. The difference comes first: large values that are close to each other would be rounded. */
export function placeOn ({ start, min, by }: Axis, value: number): number {
  return start + (value - min) * by
}

/** Columns of pixels that have points, from left to right. */
export interface Columns {
  readonly count: number
  /** left edges, pixels */
  readonly lefts: Int32Array
  /** per column the index of its first point, then the index after the last point */
  readonly firsts: Int32Array
}

/** Sorts the points from `first` (inclusive) to `end` (exclusive) into columns. @param times ascending */
export function columnsOf (times: ArrayLike<number>, first: number, end: number, x: Axis): Columns {
  const columnOf = (at: number) => Math.floor(placeOn(x, times[at]))
  const most = end > first ? Math.min(end - first, columnOf(end - 1) - columnOf(first) + 1) : 0
  const lefts = new Int32Array(most)
  const firsts = new Int32Array(most + 1)
  let count = 0
  for (let at = first; at < end;) {
    const left = columnOf(at)
    lefts[count] = left
    firsts[count++] = at
    at = firstAtOrAfter(times, x.min + (left + 1 - x.start) / x.by, at + 1, end)
    while (at < end && columnOf(at) <= left) at++ // rounding
  }
  firsts[count] = end
  return { count, lefts, firsts }
}

/**
 * Calls `draw` with the bar of each column that has a value, in whole pixels. @param thick how high a bar is at least
 */
export function eachBar (
  { count, lefts, firsts }: Columns, lows: Numbers, highs: Numbers, y: Axis, thick: number,
  draw: (left: number, top: number, height: number) => void
): void {
  let topBefore = NaN
  let bottomBefore = NaN
  for (let column = 0; column < count; column++) {
    let low = Infinity
    let high = -Infinity
    for (let at = firsts[column], end = firsts[column + 1]; at < end; at++) {
      if (lows[at] < low) low = lows[at]
      if (highs[at] > high) high = highs[at]
    }
    if (low > high) { // a gap
      topBefore = bottomBefore = NaN
      continue
    }
    const top = placeOn(y, high)
    const bottom = placeOn(y, low)
    // a line has no hole between two columns
    const from = Math.round((bottomBefore < top ? bottomBefore : top) - thick / 2)
    const to = Math.round((topBefore > bottom ? topBefore : bottom) + thick / 2)
    draw(lefts[column], from, Math.max(1, to - from))
    topBefore = top
    bottomBefore = bottom
  }
}

/** The lowest and the highest value of points of several lines. @returns undefined: there is none */
export function extentOf (
  lines: readonly Values[], first: number, end: number
): [low: number, high: number] | undefined {
  let low = Infinity
  let high = -Infinity
  for (const line of lines) {
    const numbers = numbersOf(line)
    for (let at = first; at < end; at++) {
      if (numbers[at] < low) low = numbers[at]
      if (numbers[at] > high) high = numbers[at]
    }
  }
  return low <= high ? [low, high] : undefined
}

export function firstAtOrAfter (times: ArrayLike<number>, time: number, from = 0, to = times.length): number {
  let [low, high] = [from, to]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (times[middle] < time) low = middle + 1
    else high = middle
  }
  return low
}
