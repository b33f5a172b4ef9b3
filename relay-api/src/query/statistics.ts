/** Statistics of a rollup and its steps, and their columns. */
import {
  average, divideSum, divideSums, quantile, roundSum, standardDeviation, total, type Rollup, type Fraction
} from 'relay-rollups'

import type { StepSums } from './counter-steps.ts'

/** Why a number is missing. */
export type MissingReason =
  /** nothing to compute it from, such as a single reading of a counter */
  | 'too-few-readings'
  /** a minute had more readings than are stored (READINGS_PER_ROW_MAX) */
  | 'readings-not-kept'
  /** retention has dropped the minutes */
  | 'minutes-not-kept'
  /** beyond the range of doubles */
  | 'out-of-range'

/** Everything known about one row of an answer. */
export interface RowFacts {
  readonly rollup: Rollup
  /** undefined: not read; a reason: they can't be */
  readonly steps: StepSums | MissingReason | undefined
  readonly lengthMs: number
}

/** A number, or why it is missing. */
type NumberOrReason = number | MissingReason

export interface Statistic {
  readonly name: string
  /** names of its columns; the first is that of the statistic */
  readonly columns: readonly string[]
  /** it needs steps, and so the readings in minutes */
  readonly needsSteps: boolean
  /** it needs the distribution of the values */
  readonly needsDistribution: boolean
  /** one per column; times in ms since the epoch. @param facts of a row with at least one reading */
  read (facts: RowFacts): NumberOrReason[]
}

/** Columns with a time. */
export const timeColumns: ReadonlySet<string> = new Set(['firstTime', 'lastTime'])

/** Columns that are not filled: count, times and errors. */
export function isFillable (column: string): boolean {
  return column !== 'count' && !timeColumns.has(column) && !column.endsWith('Error')
}

function ofRollup (name: string, read: (rollup: Rollup) => number | null): Statistic {
  return {
    name,
    columns: [name],
    needsSteps: false,
    needsDistribution: false,
    read: ({ rollup }) => {
      const value = read(rollup)
      return [value !== null && Number.isFinite(value) ? value : 'out-of-range']
    }
  }
}

function ofSteps (name: string, read: (steps: StepSums, lengthMs: number) => number | undefined): Statistic {
  return {
    name,
    columns: [name],
    needsSteps: true,
    needsDistribution: false,
    read: ({ steps, lengthMs }) => {
      if (typeof steps === 'string') return [steps]
      if (steps === undefined) throw new Error(`${name} needs steps`)
      if (steps.isLost) return ['readings-not-kept']
      const value = read(steps, lengthMs)
      if (value === undefined) return ['too-few-readings']
      return [Number.isFinite(value) ? value : 'out-of-range']
    }
  }
}

function percentile (name: string, share: Fraction): Statistic {
  return {
    name,
    columns: [name, `${name}Error`],
    needsSteps: false,
    needsDistribution: true,
    read: ({ rollup }) => {
      const { value, error } = quantile(rollup, share)
      return [value, Number.isFinite(error) ? error : 'out-of-range']
    }
  }
}

function timed (name: string, read: (rollup: Rollup) => [value: number, timeMs: number]): Statistic {
  return {
    name,
    columns: [name, `${name}Time`],
    needsSteps: false,
    needsDistribution: false,
    read: ({ rollup }) => read(rollup)
  }
}

const named: readonly Statistic[] = [
  ofRollup('count', it => it.count),
  ofRollup('sum', total),
  ofRollup('avg', average),
  ofRollup('min', it => it.min),
  ofRollup('max', it => it.max),
  percentile('median', { part: 1, whole: 2 }),
  ofRollup('stddev', standardDeviation),
  timed('first', it => [it.firstValue, it.firstMs]),
  timed('last', it => [it.lastValue, it.lastMs]),
  ofSteps('increase', ({ increase, steps }) => steps === 0 ? undefined : roundSum(increase)),
  ofSteps('rate', ({ increase, steps }, lengthMs) => steps === 0 ? undefined : divideSum(increase, lengthMs, 1000)),
  ofSteps('timeWeightedAvg', ({ weighted, heldMs }) => heldMs.high === 0 ? undefined : divideSums(weighted, heldMs))
]

/** Names of the statistics, for messages. */
export const statisticNames: readonly string[] = [...named.map(it => it.name), 'p0 … p100']

/** Their columns, without the unlimited ones of percentiles. */
export const namedColumns: readonly string[] = named.flatMap(it => it.columns)

/** @returns undefined: there is no such statistic */
export function findStatistic (name: string): Statistic | undefined {
  const found = named.find(it => it.name === name)
  if (found) return found
  const parts = /^p(\d{1,3})(?:\.(\d{1,9}))?$/.exec(name)
  if (parts === null) return undefined
  const whole = String(Number(parts[1]))
  const fraction = (parts[2] ?? '').replace(/(?<!0)0+$/, '')
  // decimal, because no double is 99.9
  const share = { part: Number(whole + fraction), whole: 100 * 10 ** fraction.length }
  return share.part > share.whole
    ? undefined
    : percentile(
      fraction === '' ? `p${whole}` : `p${whole}.${fraction}`, share
    )
}
