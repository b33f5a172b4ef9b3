/**
 * Boundaries of rows, ascending. A million of them are stored as a few runs of equal steps: rows of a minute, or local
 * days, only differ in length where the clock is set.
 */

export interface Boundaries extends Iterable<number> {
  readonly length: number
  /** The n-th; from the end if n is negative. @returns NaN: there is none */
  at (n: number): number
  /** As in arrays; for small ranges. */
  slice (from: number, to: number): number[]
  /** Index of the last one at or before a time; 0 if there is none. */
  lastAtOrBefore (timeMs: number): number
  /** The first `count` boundaries of each run; all others follow by equal steps. */
  firstOfRuns (count: number): Generator<number>
}

/** `count` times from `startMs` on, `stepMs` apart. */
interface Run {
  readonly startMs: number
  stepMs: number
  count: number
  /** index of its first boundary */
  readonly first: number
}

export interface BoundariesBuilder extends Boundaries {
  /** Appends times after all others. @param count their number, `stepMs` apart */
  add (startMs: number, stepMs?: number, count?: number): void
}

export function createBoundaries (): BoundariesBuilder {
  const runs: Run[] = []
  let length = 0

  /** The run found by a test that is true up to it. */
  const find = (isBehind: (run: Run) => boolean): Run => {
    let low = 0
    for (let high = runs.length; high - low > 1;) {
      const middle = (low + high) >>> 1
      if (isBehind(runs[middle])) high = middle
      else low = middle
    }
    return runs[low]
  }
  const at = (n: number) => {
    const index = n < 0 ? length + n : n
    if (!(index >= 0 && index < length)) return NaN
    const { first, startMs, stepMs } = find(it => it.first > index)
    return startMs + (index - first) * stepMs
  }

  return {
    get length () { return length },
    add (startMs, stepMs = 0, count = 1) {
      const last = runs.at(-1)
      if (last !== undefined && last.count === 1 && (count === 1 || startMs - last.startMs === stepMs)) {
        last.stepMs = startMs - last.startMs
        last.count += count
      } else if (last !== undefined && startMs === last.startMs + last.count * last.stepMs &&
        (count === 1 || stepMs === last.stepMs)) {
        last.count += count
      } else {
        runs.push({ startMs, stepMs, count, first: length })
      }
      length += count
    },
    at,
    slice: (from, to) => Array.from({ length: Math.max(Math.min(to, length) - from, 0) }, (_, n) => at(from + n)),
    lastAtOrBefore (timeMs) {
      if (length === 0) return 0
      const { first, startMs, stepMs, count } = find(it => it.startMs > timeMs)
      const steps = stepMs === 0 ? 0 : Math.floor((timeMs - startMs) / stepMs)
      return first + Math.min(Math.max(steps, 0), count - 1)
    },
    * firstOfRuns (wanted) {
      for (const { startMs, stepMs, count } of runs) {
        for (let n = 0; n < Math.min(count, wanted); n++) yield startMs + n * stepMs
      }
    },
    * [Symbol.iterator] () {
      for (const { startMs, stepMs, count } of runs) {
        for (let n = 0; n < count; n++) yield startMs + n * stepMs
      }
    }
  }
}

export function boundariesAt (...timesMs: readonly number[]): Boundaries {
  const boundaries = createBoundaries()
  for (const it of timesMs) boundaries.add(it)
  return boundaries
}
