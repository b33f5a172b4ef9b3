/**
 * Counter steps: differences between consecutive readings of a series. Three statistics use them:
 *
 *     increase          sum of the upward steps. A value below the previous one is a counter reset: the counter restarted at
 *                       0, so the value itself is added, or nothing if it is negative. A step belongs to the row of its
 *                       later reading
 *     rate              increase per second of the row's length
 *     timeWeightedAvg   average in which each value is weighted by how long it was the newest
 *
 * There is no step between readings that are more than `maxGapMs` apart: the increase over a gap is unknown, and a
 * value is not assumed to hold longer. Several series are added: their increases, and their times and values.
 *
 * Additive over any split: the rows of a range add up to the increase of the range, because the first step of a row
 * starts at the last reading before it. So reading starts `maxGapMs` before the first row.
 */
import { addTimes, addValue, emptySum, type ExactSum, type Readings, type TimeRange } from 'relay-rollups'

/** Exact sums of the steps of one row, so the order of series and minutes does not matter. */
export interface StepSums {
  increase: ExactSum
  steps: number
  /** values times the ms for which they were held */
  weighted: ExactSum
  /** never negative; for many series over many years it exceeds exact doubles */
  heldMs: ExactSum
  /** a minute has more readings than are stored, so some steps are unknown */
  isLost: boolean
}

export function emptyStepSums (): StepSums {
  return { increase: emptySum(), steps: 0, weighted: emptySum(), heldMs: emptySum(), isLost: false }
}

/** Walks one series through the rows of an answer. */
export interface StepWalk {
  /** Adds the next readings, sorted, none before earlier ones. */
  add (readings: Readings): void
  /** Adds a minute of which only the last reading is known. */
  addLost (minute: TimeRange, lastMs: number, lastValue: number): void
  /** The last value is held from here on. */
  finish (): void
}

/**
 * @param boundaries of the rows, ascending; row n is [boundaries[n], boundaries[n + 1])
 * @param sums of the rows; added to
 * @param nowMs no value is taken to hold in the future
 */
export function walkSteps (
  boundaries: readonly number[], sums: readonly StepSums[], maxGapMs: number, nowMs: number
): StepWalk {
  const endMs = boundaries[boundaries.length - 1]
  let row = -1 // the row of the last reading; -1: it is before all
  let last: { readonly timeMs: number, readonly value: number } | undefined

  /** Moves to the row that contains a time. Returns whether there is one. */
  const moveTo = (timeMs: number) => {
    while (row + 1 < sums.length && boundaries[row + 1] <= timeMs) row++
    return row >= 0 && timeMs < endMs
  }

  const hold = (fromMs: number, toMs: number, value: number) => {
    for (let n = Math.max(row, 0); n < sums.length && boundaries[n] < toMs; n++) {
      const heldMs = Math.min(toMs, boundaries[n + 1]) - Math.max(fromMs, boundaries[n])
      if (heldMs <= 0) continue
      addTimes(sums[n].weighted, value, heldMs)
      addValue(sums[n].heldMs, heldMs)
    }
  }

  const holdLast = (untilMs: number) => {
    if (last === undefined) return
    hold(last.timeMs, Math.min(untilMs, last.timeMs + maxGapMs, Math.max(nowMs, last.timeMs)), last.value)
  }

  return {
    add ({ timesMs, values }) {
      for (let n = 0; n < timesMs.length; n++) {
        const timeMs = timesMs[n]
        const value = values[n]
        holdLast(timeMs)
        const isInside = moveTo(timeMs)
        if (isInside && last !== undefined && timeMs - last.timeMs <= maxGapMs) {
          sums[row].steps++
          if (value >= last.value) {
            addValue(sums[row].increase, value)
            addValue(sums[row].increase, -last.value)
          } else if (value > 0) {
            addValue(sums[row].increase, value)
          }
        }
        last = { timeMs, value }
      }
    },
    addLost (minute, lastMs, lastValue) {
      holdLast(minute.startMs)
      for (let n = Math.max(row, 0); n < sums.length && boundaries[n] < minute.endMs; n++) { // earlier rows are done
        if (boundaries[n + 1] > minute.startMs) sums[n].isLost = true
      }
      moveTo(lastMs)
      last = { timeMs: lastMs, value: lastValue }
    },
    finish () {
      holdLast(endMs)
    }
  }
}
