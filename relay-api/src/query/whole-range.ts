/** A range as one row per group: for routes that rank or compare. */
import { HOUR_MS, type TimeRange } from 'relay-rollups'

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

/** The range that an answer is really of. */
export interface Coverage {
  /** Widens it by a row of the answer. */
  include (row: TimeRange): void
  readonly range: TimeRange
}

/**
 * The requested range, wider where the stored data is coarser. Rows may be wider still, if their first or last minute
 * does not store its readings.
 */
export function createCoverage ({ range, keptSince }: Pick<WholeRangeQuestion, 'range' | 'keptSince'>): Coverage {
  const { coverage } = planRange(range, keptSince)
  let { startMs, endMs } = coverage.startMs < coverage.endMs ? coverage : range // by retention nothing is left
  return {
    include (row) {
      startMs = Math.min(startMs, row.startMs)
      endMs = Math.max(endMs, row.endMs)
    },
    get range () { return { startMs, endMs } }
  }
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
