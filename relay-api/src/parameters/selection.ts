/**
 * Parameters that select series: `device`, `zone` and `type`, each repeatable. A series is selected if it matches one
 * of the given devices, one of the zones and one of the types; a missing parameter selects all.
 *
 * Every route of `/api/v1` reads its selection here, and every statement gets its conditions from `seriesCondition`.
 * The grants of the caller are part of the selection: a named device or zone outside of them is refused here, and
 * statements exclude everything else.
 */
import { mayDevice, mayZone, type Grants } from 'relay-access'
import { RelayError } from 'relay-common'
import { ID_UNITS_MAX } from 'relay-rollups'
import { Type, type Static, type TObject } from 'typebox'

import { idsOf, type Granted } from '../query/granted-series.ts'
import { prefixRanges, type IdRange } from '../query/prefix-ranges.ts'
import { didYouMean } from './nearest.ts'

/**
 * Events contain no control characters, and PostgreSQL rejects one of them (U+0000). Written for all languages with
 * generated clients: \p{Cc} needs a flag in JavaScript, and Go has no \u.
 */
export const WITHOUT_CONTROLS_PATTERN = '^[^\\x00-\\x1F\\x7F-\\x9F]*$'

/** A name as in events. */
export const Name = Type.String({ minLength: 1, maxLength: ID_UNITS_MAX, pattern: WITHOUT_CONTROLS_PATTERN })

/** Longer lists should be a zone or type, and proxies refuse their URLs. */
const NAMES_MAX = 200

const Names = (what: string) => Type.Array(Name, {
  maxItems: NAMES_MAX, default: [], description: `only ${what}; may be repeated`
})

/** For the query schema of a route with a selection. */
export const selectionParameters = {
  device: Names('this device'),
  zone: Names('this zone'),
  type: Names('this device type')
}

export type SelectionQuery = Static<TObject<typeof selectionParameters>>

/**
 * What a caller may see of a selection. If it may see devices by prefix, and those are all devices of its zones, it has
 * the zones, no prefixes, and the ranges outside; every statement then checks that nothing is outside.
 */
export type SeenGrants = Grants & { readonly outside?: Outside }

export interface Outside {
  readonly zones: readonly string[]
  /** of device ids */
  readonly ranges: readonly IdRange[]
}

/** Sorted, each name once; an empty list selects all. */
export interface Selection {
  readonly devices: readonly string[]
  readonly zones: readonly string[]
  readonly types: readonly string[]
  /** of the caller */
  readonly grants: SeenGrants
  /** its series, if found before: then no statement looks for them by name */
  readonly granted?: Granted
}

/** @throws RelayError RELAY_DEVICE_TYPE_UNKNOWN, RELAY_FORBIDDEN */
export function parseSelection (
  query: Partial<SelectionQuery>, deviceTypes: ReadonlySet<string>, grants: Grants
): Selection {
  const names = (given: readonly string[] = []) => [...new Set(given)].sort()
  const types = names(query.type)
  for (const type of types) {
    if (deviceTypes.has(type)) continue
    throw new RelayError('RELAY_DEVICE_TYPE_UNKNOWN',
      `type must be one of ${[...deviceTypes].join(', ')}${didYouMean(type, deviceTypes)}`, { parameter: 'type' })
  }
  const selection = { devices: names(query.device), zones: names(query.zone), types, grants }
  refuseForbidden(selection)
  return selection
}

/** @throws RelayError RELAY_FORBIDDEN for a named device or zone that the caller may not see */
export function refuseForbidden (
  { devices, zones, grants }: Pick<Selection, 'devices' | 'zones' | 'grants'>
): void {
  if (!devices.every(it => mayDevice(grants, it))) {
    throw new RelayError('RELAY_FORBIDDEN', 'you may not see this device', { parameter: 'device' })
  }
  if (!zones.every(it => mayZone(grants, it))) {
    throw new RelayError('RELAY_FORBIDDEN', 'you may not see this zone', { parameter: 'zone' })
  }
}

/** Whether the selection needs the series of devices; otherwise group series have it, with fewer rows. */
export function selectsDevices ({ devices, grants }: Pick<Selection, 'devices' | 'grants'>): boolean {
  return devices.length > 0 || grants.devicePrefixes !== undefined
}

/** Whether the series are found by the ids of devices, or by their own ids, and not by zone or type. */
export function isFound ({ devices, granted }: Pick<Selection, 'devices' | 'granted'>): boolean {
  return devices.length > 0 || granted !== undefined
}

/** @param values as below */
export function grantedCondition (granted: Granted, values: unknown[]): string {
  return `s.series_id = any($${values.push(idsOf(granted))}::integer[])`
}

/**
 * A column of a row `s` of the table series, for conditions. If devices are named, a series is found only by its
 * device: zone and type are expressions that match no index, so no statistics can make PostgreSQL read the 300,000
 * devices of a zone to find one.
 */
export function seriesColumn (name: 'device_id' | 'zone' | 'device_type', namesDevices: boolean): string {
  return namesDevices && name !== 'device_id' ? `(s.${name} || '')` : `s.${name}`
}

/**
 * The condition that a row `s` of the table series is that of a device, or of a group. The indexes on zone and type are
 * partial, and PostgreSQL uses them only for exactly their condition. If series are found by devices or ids, the
 * condition matches no index.
 */
export function kindCondition (kind: 'devices' | 'groups', namesDevices = false): string {
  if (kind === 'groups') return 's.device_id is null'
  return namesDevices ? "(s.device_id || '') is not null" : '(s.device_id is not null and length(s.device_id) > 0)'
}

/**
 * The condition that a caller may see a row `s` of the table series.
 * @param values as below
 * @param namesDevices whether the statement finds series by the ids of their devices
 */
export function grantsCondition (
  { zones, devicePrefixes }: Grants, values: unknown[], namesDevices: boolean
): string[] {
  return [
    ...zones === undefined ? [] : [`${seriesColumn('zone', namesDevices)} = any($${values.push(zones)}::text[])`],
    ...devicePrefixes === undefined
      ? []
      : [
          ...namesDevices ? [] : stretchAround(devicePrefixes, values),
        `s.device_id ^@ any($${values.push(devicePrefixes)}::text[])`
        ]
  ]
}

/** The range of an index that contains all prefixes: `^@` alone sets none. */
function stretchAround (prefixes: readonly string[], values: unknown[]): string[] {
  const ranges = prefixRanges(prefixes)
  if (ranges.length === 0) return ['false']
  return [`s.device_id >= $${values.push(ranges[0].from)} and s.device_id < $${values.push(ranges[ranges.length - 1].before)}`]
}

/** Whether a zone has a device in a range, as an SQL expression. @param values as below */
export function hasOutside ({ zones, ranges }: Outside, values: unknown[]): string {
  const texts = (them: readonly string[]) => `$${values.push(them)}::text[]`
  return `exists (
      select from unnest(${texts(zones)}) as z (zone)
        cross join unnest(${texts(ranges.map(it => it.from))}, ${texts(ranges.map(it => it.before))}) as o (from_id, before_id)
        cross join lateral (
          select from series s where s.zone = z.zone and length(s.device_id) > 0 and s.device_id >= o.from_id and s.device_id < o.before_id
          limit 1) s)`
}

/** The SQLSTATE (division by zero) of a statement on whole zones whose caller may no longer see all of them. */
export const NOT_WHOLE = '22012'

/** The condition that nothing is outside; otherwise the statement fails. @param values as below */
export function wholeCondition ({ outside }: SeenGrants, values: unknown[]): string[] {
  return outside === undefined ? [] : [`1 / (not ${hasOutside(outside, values)})::integer = 1`]
}

/** Distinguishes the texts of two conditions of grants. */
export function shapeOfGrants ({ zones, devicePrefixes, outside }: SeenGrants): string {
  return `${zones ? 'gz' : ''}${outside ? 'w' : ''}${devicePrefixes === undefined ? '' : devicePrefixes.length === 0 ? 'g0' : 'gd'}`
}

/** Distinguishes the texts of two conditions: part of the name of a prepared statement. */
export function shapeOf ({ devices, zones, types, grants, granted }: Selection): string {
  if (granted) return 'ids'
  const given = { d: devices.length > 0, z: zones.length > 0, t: types.length > 0 }
  return Object.entries(given).map(([field, it]) => it ? field : '').join('') + shapeOfGrants(grants)
}

/**
 * The condition that a row `s` of the table series is selected.
 * @param values parameters of the statement; those of the condition are added
 * @param namesDevices whether the statement finds series by devices or ids, even if the selection does not
 */
export function seriesCondition (selection: Selection, values: unknown[], namesDevices = isFound(selection)): string {
  const { devices, zones, types, grants, granted } = selection
  if (granted) return grantedCondition(granted, values)
  const oneOf = (column: Parameters<typeof seriesColumn>[0], names: readonly string[]) =>
    names.length === 0 ? [] : [`${seriesColumn(column, namesDevices)} = any($${values.push(names)}::text[])`]
  const conditions = [
    ...oneOf('device_id', devices), ...oneOf('zone', zones), ...oneOf('device_type', types),
    ...grantsCondition(grants, values, namesDevices), ...wholeCondition(grants, values)
  ]
  return conditions.length === 0 ? 'true' : conditions.join(' and ')
}
