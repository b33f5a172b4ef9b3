/**
 * Fill: the values of rows without readings.
 *
 *     none       nothing: they are left out
 *     null       their numbers are null, their count is 0
 *     previous   the numbers of the last row before them, in time, that has readings; in the range or before it
 *     linear     on a straight line from that one to the next that has readings; null at the ends
 *
 * Rows come in the order of the answer, and wait as a range until the next one with readings is known. A group without
 * readings to fill from has no rows.
 */
import { interpolate } from 'relay-rollups'

import {
  columnsOf, ordinalOf, rowOf, type Fill, type Numbers, type CursorPosition, type RowsQuery
} from './rows-query.ts'
import { isFillable, type MissingReason } from './statistics.ts'

export interface FilledRow {
  /** index of its boundaries */
  readonly row: number
  readonly numbers: Numbers
}

export interface Anchor {
  readonly row: number
  readonly numbers: Numbers
}

export interface FillSettings {
  readonly fill: Fill
  /** whether rows are in descending order of time */
  readonly isDescending: boolean
  /** by row: its middle, the point of a straight line */
  readonly middleMs: (row: number) => number
  /** by column: whether it can be filled; others are null */
  readonly fillable: readonly boolean[]
}

/**
 * The rows between two with readings.
 * @param before the last one with readings of this group so far; undefined: none yet
 * @param after the next one; undefined: the group ends here
 * @param rows those between them, in the order of the answer
 */
export function * fillBetween (
  before: Anchor | undefined, after: Anchor | undefined, rows: Iterable<number>,
  { fill, isDescending, middleMs, fillable }: FillSettings
): Generator<FilledRow> {
  if (fill === 'none' || (before === undefined && after === undefined)) return
  const [earlier, later] = isDescending ? [after, before] : [before, after]
  const nulls = fillable.map(() => null)
  for (const row of rows) {
    if (fill === 'previous' && earlier) {
      yield { row, numbers: earlier.numbers.map((it, n) => fillable[n] ? it : null) }
    } else if (fill === 'linear' && earlier && later) {
      const startMs = middleMs(earlier.row)
      // middles are at half ms
      const [part, whole] = [2 * (middleMs(row) - startMs), 2 * (middleMs(later.row) - startMs)]
      const numbers = earlier.numbers.map((a, n) => {
        const b = later.numbers[n]
        return fillable[n] && a !== null && b !== null ? interpolate(a, b, part, whole) : null
      })
      yield { row, numbers }
    } else {
      yield { row, numbers: nulls }
    }
  }
}

export interface AnswerRow {
  readonly key: string
  readonly startMs: number
  readonly endMs: number
  readonly numbers: Numbers
  /** by statistic: the reason of a missing number */
  readonly unavailable: Readonly<Record<string, MissingReason>> | undefined
  readonly isFilled: boolean
  /** it changed after it may have been final */
  readonly isRevised: boolean
}

/**
 * A row with readings, or the end of a group's rows. The last row before the range (`look-back.ts`) comes before the
 * first of a group that can't be filled otherwise.
 */
export type FoundRow =
  | { readonly kind: 'before', readonly key: string, readonly numbers: Numbers }
  | { readonly kind: 'row', readonly key: string, readonly ordinal: number, readonly facts: RowNumbers }
  | { readonly kind: 'group-end', readonly key: string }

export interface RowNumbers {
  readonly startMs: number
  readonly endMs: number
  readonly numbers: Numbers
  readonly unavailable: Readonly<Record<string, MissingReason>> | undefined
  readonly isRevised: boolean
}

/** Inserts the rows without readings. */
export interface Filler {
  /** Handles the next row with readings, after the filled rows before it. @returns with the index of each row */
  rowsOf (found: FoundRow): Generator<AnswerRow & { readonly row: number }>
  /** the last row with readings of the current group, for a `Position`: one in the range */
  anchor (): CursorPosition['anchor']
}

/** In place of the index of a row: it is before the range. */
const BEFORE_ALL = -1

export function createFiller (query: RowsQuery): Filler {
  const { boundaries, after, statistics, fill, isDescending } = query
  const columns = columnsOf(statistics)
  const settings: FillSettings = {
    fill,
    isDescending,
    middleMs: row => (boundaries.at(row) + boundaries.at(row + 1)) / 2,
    fillable: columns.map(isFillable)
  }
  const counts = columns.map(it => it === 'count')
  let key = after?.key
  let next = after === undefined ? 0 : ordinalOf(query, after.startMs) + 1 // ordinal, in the group of `key`
  let anchor: Anchor | undefined = after?.anchor &&
    { row: boundaries.lastAtOrBefore(after.anchor.startMs), numbers: after.anchor.numbers }
  let before: Anchor | undefined // of a group whose first row in time has no readings

  const rowsUpTo = function * (end: number) {
    for (let ordinal = next; ordinal < end; ordinal++) yield rowOf(query, ordinal)
  }
  const filledUpTo = function * (end: number, upcoming: Anchor | undefined) {
    for (const { row, numbers } of fillBetween(anchor, upcoming, rowsUpTo(end), settings)) {
      yield {
        row,
        key: key!,
        startMs: boundaries.at(row),
        endMs: boundaries.at(row + 1),
        numbers: numbers.map((it, n) => counts[n] ? 0 : it),
        unavailable: undefined,
        isFilled: true,
        isRevised: false
      }
    }
  }

  return {
    * rowsOf (found) {
      if (found.key !== key) {
        key = found.key
        next = 0
        anchor = undefined
        before = undefined
      }
      if (found.kind === 'before') {
        before = { row: BEFORE_ALL, numbers: found.numbers }
        if (!isDescending) anchor ??= before
        return
      }
      if (found.kind === 'group-end') {
        yield * filledUpTo(boundaries.length - 1, isDescending ? before : undefined)
        return
      }
      const row = rowOf(query, found.ordinal)
      const upcoming = { row, numbers: found.facts.numbers }
      yield * filledUpTo(found.ordinal, upcoming)
      anchor = upcoming
      next = found.ordinal + 1
      yield { row, key, ...found.facts, isFilled: false }
    },
    anchor: () => fill === 'none' || !anchor || anchor.row === BEFORE_ALL
      ? undefined
      : { startMs: boundaries.at(anchor.row), numbers: anchor.numbers }
  }
}
