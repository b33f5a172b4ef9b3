/** A query for rows with everything resolved, and the numbering of rows in its answer. */
import type { Selection } from '../parameters/selection.ts'
import type { GroupBy } from './group-by.ts'
import type { Boundaries } from './boundaries.ts'
import type { Interval } from './interval.ts'
import type { KeptSince } from './plan.ts'
import type { Statistic } from './statistics.ts'
import type { ZoneClock } from './zone-clock.ts'

export type Fill = 'none' | 'null' | 'previous' | 'linear'

export const fills: readonly Fill[] = ['none', 'null', 'previous', 'linear']

/** Numbers of a row, in the order of its columns. */
export type Numbers = ReadonlyArray<number | null>

/** Determines the rows before the range. */
export interface LookBack {
  readonly interval: Interval
  readonly clock: ZoneClock
  readonly keptSince: KeptSince
}

export interface RowsQuery {
  readonly selection: Selection
  readonly groupBy: GroupBy | undefined
  readonly statistics: readonly Statistic[]
  /** of the rows, ascending: row n is [boundaries.at(n), boundaries.at(n + 1)) */
  readonly boundaries: Boundaries
  readonly isDescending: boolean
  readonly fill: Fill
  /** undefined: rows are not filled from before the range */
  readonly lookBack: LookBack | undefined
  /** most rows of the answer */
  readonly limit: number
  /** the row after which it starts; undefined: at the first */
  readonly after: CursorPosition | undefined
  readonly maxGapMs: number
  readonly nowMs: number
  readonly keptSince: KeptSince
  /** whether rows say that they were revised */
  readonly marksRevised: boolean
}

/** A place in an answer: after a row. */
export interface CursorPosition {
  readonly key: string
  /** start of the row */
  readonly startMs: number
  /** the last row of this group with readings up to there: its start and numbers */
  readonly anchor: { readonly startMs: number, readonly numbers: Numbers } | undefined
}

/** The names of all columns of an answer, in order. */
export function columnsOf (statistics: readonly Statistic[]): string[] {
  return statistics.flatMap(it => it.columns)
}

/** Index of a row, from its ordinal in its group's part of the answer. */
export function rowOf ({ boundaries, isDescending }: RowsQuery, ordinal: number): number {
  return isDescending ? boundaries.length - 2 - ordinal : ordinal
}

/** The ordinal of the row that contains a time. */
export function ordinalOf (query: RowsQuery, startMs: number): number {
  return rowOf(query, query.boundaries.lastAtOrBefore(startMs)) // it is its own inverse
}
