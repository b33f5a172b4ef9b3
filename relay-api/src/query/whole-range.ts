/** A range as one row per group: for routes that rank or compare. */
import { HOUR_MS, type TimeRange } from 'relay-common'

import type { Selection } from '../parameters/selection.ts'
import { aggregate } from './aggregate.ts'
import { boundariesAt } from './boundaries.ts'
import type { AnswerRow } from './fill.ts'
import type { RowSource } from './group-rows.ts'
import type { GroupBy } from './group-by.ts'
import { planRange, type KeptSince } from './plan.ts'
import type { Statistic } from './statistics.ts'

export interface WholeRangeQuestion {
  readonly selection: Selection
  readonly groupBy: GroupBy | undefined
  readonly statistics: readonly Statistic[]
  readonly range: TimeRange
  readonly keptSince: KeptSince
  readonly nowMs: number
}

/** As in `/aggregates` by default. */
const MAX_GAP_MS = HOUR_MS

/**
 * The range of an answer from rows of the whole range: the requested one, wider where the stored data is coarser.
 * @param rows all of them; each may be wider still, if its first or last minute does not store its readings
 */
export function coverageOf (
  { range, keptSince }: Pick<WholeRangeQuestion, 'range' | 'keptSince'>, rows: Iterable<TimeRange>
): TimeRange {
  const { coverage } = planRange(range, keptSince)
  if (coverage.startMs >= coverage.endMs) return range // by retention nothing is left
  let { startMs, endMs } = coverage
  for (const row of rows) {
    startMs = Math.min(startMs, row.startMs)
    endMs = Math.max(endMs, row.endMs)
  }
  return { startMs, endMs }
}

/**
 * Reads one row of each group with readings in the range, one after the other, because there may be as many groups as
 * devices.
 * @throws RelayError RELAY_DATABASE_UNREACHABLE, RELAY_ROLLUP_CORRUPT
 */
export async function * readWholeRange (
  source: RowSource, { selection, groupBy, statistics, range, keptSince, nowMs }: WholeRangeQuestion
): AsyncGenerator<AnswerRow> {
  const { coverage } = planRange(range, keptSince)
  if (coverage.startMs >= coverage.endMs) return
  for await (const rows of aggregate(source, {
    selection,
    groupBy,
    statistics,
    boundaries: boundariesAt(coverage.startMs, coverage.endMs),
    isDescending: false,
    fill: 'none',
    lookBack: undefined,
    limit: Infinity,
    after: undefined,
    maxGapMs: MAX_GAP_MS,
    nowMs,
    keptSince,
    marksRevised: false
  })) yield * rows
}
