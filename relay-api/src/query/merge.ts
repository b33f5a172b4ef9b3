/**
 * Merge: rows as they are read become one rollup. Rows of several source partitions, series and levels all merge alike,
 * in any order.
 *
 * At an edge, the readings that lie in the range are cut out of each device's minute. A minute that had more readings
 * than its row may keep has given them up; then the whole minute is taken instead, of all devices, so that the numbers
 * are those of one range, and `coverage` says which.
 */
import {
  decodeBody, emptyRollup, foldReadings, mergeRollup, MINUTE_MS, type DecodedRow, type Readings, type Rollup,
  type RollupRow
} from 'relay-common'

import type { Plan, TimeRange } from './plan.ts'

/** A row of one of the rollup tables, with what its series is. */
export interface ReadRow extends Pick<RollupRow, 'bucketStartMs' | 'count' | 'min' | 'max' | 'body'> {
  /** which of the plan's edges the row is for; undefined: its bucket counts as a whole */
  readonly edge: number | undefined
  readonly zone: string
  readonly deviceType: string
}

/** All readings of a selection, and where they came from. */
export interface Merged {
  readonly rollup: Rollup
  readonly zones: ReadonlySet<string>
  readonly deviceTypes: ReadonlySet<string>
  /** the range that the rollup is of */
  readonly coverage: TimeRange
}

export interface Merge {
  /** @throws RelayError RELAY_ROLLUP_CORRUPT */
  add (row: ReadRow): void
  /** What all rows that were added make together. To be called once, after the last of them. */
  finish (): Merged
}

export function createMerge (plan: Plan): Merge {
  const total = emptyTally()
  const edges = plan.edges.map(edge => ({ edge, cut: emptyTally(), whole: emptyTally(), hasLostReadings: false }))

  const addToEdge = (at: number, row: ReadRow, { rollup, readings }: DecodedRow) => {
    const side = edges[at]
    mergeInto(side.whole, rollup, row)
    if (readings === undefined) {
      side.hasLostReadings = true
      return
    }
    const inRange = cut(readings, side.edge)
    if (inRange.timesMs.length === 0) return
    foldReadings(side.cut.rollup, inRange)
    remember(side.cut, row)
  }

  return {
    add (row) {
      const decoded = decodeBody(row)
      if (row.edge === undefined) mergeInto(total, decoded.rollup, row)
      else addToEdge(row.edge, row, decoded)
    },
    finish () {
      let { startMs, endMs } = plan.coverage
      for (const { edge, cut, whole, hasLostReadings } of edges) {
        const part = hasLostReadings ? whole : cut
        mergeRollup(total.rollup, part.rollup)
        for (const zone of part.zones) total.zones.add(zone)
        for (const deviceType of part.deviceTypes) total.deviceTypes.add(deviceType)
        if (!hasLostReadings) continue
        startMs = Math.min(startMs, edge.bucketMs)
        endMs = Math.max(endMs, edge.bucketMs + MINUTE_MS)
      }
      return { ...total, coverage: { startMs, endMs } }
    }
  }
}

interface Tally {
  readonly rollup: Rollup
  readonly zones: Set<string>
  readonly deviceTypes: Set<string>
}

function emptyTally (): Tally {
  return { rollup: emptyRollup(), zones: new Set(), deviceTypes: new Set() }
}

function mergeInto (tally: Tally, rollup: Rollup, source: ReadRow): void {
  mergeRollup(tally.rollup, rollup)
  remember(tally, source)
}

function remember (tally: Tally, { zone, deviceType }: ReadRow): void {
  tally.zones.add(zone)
  tally.deviceTypes.add(deviceType)
}

/** The readings of a minute that lie in a range. */
function cut ({ timesMs, values }: Readings, { startMs, endMs }: TimeRange): Readings {
  const start = firstAtOrAfter(timesMs, startMs)
  const end = firstAtOrAfter(timesMs, endMs)
  return { timesMs: timesMs.slice(start, end), values: values.slice(start, end) }
}

function firstAtOrAfter (sortedMs: readonly number[], timeMs: number): number {
  const at = sortedMs.findIndex(it => it >= timeMs)
  return at === -1 ? sortedMs.length : at
}
