/**
 * Reads consecutive rows of an answer for some groups, from the cache if possible.
 *
 *     each group is one zone, one type, both, one device or all      what is in memory, and else rows (`read-total.ts`)
 *     else: devices by name, several zones, very many groups …       all groups by one statement (`read-buckets.ts`)
 */
import type { Database } from 'relay-common'
import { lastAtOrBefore } from 'relay-rollups'

import type { Asker } from '../sharing/asker.ts'
import type { ArrivalTotals } from './late-readings.ts'
import { rowsRevisedBy } from './row-status.ts'
import type { Plan } from './plan.ts'
import { grantedOf } from './pieces.ts'
import { readBuckets, type BucketQuery, type MergedRow, type MergedRows } from './read-buckets.ts'
import type { TotalReader, Totals } from './read-total.ts'
import type { SeriesFilter } from './rows-statement.ts'

/** Source of rows: the database and its state. */
export interface RowSource {
  readonly database: Database
  readonly totals: TotalReader
  readonly asker: Asker
  /** gets the counts of a selection's arrivals, from its first row to its last, if they come with its rows */
  noteArrivals? (totals: ArrivalTotals): void
}

/** A requested range has at most two; rows on a clock that is off by seconds have two each. */
const EDGES_MAX = 2
/** Of more groups than these few will be asked for again soon: one statement for all of them is cheaper. */
const GROUPS_IN_MEMORY_MAX = 100
/**
 * Groups that are asked for at once: most of what a batch saves, and no more than one client's share of the
 * connections.
 */
const GROUPS_AT_ONCE = 10

/**
 * Reads one plan per row. All numbers of a group are of one moment.
 * @param keys of the groups
 * @throws RelayError RELAY_DATABASE_UNREACHABLE, RELAY_ROLLUP_CORRUPT
 */
export async function readGroupRows (
  { database, totals, asker, noteArrivals }: RowSource, query: BucketQuery, keys: readonly string[],
  plans: readonly Plan[], nowMs: number
): Promise<MergedRows> {
  const edges = plans.reduce((sum, it) => sum + it.edges.length, 0)
  const selections = keys.map(key => selectionOf(query, key))
  if (
    plans.length === 0 || edges > EDGES_MAX || keys.length > GROUPS_IN_MEMORY_MAX ||
    !selections.every(it => it !== undefined)
  ) {
    return await readBuckets(database, query, keys, plans, asker)
  }

  const rows: MergedRows = new Map()
  for (let first = 0; first < keys.length; first += GROUPS_AT_ONCE) {
    await Promise.all(keys.slice(first, first + GROUPS_AT_ONCE).map(async (key, n) => {
      const read = await totals.readTotals(selections[first + n], plans, nowMs, query, asker)
      rows.set(key, rowsOf(read, plans))
      if (keys.length === 1 && query.marksRevised) noteArrivals?.(read.arrivals.totals)
    }))
  }
  return rows
}

/** @returns undefined if the group has several named devices, zones or types */
function selectionOf ({ selection, groupBy }: BucketQuery, key: string): SeriesFilter | undefined {
  if (groupBy === 'device') return undefined // each has few rows, and one statement reads them for all
  const { devices, grants } = selection
  const zones = groupBy === 'zone' ? [key] : selection.zones
  const types = groupBy === 'type' ? [key] : selection.types
  if (Math.max(devices.length, zones.length, types.length) > 1) return undefined
  const { granted } = grantedOf(selection, groupBy, [key])
  return { deviceId: devices[0], zone: zones[0], deviceType: types[0], grants, ...granted ? { granted } : {} }
}

function rowsOf ({ merged, arrivals: { late } }: Totals, plans: readonly Plan[]): Map<number, MergedRow> {
  const ranges = plans.map(it => it.coverage)
  const starts = ranges.map(it => it.startMs)
  const revised = new Set(late.flatMap(it => [...rowsRevisedBy(it, ranges, lastAtOrBefore(starts, it.hourMs))]))
  const rows = new Map<number, MergedRow>()
  for (const [n, it] of merged.entries()) {
    if (it.rollup.count > 0) rows.set(n, { ...it, isRevised: revised.has(n) })
  }
  return rows
}
