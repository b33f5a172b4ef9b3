/**
 * Groups of an answer. Without `groupBy` all selected series are one group; otherwise each device, zone or type is one,
 * sorted by the bytes of its name.
 *
 * Unless devices are named, whole buckets of zones and types come from group series: one for all devices of a zone and
 * type.
 */
import type { Database } from 'relay-common'

import {
  isFound, kindCondition, selectsDevices, seriesColumn, seriesCondition, shapeOf, type Selection
} from '../parameters/selection.ts'
import type { Asker } from '../sharing/asker.ts'
import { idStretches, inStretch, shapeOfStretches } from './granted.ts'
import type { Group, GroupBy } from './group-by.ts'
import { groupsOfGranted, seriesOf } from './pieces.ts'

const columnOf: Readonly<Record<GroupBy, string>> = { device: 's.device_id', zone: 's.zone', type: 's.device_type' }

/** SQL of the name of a group. */
export function groupColumn (groupBy: GroupBy | undefined): string {
  return groupBy === undefined ? "''::text" : columnOf[groupBy]
}

/**
 * The same for comparisons with names. @param namesDevices as in `seriesColumn`: then no index of zones or types is
 * used
 */
export function groupKey (groupBy: GroupBy | undefined, namesDevices: boolean): string {
  if (groupBy === undefined || groupBy === 'device') return groupColumn(groupBy)
  return seriesColumn(groupBy === 'zone' ? 'zone' : 'device_type', namesDevices)
}

/** Whether whole buckets come from the series of devices; otherwise from group series. */
export function readsDeviceSeries (selection: Selection, groupBy: GroupBy | undefined): boolean {
  return selectsDevices(selection) || groupBy === 'device'
}

export type SeriesKind = 'devices' | 'groups'

/** Assumed number of source partitions of a zone's group: the default of a topic. */
export const PARTITIONS_GUESS = 8

/**
 * Reads the next groups that have any series.
 * @param after name of the last group, returned again with `isIncluded`; undefined: start with the first
 */
export async function readGroups (
  database: Database, selection: Selection, groupBy: GroupBy | undefined, kind: SeriesKind,
  after: { readonly key: string, readonly isIncluded: boolean } | undefined, limit: number
): Promise<Group[]> {
  if (groupBy === 'device' && selection.devices.length === 0) {
    return await readDeviceGroups(database, selection, after, limit)
  }
  if (selection.granted && groupBy !== 'device') {
    const groups = groupsOfGranted(selection.granted, groupBy)
    const first = after === undefined
      ? 0
      : groups.findIndex(it =>
        compareBytes(it.key, after.key) >= (after.isIncluded ? 0 : 1))
    return first === -1 ? [] : groups.slice(first, first + limit)
  }
  const values: unknown[] = []
  const condition = seriesCondition(selection, values)
  const column = groupColumn(groupBy)
  const from = after && groupBy ? `and ${column} ${after.isIncluded ? '>=' : '>'} $${values.push(after.key)}` : ''
  const name = `groups by ${groupBy ?? 'all'} of ${kind} where ${shapeOf(selection)} from ${after?.isIncluded}`
  const rows = await database.queryPrepared<{ key: string, series_count: number }>(name, `
    select ${column} as key, count(*)::integer as series_count
    from series s
    where ${kindCondition(kind, isFound(selection))} and ${condition} ${from}
    group by 1 order by 1 limit $${values.push(limit)}`, values)
  return rows.map(it => ({ key: it.key, seriesCount: it.series_count }))
}

/** By ranges of the index of devices: each returns at most a page, so none is read to its end. */
async function readDeviceGroups (
  database: Database, selection: Selection, after: { readonly key: string, readonly isIncluded: boolean } | undefined,
  limit: number
): Promise<Group[]> {
  const values: unknown[] = [limit]
  const from = after ? `and s.device_id ${after.isIncluded ? '>=' : '>'} $${values.push(after.key)}` : ''
  const name = `groups by device ${shapeOfStretches(selection, 'few')} from ${after?.isIncluded}`
  const rows = await database.queryPrepared<{ key: string, series_count: number }>(name, `
    select d.key, sum(d.series_count)::integer as series_count
    from ${idStretches(selection, values, 'few')} cross join lateral (
      select s.device_id as key, count(*) as series_count from series s where ${inStretch(selection, values, 'few')} ${from}
      group by 1 order by 1 limit $1) d
    group by 1 order by 1 limit $1`, values)
  return rows.map(it => ({ key: it.key, seriesCount: it.series_count }))
}

function compareBytes (a: string, b: string): number { return Buffer.compare(Buffer.from(a), Buffer.from(b)) }

/** A selection of more series is counted as a long answer is read: each 100,000 of them take PostgreSQL some 40 ms. */
const SHORT_COUNT_MAX = 20_000

/**
 * How many series of devices are selected.
 * @param max where they are more, how many does not matter
 * @returns at most `max` and one
 * @throws RelayError RELAY_BUDGET_EXCEEDED, RELAY_ANSWERS_BUSY, RELAY_DATABASE_UNREACHABLE
 */
export async function countDeviceSeries (
  database: Database, selection: Selection, max: number, asker: Asker
): Promise<number> {
  if (selection.granted) return seriesOf(selection.granted)
  const count = async (limit: number) => {
    const values: unknown[] = [limit]
    const condition = seriesCondition(selection, values)
    const [{ count }] = await database.queryPrepared<{ count: number }>(`count of devices where ${shapeOf(selection)}`, `
      select count(*)::integer as count from (
        select from series s where ${kindCondition('devices', isFound(selection))} and ${condition} limit $1) s`, values)
    return count
  }
  const few = await count(Math.min(max, SHORT_COUNT_MAX) + 1)
  if (few <= SHORT_COUNT_MAX || few > max) return few
  asker.becomeLong()
  return await count(max + 1)
}

/** Number of groups that may have rows. */
export async function countGroups (
  database: Database, selection: Selection, groupBy: GroupBy | undefined
): Promise<number> {
  if (groupBy === undefined) return 1
  if (selection.granted && groupBy !== 'device') return groupsOfGranted(selection.granted, groupBy).length
  const values: unknown[] = []
  const condition = seriesCondition(selection, values)
  const [{ count }] = await database.query<{ count: number }>(`
    select count(distinct ${columnOf[groupBy]})::integer as count from series s
    where ${kindCondition(readsDeviceSeries(selection, groupBy) ? 'devices' : 'groups', isFound(selection))} and ${condition}`, values)
  return count
}
