/** Numbers of a row: its statistics, from a rollup and its steps. */
import type { RowNumbers } from './fill.ts'
import type { RowsQuery } from './rows-query.ts'
import type { MergedRow } from './read-buckets.ts'
import type { MissingReason } from './statistics.ts'
import type { StepSums } from './counter-steps.ts'

/** @param steps undefined: not read */
export function numbersOf (
  { statistics, keptSince, maxGapMs }: RowsQuery, { rollup, coverage, isRevised }: MergedRow,
  steps: StepSums | undefined
): RowNumbers {
  const { startMs, endMs } = coverage
  const known = startMs - maxGapMs < keptSince.minute ? 'minutes-not-kept' : steps // the first step starts before it
  const numbers: Array<number | null> = []
  let unavailable: Record<string, MissingReason> | undefined
  for (const statistic of statistics) {
    for (const [n, found] of statistic.read({ rollup, steps: known, lengthMs: endMs - startMs }).entries()) {
      numbers.push(typeof found === 'number' ? found : null)
      if (typeof found !== 'number') (unavailable ??= {})[statistic.columns[n]] = found
    }
  }
  return { startMs, endMs, numbers, unavailable, isRevised }
}
