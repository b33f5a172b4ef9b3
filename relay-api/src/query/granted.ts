/**
 * Granted: the series of devices that a caller may see, where that is devices by prefix. Group series are of all devices, so
 * what such a caller asks of zones and types is read from the series of devices. They are found once an answer, by the index,
 * and whatever is read of them is read in pieces of so many series:
 *
 *     prefixes ──▶ stretches of ids ──(zone, device)──▶ ids of series ──▶ pieces ──▶ one statement each
 *
 * So a few devices of a zone of 300,000 cost what a few devices do, and all of them many small statements, between which
 * others have their turn. Pieces are of moments one after the other; each device is of one.
 */
import type { Database, Grants } from 'relay-common'

import { seriesColumn, type Selection } from '../parameters/selection.ts'
import { tooManySeries, type Asker } from './asker.ts'
import type { GroupBy } from './groups.ts'
import { prefixRanges } from './prefix-ranges.ts'

/** Series of devices of one zone and type. */
export interface GrantedSeries {
  readonly zone: string
  readonly type: string
  readonly ids: readonly number[]
}

/** The series that were found, and when. */
export interface Granted {
  readonly series: readonly GrantedSeries[]
  /** of transactions: series that were added by this one or later ones may be missing */
  readonly position: bigint
}

/** What one statement is about. */
export const PIECE_SERIES = 2_000
/** No site has as many series: their ids are `integer`. */
const SERIES_END = 2 ** 31
/** An answer of more pieces is a long one. */
const SHORT_PIECES_MAX = 10

/** Whether the series of a selection have to be found before anything is read of them. */
export function needsGranted ({ devices, grants }: Pick<Selection, 'devices' | 'grants'>): boolean {
  return devices.length === 0 && grants.devicePrefixes !== undefined
}

/**
 * Finds the series of a selection where the caller has prefixes and names no device; else there is nothing to find.
 * @returns the selection, with them
 * @throws RelayError RELAY_TOO_MANY_POINTS, RELAY_BUDGET_EXCEEDED, RELAY_ANSWERS_BUSY, RELAY_DATABASE_UNREACHABLE
 */
export async function findGranted (database: Database, selection: Selection, asker: Asker): Promise<Selection> {
  if (!needsGranted(selection)) return selection
  const values: unknown[] = []
  const found = new Map<string, GrantedSeries & { readonly ids: number[] }>()
  let count = 0
  let position = 0n
  await database.streamPrepared(`granted ${shapeOfStretches(selection)}`, `
    select null, pg_snapshot_xmin(pg_current_snapshot())::text, null
    union all (select s.series_id, s.zone, s.device_type from ${idStretches(selection, values)} cross join lateral (
      select s.series_id, s.zone, s.device_type from series s where ${inStretch(selection, values)} offset 0) s
      limit $${values.push(Math.min(asker.seriesMax, SERIES_END) + 1)})`, values, columns => {
    const [id, zone, type] = columns as [number | null, string, string]
    if (id === null) {
      position = BigInt(zone)
      return
    }
    if (++count > asker.seriesMax) throw tooManySeries(asker.seriesMax)
    if (count === PIECE_SERIES * SHORT_PIECES_MAX + 1) asker.becomeLong()
    const key = `${zone}\n${type}` // names hold no control characters
    const group = found.get(key)
    if (group) group.ids.push(id)
    else found.set(key, { zone, type, ids: [id] })
  })
  return { ...selection, granted: { series: [...found.values()], position } }
}

/** Whether stretches are of each zone by itself: of any number of zones, of a few, or of one; else a zone is a condition. */
type ByZone = 'each' | 'few' | 'one'

const zonesMaxOf: Readonly<Record<ByZone, number>> = { each: Infinity, few: 200, one: 1 }

/** `FROM` of the stretches of ids that are selected, `p`; and of the zones, `z`, where they are of zones. */
export function idStretches (selection: Selection, values: unknown[], byZone: ByZone = 'each'): string {
  const ranges = prefixRanges(selection.grants.devicePrefixes ?? [''])
  const parameter = (texts: readonly string[]) => `$${values.push(texts)}::text[]`
  const stretches = `unnest(${parameter(ranges.map(it => it.from))}, ${parameter(ranges.map(it => it.before))}) as p (from_id, before_id)`
  return isByZone(selection, byZone) ? `unnest(${parameter(zonesOf(selection)!)}) as z (zone) cross join ${stretches}` : stretches
}

/** The condition under which a row `s` of series is of a device in such a stretch. */
export function inStretch (selection: Selection, values: unknown[], byZone: ByZone = 'each'): string {
  const { types } = selection
  const zones = zonesOf(selection)
  // by (zone, device), or by (device, zone, type): as expressions zone and type can use no other index
  const oneOf = (column: 'zone' | 'device_type', names: readonly string[]) =>
    `${seriesColumn(column, true)} = any($${values.push(names)}::text[])`
  return [
    ...isByZone(selection, byZone) ? ['s.zone = z.zone and length(s.device_id) > 0'] : zones ? [oneOf('zone', zones)] : [],
    's.device_id >= p.from_id and s.device_id < p.before_id',
    ...types.length === 0 ? [] : [oneOf('device_type', types)]
  ].join(' and ')
}

/** What tells the texts of such statements apart. */
export function shapeOfStretches (selection: Selection, byZone: ByZone = 'each'): string {
  return `${isByZone(selection, byZone) ? 'by zone' : zonesOf(selection) ? 'of zones' : ''} ${selection.types.length > 0 ? 'of types' : ''}`
}

function isByZone (selection: Selection, byZone: ByZone): boolean {
  const zones = zonesOf(selection)
  return zones !== undefined && zones.length <= zonesMaxOf[byZone]
}

/** @returns undefined: all */
function zonesOf ({ zones, grants }: Pick<Selection, 'zones' | 'grants'>): readonly string[] | undefined {
  return zones.length > 0 ? zones : grants.zones && [...new Set(grants.zones)]
}

/** The name of the group that series are of. */
export function groupOfGranted ({ zone, type }: Pick<GrantedSeries, 'zone' | 'type'>, groupBy: Exclude<GroupBy, 'device'> | undefined): string {
  return groupBy === undefined ? '' : groupBy === 'zone' ? zone : type
}

/** By group, in the order of their names' bytes: how many series they have. */
export function groupsOfGranted ({ series }: Granted, groupBy: Exclude<GroupBy, 'device'> | undefined): Map<string, number> {
  const counts = new Map<string, number>()
  for (const it of series) {
    const key = groupOfGranted(it, groupBy)
    counts.set(key, (counts.get(key) ?? 0) + it.ids.length)
  }
  return new Map([...counts].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))))
}

/** What has series that were found, such as a selection. */
interface MayBeGranted {
  readonly grants?: Grants
  readonly granted?: Granted
}

/** The same for some groups alone. */
export function grantedOf<S extends MayBeGranted> (selection: S, groupBy: GroupBy | undefined, keys: readonly string[]): S {
  const { granted } = selection
  if (granted === undefined || groupBy === undefined || groupBy === 'device') return selection
  const wanted = new Set(keys)
  const series = granted.series.filter(it => wanted.has(groupOfGranted(it, groupBy)))
  return { ...selection, granted: { ...granted, series } }
}

/** How many series were found. @param granted undefined: none were looked for */
export function seriesOf (granted: Granted | undefined): number {
  return granted?.series.reduce((sum, it) => sum + it.ids.length, 0) ?? 0
}

/** A selection cut into such as one statement may be about; one alone where its series were not found before, or are none. */
export function piecesOf<S extends MayBeGranted> (selection: S): S[] {
  const { granted } = selection
  if (granted === undefined) return [selection]
  const pieces: S[] = []
  let piece: GrantedSeries[] = []
  let left = PIECE_SERIES
  const end = () => {
    pieces.push({ ...selection, granted: { ...granted, series: piece } })
    piece = []
    left = PIECE_SERIES
  }
  for (const { ids, ...group } of granted.series) {
    for (let n = 0; n < ids.length;) {
      const some = ids.slice(n, n + left)
      piece.push({ ...group, ids: some })
      n += some.length
      left -= some.length
      if (left === 0) end()
    }
  }
  if (piece.length > 0 || pieces.length === 0) end()
  return pieces
}
