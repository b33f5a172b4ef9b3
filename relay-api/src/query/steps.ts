/**
 * Steps: what lies between a reading of a series and the next one. Three statistics are made of them:
 *
 *     increase          the sum of the steps upwards; a value below the one before is a counter that began at 0 again,
 *                       and counts as it is, or not at all where it is negative. A step belongs to the row that holds
 *                       its later reading
 *     rate              increase per second of the row's length
 *     timeWeightedAvg   the average in which each value counts for as long as it was the newest
 *
 * Readings further apart than `maxGapMs` have no step between them: an increase over a gap is not known, and a value
 * is not taken to hold for longer. Several series add up: their increases, and their times and values.
 *
 * Adds up over any cut: rows of a range make the increase of the range, since the first step of a row comes from the
 * last reading before it. So reading begins `maxGapMs` before the first row.
 */
import { addTimes, addValue, emptySum, type ExactSum, type Readings, type TimeRange } from 'relay-common'

/** What the steps of one row add up to, exactly: so it does not matter in which order series and minutes are read. */
export interface StepSums {
  increase: ExactSum
  steps: number
  /** values times the ms that they held */
  weighted: ExactSum
  /** never negative; of many series over many years it is more than whole numbers of doubles hold */
  heldMs: ExactSum
  /** a minute of it has more readings than are kept, so some steps are not known */
  isLost: boolean
}

export function emptyStepSums (): StepSums {
  return { increase: emptySum(), steps: 0, weighted: emptySum(), heldMs: emptySum(), isLost: false }
}

/** One series on its way through the rows of an answer. */
export interface StepWalk {
  /** Adds the next readings, sorted, not before those that came already. */
  add (readings: Readings): void
  /** Adds a minute of which only its last reading is known. */
  addLost (minute: TimeRange, lastMs: number, lastValue: number): void
  /** The last value holds on from here. */
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
  let row = -1 // the one that holds the last reading; -1: it is before all
  let last: { readonly timeMs: number, readonly value: number } | undefined

  /** Moves to the row that holds a time, and says whether there is one. */
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
      for (let n = Math.max(row, 0); n < sums.length && boundaries[n] < minute.endMs; n++) { // those before are passed
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
