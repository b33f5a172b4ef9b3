/**
 * Parameters that say whose: `device`, `zone` and `type`, each any number of times. A series is selected when it is of
 * one of the devices, in one of the zones and of one of the types that were given; what is not given selects all.
 *
 * Every route of `/api/v1` reads its selection here, and every statement takes its conditions from `seriesCondition`.
 * What a caller may see is part of the selection: a name that is outside of it is refused here, and whatever else is
 * not allowed is left out by the statements.
 */
import { ID_UNITS_MAX, mayDevice, mayZone, RelayError, type Grants } from 'relay-common'
import { Type, type Static, type TObject } from 'typebox'

import { idsOf, type Granted } from '../query/granted-series.ts'
import { prefixRanges, type IdRange } from '../query/prefix-ranges.ts'
import { didYouMean } from './nearest.ts'

/**
 * Control characters are in no event, and PostgreSQL refuses one of them (U+0000). Written so that every language with
 * generated clients reads it: \p{Cc} needs a flag in JavaScript, and Go knows no \u.
 */
export const WITHOUT_CONTROLS_PATTERN = '^[^\\x00-\\x1F\\x7F-\\x9F]*$'

/** A name as events have it. */
export const Name = Type.String({ minLength: 1, maxLength: ID_UNITS_MAX, pattern: WITHOUT_CONTROLS_PATTERN })

/** More are a list that belongs into a zone or a type, and a URL that proxies refuse. */
const NAMES_MAX = 200

const Names = (what: string) => Type.Array(Name, {
  maxItems: NAMES_MAX, default: [], description: `only ${what}; may be repeated`
})

/** To be spread into the query schema of a route that takes a selection. */
export const selectionParameters = {
  device: Names('this device'),
  zone: Names('this zone'),
  type: Names('this device type')
}

export type SelectionQuery = Static<TObject<typeof selectionParameters>>

/**
 * What a caller may see of a selection. Where it may see some devices alone, and those are all that its zones have, it has the
 * zones and no prefixes, and whatever would be outside; every statement then makes sure that there is nothing.
 */
export type SeenGrants = Grants & { readonly outside?: Outside }

export interface Outside {
  readonly zones: readonly string[]
  /** of ids of devices */
  readonly ranges: readonly IdRange[]
}

/** Sorted, each name once; an empty list selects all. */
export interface Selection {
  readonly devices: readonly string[]
  readonly zones: readonly string[]
  readonly types: readonly string[]
  /** of the caller */
  readonly grants: SeenGrants
  /** its series, where they were found before: then no statement looks for them by names */
  readonly granted?: Granted
}

/** @throws RelayError RELAY_DEVICE_TYPE_UNKNOWN, RELAY_FORBIDDEN */
export function readSelection (
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

/** @throws RelayError RELAY_FORBIDDEN for a device or zone that the caller may not ask about by its name */
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

/** Whether what is selected can be told from the series of devices alone; else group series have it, and fewer rows. */
export function selectsDevices ({ devices, grants }: Pick<Selection, 'devices' | 'grants'>): boolean {
  return devices.length > 0 || grants.devicePrefixes !== undefined
}

/** Whether the series of a selection are found by the ids of devices, or their own, and not by zone or type. */
export function isFound ({ devices, granted }: Pick<Selection, 'devices' | 'granted'>): boolean {
  return devices.length > 0 || granted !== undefined
}

/** @param values as below */
export function grantedCondition (granted: Granted, values: unknown[]): string {
  return `s.series_id = any($${values.push(idsOf(granted))}::integer[])`
}

/**
 * A column of a row `s` of the table series, as conditions of statements name it. Where devices are named, a series is found
 * by its device, and by nothing else: as an expression zone and type can use no index, so that no statistics may make
 * PostgreSQL go through the 300,000 devices of a zone for the one that was asked for.
 */
export function seriesColumn (name: 'device_id' | 'zone' | 'device_type', namesDevices: boolean): string {
  return namesDevices && name !== 'device_id' ? `(s.${name} || '')` : `s.${name}`
}

/**
 * The condition under which a row `s` of the table series is that of a device, or of a group. The indexes on zone and type
 * are those of devices alone, and PostgreSQL takes them only where the length is asked for in their own words. Where series
 * are found by devices or ids the condition is one that no index has.
 */
export function kindCondition (kind: 'devices' | 'groups', namesDevices = false): string {
  if (kind === 'groups') return 's.device_id is null'
  return namesDevices ? "(s.device_id || '') is not null" : '(s.device_id is not null and length(s.device_id) > 0)'
}

/**
 * The condition under which a row `s` of the table series is one that a caller may see.
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
      : [...namesDevices ? [] : stretchAround(devicePrefixes, values), `s.device_id ^@ any($${values.push(devicePrefixes)}::text[])`]
  ]
}

/** The stretch of an index that all prefixes are in: `^@` alone is none. */
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

/** The SQLSTATE (division by zero) with which a statement fails that reads whole zones of a caller who may not see them any more. */
export const NOT_WHOLE = '22012'

/** The condition under which nothing is outside; where something is, the statement fails. @param values as below */
export function wholeCondition ({ outside }: SeenGrants, values: unknown[]): string[] {
  return outside === undefined ? [] : [`1 / (not ${hasOutside(outside, values)})::integer = 1`]
}

/** What tells the texts of two conditions of grants apart. */
export function shapeOfGrants ({ zones, devicePrefixes, outside }: SeenGrants): string {
  return `${zones ? 'gz' : ''}${outside ? 'w' : ''}${devicePrefixes === undefined ? '' : devicePrefixes.length === 0 ? 'g0' : 'gd'}`
}

/** What tells the texts of two conditions apart: a part of the name of a prepared statement. */
export function shapeOf ({ devices, zones, types, grants, granted }: Selection): string {
  if (granted) return 'ids'
  const given = { d: devices.length > 0, z: zones.length > 0, t: types.length > 0 }
  return Object.entries(given).map(([field, it]) => it ? field : '').join('') + shapeOfGrants(grants)
}

/**
 * The condition of a statement under which a row `s` of the table series is selected.
 * @param values of the statement's parameters; those of the condition are added
 * @param namesDevices whether the statement finds series by their devices or ids, also where the selection has none
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
