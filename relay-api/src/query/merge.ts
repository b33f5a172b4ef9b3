/**
 * Merge: rows become one rollup. Rows of any source partitions, series and levels are merged alike, in any order.
 *
 * At an edge, the readings in the range are cut out of each device's minute. If a minute no longer stores its readings,
 * the whole minute is used, for all devices, so that all numbers are of one range, and `coverage` states it.
 */
import {
  cutReadings, decodeBody, emptyRollup, foldReadings, mergeRollup, mergeRow, MINUTE_MS, type DecodedRow, type Rollup,
  type RollupParts, type RollupRow, type TimeRange
} from 'relay-rollups'

import type { Plan } from './plan.ts'

/** Zone and type of a series, as shown in answers. */
export interface Source {
  readonly zone: string
  readonly deviceType: string
}

/** Data of a series in one bucket: a row of a rollup table, or readings of the journal. */
export type BucketContent = Source & { readonly bucketStartMs: number } &
  (Pick<RollupRow, 'count' | 'min' | 'max' | 'body'> | { readonly content: DecodedRow })

/** The same with the edge of the plan that it is for; undefined: the whole bucket counts. */
export type ReadRow = BucketContent & { readonly edge: number | undefined }

/** All readings of a selection, and their origin. */
export interface Merged {
  readonly rollup: Rollup
  readonly zones: ReadonlySet<string>
  readonly deviceTypes: ReadonlySet<string>
  /** the range of the rollup */
  readonly coverage: TimeRange
}

/** Readings of a selection, from any source. */
export type Tally = Pick<Merged, 'rollup' | 'zones' | 'deviceTypes'>

export interface Merge {
  /** @throws RelayError RELAY_ROLLUP_CORRUPT */
  add (row: ReadRow): void
  /** Adds merged data. */
  addTally (tally: Tally): void
  /**
   * Whether a group's minute can't answer for an edge because it has readings outside: the devices' minutes are needed.
   */
  readonly needsDeviceMinutes: boolean
  /** The merged result. Call it once, after the last row. */
  finish (): Merged
}

/** @param parts what the answer needs */
export function createMerge (plan: Plan, parts: RollupParts = 'all'): Merge {
  const total = emptyTally()
  const edges = plan.edges.map(edge => ({ edge, cut: emptyTally(), whole: emptyTally(), hasLostReadings: false }))

  const addToEdge = (at: number, row: ReadRow, { rollup, readings }: DecodedRow) => {
    const side = edges[at]
    mergeRollup(side.whole.rollup, rollup)
    remember(side.whole, row)
    if (side.edge.isOfGroups) return
    if (readings === undefined) {
      side.hasLostReadings = true
      return
    }
    const inRange = cutReadings(readings, side.edge)
    if (inRange.timesMs.length === 0) return
    foldReadings(side.cut.rollup, inRange, parts)
    remember(side.cut, row)
  }

  return {
    add (row) {
      if (row.edge === undefined) addRow(total, row, parts)
      else addToEdge(row.edge, row, 'content' in row ? row.content : decodeBody(row, parts))
    },
    addTally: tally => joinTally(total, tally),
    get needsDeviceMinutes () {
      return edges.some(({ edge, whole: { rollup } }) =>
        edge.isOfGroups && (rollup.firstMs < edge.startMs || rollup.lastMs >= edge.endMs) && rollup.count > 0)
    },
    finish () {
      let { startMs, endMs } = plan.coverage
      for (const { edge, cut, whole, hasLostReadings } of edges) {
        const part = hasLostReadings || edge.isOfGroups ? whole : cut
        joinTally(total, part)
        if (!hasLostReadings) continue
        startMs = Math.min(startMs, edge.bucketMs)
        endMs = Math.max(endMs, edge.bucketMs + MINUTE_MS)
      }
      return { ...total, coverage: { startMs, endMs } }
    }
  }
}

interface OpenTally extends Tally {
  readonly zones: Set<string>
  readonly deviceTypes: Set<string>
}

export function emptyTally (): OpenTally {
  return { rollup: emptyRollup(), zones: new Set(), deviceTypes: new Set() }
}

/** Adds a row whose whole bucket counts. @throws RelayError RELAY_ROLLUP_CORRUPT */
export function addRow (tally: OpenTally, row: ReadRow, parts: RollupParts = 'all'): void {
  if ('content' in row) mergeRollup(tally.rollup, row.content.rollup)
  else mergeRow(tally.rollup, row, parts)
  remember(tally, row)
}

/** @param into changed in place */
export function joinTally (into: OpenTally, { rollup, zones, deviceTypes }: Tally): void {
  mergeRollup(into.rollup, rollup)
  for (const zone of zones) into.zones.add(zone)
  for (const deviceType of deviceTypes) into.deviceTypes.add(deviceType)
}

function remember (tally: OpenTally, { zone, deviceType }: Source): void {
  tally.zones.add(zone)
  tally.deviceTypes.add(deviceType)
}
