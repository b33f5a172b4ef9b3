/**
 * Finds the series of devices that a caller may see by prefix. Group series include all devices, so queries of such a
 * caller on zones and types read the series of devices. They are found once per answer, by the index, and read in
 * pieces (`pieces.ts`):
 *
 *     prefixes ──▶ stretches of ids ──(zone, device)──▶ ids of series ──▶ pieces ──▶ one statement each
 *
 * Often the prefixes include all devices of a zone. One look-up per range between the prefixes checks whether a device
 * is outside. If none is, the caller may see the group series, for as long as that holds.
 */
import { RelayError, type Database } from 'relay-common'

import { hasOutside, NOT_WHOLE, seriesColumn, type Selection } from '../parameters/selection.ts'
import { tooManySeries, type Asker } from '../sharing/asker.ts'
import type { Granted, GrantedSeries } from './granted-series.ts'
import { prefixRanges, rangesOutside } from './prefix-ranges.ts'

/** Above all ids of series, which are `integer`. */
const SERIES_END = 2 ** 31
/** An answer with more series, ten pieces, counts as long. */
const SHORT_SERIES_MAX = 20_000

/** Whether the series of a selection must be found before reading. */
export function needsGranted ({ devices, grants }: Pick<Selection, 'devices' | 'grants'>): boolean {
  return devices.length === 0 && grants.devicePrefixes !== undefined
}

/** Look-ups per statement, for a zone and range each. */
const LOOK_UPS_MAX = 200

/**
 * Finds the series of a selection if the caller has prefixes and names no device.
 * @returns the selection with them, or without the prefixes if these exclude nothing
 * @throws RelayError RELAY_TOO_MANY_POINTS, RELAY_BUDGET_EXCEEDED, RELAY_ANSWERS_BUSY, RELAY_DATABASE_UNREACHABLE
 */
export async function findGranted (database: Database, selection: Selection, asker: Asker): Promise<Selection> {
  if (!needsGranted(selection)) return selection
  const whole = await seeWhole(database, selection)
  if (whole) return whole
  const shortMax = Math.min(asker.seriesMax, SHORT_SERIES_MAX)
  const few = await readGranted(database, selection, shortMax)
  if (few) return { ...selection, granted: few }
  if (shortMax === asker.seriesMax) throw tooManySeries(asker.seriesMax)
  asker.becomeLong() // so it takes a turn among long answers before PostgreSQL looks for all series
  const all = await readGranted(database, selection, Math.min(asker.seriesMax, SERIES_END))
  if (all === undefined) throw tooManySeries(asker.seriesMax)
  return { ...selection, granted: all }
}

/** @returns undefined: some devices of its zones are not visible, or the check is too expensive */
async function seeWhole (database: Database, selection: Selection): Promise<Selection | undefined> {
  const { devicePrefixes = [], ...grants } = selection.grants
  const zones = zonesOf(selection)
  const ranges = rangesOutside(devicePrefixes)
  if (zones === undefined || zones.length * ranges.length > LOOK_UPS_MAX) return undefined
  const outside = { zones, ranges }
  const values: unknown[] = []
  const [{ has_outside: hasSome }] = await database.queryPrepared<{ has_outside: boolean }>('outside', `
    select ${hasOutside(outside, values)} as has_outside`, values)
  return hasSome ? undefined : { ...selection, grants: { ...grants, outside } }
}

/** A database that reports clearly when a caller may no longer see all devices of a zone. */
export function reportChangedZones (database: Database): Database {
  const report = (error: Error) => {
    if ((error as { code?: string }).code !== NOT_WHOLE) throw error
    throw new RelayError(
      'RELAY_ANSWERS_BUSY', 'the devices of a zone changed while the answer was read; try again', { cause: error }
    )
  }
  return {
    ...database,
    query: (sql, values, whom) => database.query<never>(sql, values, whom).catch(report),
    queryPrepared: (name, sql, values, whom) => database.queryPrepared<never>(name, sql, values, whom).catch(report),
    streamPrepared: (name, sql, values, visit, whom) =>
      database.streamPrepared(name, sql, values, visit, whom).catch(report)
  }
}

/** @returns undefined: there are more than that */
async function readGranted (database: Database, selection: Selection, max: number): Promise<Granted | undefined> {
  const values: unknown[] = []
  const series: GrantedSeries[] = []
  let position = 0n
  // ids come packed: as rows, those of a large zone would take the event loop for as long as PostgreSQL
  await database.streamPrepared(`granted ${shapeOfStretches(selection)}`, `
    select pg_snapshot_xmin(pg_current_snapshot())::text, null, null
    union all (select s.zone, s.device_type, string_agg(int4send(s.series_id), '') from (
      select s.series_id, s.zone, s.device_type from ${idStretches(selection, values)} cross join lateral (
        select s.series_id, s.zone, s.device_type from series s where ${inStretch(selection, values)} offset 0) s
      limit $${values.push(max + 1)}) s
      group by s.zone, s.device_type)`, values, columns => {
    const [zone, type, ids] = columns as [string, string, Buffer | null]
    if (ids === null) position = BigInt(zone)
    else series.push({ zone, type, ids: Int32Array.from({ length: ids.length / 4 }, (_, n) => ids.readInt32BE(4 * n)) })
  })
  return series.reduce((sum, it) => sum + it.ids.length, 0) > max ? undefined : { series, position }
}

/** Whether ranges are of each zone: for any number of zones, for a few, or for one; otherwise a zone is a condition. */
type ByZone = 'each' | 'few' | 'one'

const zonesMaxOf: Readonly<Record<ByZone, number>> = { each: Infinity, few: 200, one: 1 }

/** `FROM` of the selected ranges of ids, `p`; and of zones, `z`, if they are of zones. */
export function idStretches (selection: Selection, values: unknown[], byZone: ByZone = 'each'): string {
  const ranges = prefixRanges(selection.grants.devicePrefixes ?? [''])
  const parameter = (texts: readonly string[]) => `$${values.push(texts)}::text[]`
  const stretches =
    `unnest(${parameter(ranges.map(it => it.from))}, ${parameter(ranges.map(it => it.before))}) as p (from_id, before_id)`
  return isByZone(selection, byZone)
    ? `unnest(${parameter(zonesOf(selection)!)}) as z (zone) cross join ${stretches}`
    : stretches
}

/** The condition that a row `s` of series is of a device in such a range. */
export function inStretch (selection: Selection, values: unknown[], byZone: ByZone = 'each'): string {
  const { types } = selection
  const zones = zonesOf(selection)
  // by (zone, device), or by (device, zone, type): as expressions zone and type match no other index
  const oneOf = (column: 'zone' | 'device_type', names: readonly string[]) =>
    `${seriesColumn(column, true)} = any($${values.push(names)}::text[])`
  return [
    ...isByZone(selection, byZone)
      ? ['s.zone = z.zone and length(s.device_id) > 0']
      : zones
        ? [oneOf('zone', zones)]
        : [],
    's.device_id >= p.from_id and s.device_id < p.before_id',
    ...types.length === 0 ? [] : [oneOf('device_type', types)]
  ].join(' and ')
}

/** Distinguishes the texts of such statements. */
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
