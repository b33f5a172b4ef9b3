/**
 * Presence: first and last readings of a series.
 *
 * Both are in the rollups of its first and newest day, found by the primary key: two look-ups per series of any age,
 * without a cost per event. A day has a row per source partition with a part of it, hence `with ties`. Readings that
 * are not in rows yet are in the journal.
 */
import type { Database } from 'relay-common'
import { decodeBody, dayLevel } from 'relay-rollups'

import {
  isFound, kindCondition, selectsDevices, seriesCondition, shapeOf, type Selection
} from '../parameters/selection.ts'
import type { Asker } from '../sharing/asker.ts'
import { idStretches, inStretch, shapeOfStretches } from './granted.ts'
import { grantedOf, piecesOf } from './pieces.ts'
import { groupKey, readGroups, type SeriesKind } from './groups.ts'
import { allTime, createJournalCollector, journalOfMany } from './read-journal.ts'
import { prefixesWithin } from './prefix-ranges.ts'

export interface Presence {
  readonly zone: string
  readonly type: string
  /** ms since the epoch */
  readonly firstMs: number
  readonly lastMs: number
  /** the greatest if there are several at that time */
  readonly lastValue: number
}

/** A device with its series, of every zone and type that it had, the newest first. */
export interface DevicePresence {
  readonly device: string
  readonly series: readonly Presence[]
}

type Columns = [
  deviceId: string | null, zone: string, deviceType: string,
  // of the first day, or of the newest; null: of the journal, and without a body a series, with its id in count
  isFirst: boolean | null,
  bucketStartS: number, count: number, min: number, max: number, body: Buffer | null
]

/** @param series a statement with the columns device_id, zone, device_type and series_id, of one kind */
function daysOf (series: string, kind: SeriesKind, ends: ReadonlyArray<'first' | 'last'>): string {
  const arms = ends.map(end => `
    select s.device_id, s.zone, s.device_type, ${end === 'first'} as is_first, date_part('epoch', r.bucket_start), r.count::float8, r.min, r.max, r.body
    from found s cross join lateral (
      select * from ${dayLevel.table} r where r.series_id = s.series_id
      order by r.bucket_start ${end === 'first' ? 'asc' : 'desc'} fetch first 1 rows with ties) r`)
  const journal = journalOfMany({
    kind, series: 'found s where true', startTime: undefined, endTime: undefined
  }, 'of_journal',
  's.device_id, s.zone, s.device_type, null, null::float8, s.series_id::float8, null::float8, null::float8, ' +
      'null::bytea',
  'null, null, null, null, null::float8, null::float8, null::float8, null::float8, j.body')
  return `with found as materialized (${series}), ${journal.blocks} ${[...arms, ...journal.arms].join(' union all ')}`
}

/**
 * Devices in the order of their ids, by bytes.
 * @param prefix of their ids; empty: all
 * @param after id of the last device of the previous page
 * @throws RelayError RELAY_DATABASE_UNREACHABLE, RELAY_ROLLUP_CORRUPT
 */
export async function readDevices (
  database: Database, selection: Selection, prefix: string, after: string | undefined, limit: number
): Promise<DevicePresence[]> {
  const values: unknown[] = [limit]
  const page = pageOf(selection, prefix, after, values)
  // a device has few series, so its page is found by id, and then all of them
  const ofDevice = seriesCondition(selection, values, true)
  const series = `
    select s.device_id, s.zone, s.device_type, s.series_id
    from (${page}) page join series s on s.device_id = page.device_id and ${ofDevice}`
  const name = `devices where ${shapeOf(selection)} ${shapeOfStretches(selection, 'few')} ${after !== undefined}`
  const presences = await readPresences(database, name, daysOf(series, 'devices', ['first', 'last']), values)
  return [...Map.groupBy(presences, it => it.device)]
    .map(([device, series]) => ({ device, series: series.sort(byTime) }))
    .sort((a, b) => Buffer.compare(Buffer.from(a.device), Buffer.from(b.device)))
}

/**
 * The newest first; of equal times the greatest value, as within a series; then by name, so that answers do not depend
 * on the order of rows.
 */
function byTime (a: Presence, b: Presence): number {
  const [nameA, nameB] = [a, b].map(it => `${it.zone}\n${it.type}`)
  if (a.lastMs !== b.lastMs) return b.lastMs - a.lastMs
  if (a.lastValue !== b.lastValue) return a.lastValue < b.lastValue ? 1 : -1 // a difference may be infinite
  return nameA < nameB ? -1 : 1
}

/** The ids of a page: each range of an index returns at most a page, so none is read to its end. `$1` is the limit. */
function pageOf (selection: Selection, prefix: string, after: string | undefined, values: unknown[]): string {
  if (selection.devices.length > 0) {
    const ofDevices = seriesCondition(selection, values)
    const behind = after === undefined ? '' : `and s.device_id > $${values.push(after)}`
    const ofPrefix = `and s.device_id ^@ $${values.push(prefix)}`
    return `select distinct s.device_id from series s where ${kindCondition('devices', true)} and ${ofDevices} ${behind} ${ofPrefix} order by 1 limit $1`
  }
  const { grants } = selection
  const asked = {
    ...selection, grants: { ...grants, devicePrefixes: prefixesWithin(grants.devicePrefixes ?? [''], prefix) }
  }
  const stretches = idStretches(asked, values, 'few')
  const behind = after === undefined ? '' : `and s.device_id > $${values.push(after)}`
  return `
    select distinct d.device_id from ${stretches} cross join lateral (
      select distinct s.device_id from series s where ${inStretch(asked, values, 'few')} ${behind} order by 1 limit $1) d
    order by 1 limit $1`
}

/**
 * Names of zones, or of types, in the order of their bytes.
 * @param after the last one of the previous page
 * @throws RelayError RELAY_DATABASE_UNREACHABLE
 */
export async function readGroupNames (
  database: Database, selection: Selection, by: 'zone' | 'type', after: string | undefined, limit: number
): Promise<string[]> {
  const groups = await readGroups(
    database, selection, by, groupKind(selection), after === undefined ? undefined : { key: after, isIncluded: false },
    limit
  )
  return groups.map(it => it.key)
}

/** A zone with its types, or a type with its zones. */
export interface GroupPresence {
  /** the first names of the other kind, at most `OTHERS_MAX`, in order */
  readonly others: string[]
  /** of the newest reading, ms since the epoch */
  readonly lastMs: number
}

/** A type may be in every zone of a site. */
export const OTHERS_MAX = 1_000

/**
 * The selection by zone or by type: the groups of all their devices or, if not all are visible, the devices.
 * @param names of the zones or types
 * @returns by name, those with readings
 */
export async function readGroupPresences (
  database: Database, selection: Selection, by: 'zone' | 'type', names: readonly string[], asker: Asker
): Promise<Map<string, GroupPresence>> {
  const found = new Map<string, { readonly others: FirstNames, lastMs: number }>()
  const other = by === 'zone' ? 'type' : 'zone'
  for (const piece of piecesOf(grantedOf(selection, by, names))) {
    const values: unknown[] = [names]
    const ofNames = `${groupKey(by, isFound(piece))} = any($1::text[])`
    const series = `
      select s.device_id, s.zone, s.device_type, s.series_id from series s
      where ${kindCondition(groupKind(piece), isFound(piece))} and ${seriesCondition(piece, values)} and ${ofNames}`
    const name = `presence by ${by} of ${groupKind(piece)} where ${shapeOf(piece)}`
    const presences = await readPresences(database, name, daysOf(series, groupKind(piece), ['last']), values)
    for (const presence of presences) {
      const turn = asker.pace()
      if (turn) await turn
      const group = found.get(presence[by]) ?? { others: new FirstNames(OTHERS_MAX), lastMs: -Infinity }
      group.others.add(presence[other])
      group.lastMs = Math.max(group.lastMs, presence.lastMs)
      found.set(presence[by], group)
    }
  }
  return new Map([...found].map(([name, { others, lastMs }]) => [name, { others: others.sorted(), lastMs }]))
}

/** The first of any number of names, each once. It sorts some thousand at a time, so no step takes long. */
class FirstNames {
  readonly #max: number
  #names = new Set<string>()
  /** the last of those that are kept, once there are too many */
  #last: string | undefined

  constructor (max: number) { this.#max = max }

  add (name: string): void {
    if (this.#last !== undefined && name > this.#last) return
    this.#names.add(name)
    if (this.#names.size < 2 * this.#max) return
    const kept = this.sorted()
    this.#names = new Set(kept)
    this.#last = kept.at(-1)
  }

  sorted (): string[] { return [...this.#names].sort().slice(0, this.#max) }
}

function groupKind (selection: Selection): SeriesKind {
  return selectsDevices(selection) ? 'devices' : 'groups'
}

async function readPresences (
  database: Database, name: string, sql: string, values: unknown[]
): Promise<Array<Presence & { readonly device: string }>> {
  const found = new Map<string, { -readonly [K in keyof Presence]: Presence[K] } & { readonly device: string }>()
  const journal = createJournalCollector<Pick<Presence, 'zone' | 'type'> & { readonly device: string }>(allTime)
  const presenceOf = (device: string, zone: string, type: string) => {
    const key = [device, zone, type].join('\n')
    const presence = found.get(key) ?? {
      device, zone, type, firstMs: Infinity, lastMs: -Infinity, lastValue: -Infinity
    }
    found.set(key, presence)
    return presence
  }
  type Found = ReturnType<typeof presenceOf>
  const noteFirst = (presence: Found, firstMs: number) => {
    presence.firstMs = Math.min(presence.firstMs, firstMs)
  }
  const noteLast = (presence: Found, lastMs: number, lastValue: number) => {
    if (lastMs < presence.lastMs) return
    presence.lastValue = lastMs > presence.lastMs ? lastValue : Math.max(presence.lastValue, lastValue)
    presence.lastMs = lastMs
  }

  await database.streamPrepared(name, sql, values, columns => {
    const [device, zone, type, isFirst, bucketStartS, count, min, max, body] = columns as Columns
    if (isFirst === null) {
      if (body === null) journal.addSeries(count, { device: device!, zone, type })
      else journal.addRow(body)
      return
    }
    const { rollup } = decodeBody({ bucketStartMs: bucketStartS * 1000, count, min, max, body: body! })
    const presence = presenceOf(device!, zone, type)
    if (isFirst) noteFirst(presence, rollup.firstMs)
    else noteLast(presence, rollup.lastMs, rollup.lastValue)
  })
  journal.finish({
    readings ({ device, zone, type }, { timesMs, values }) {
      const presence = presenceOf(device, zone, type)
      noteFirst(presence, timesMs[0])
      noteLast(presence, timesMs[timesMs.length - 1], values[values.length - 1])
    },
    rollup ({ device, zone, type }, _, { firstMs, lastMs, lastValue }) {
      const presence = presenceOf(device, zone, type)
      noteFirst(presence, firstMs)
      noteLast(presence, lastMs, lastValue)
    }
  })
  return [...found.values()]
}
