/** Counts devices by zone and by type, with an index in the order of their ids, so that distinct ids need no memory. */
import type { Database } from 'relay-common'

import type { Selection } from '../parameters/selection.ts'
import { idStretches, inStretch, shapeOfStretches } from './granted.ts'

/** Types per statement. */
const TYPES_AT_ONCE = 100

/**
 * Counts the selected devices of some zones. A device that has moved counts in both.
 * @param selection with the names of the zones
 * @throws RelayError RELAY_DATABASE_UNREACHABLE
 */
export async function countDevicesOfZones (database: Database, selection: Selection): Promise<Map<string, number>> {
  const values: unknown[] = []
  const rows =
    await database.queryPrepared<{ name: string, devices: number }>(`devices of zones ${shapeOfStretches(selection)}`, `
    select z.zone as name, sum(c.devices)::integer as devices from ${idStretches(selection, values)} cross join lateral (
      select count(distinct s.device_id) as devices from series s where ${inStretch(selection, values)}) c
    group by 1`, values)
  return new Map(rows.map(it => [it.name, it.devices]))
}

/**
 * Counts the selected devices of some types. A device that has sent as several counts for each of them.
 * @param selection with the names of the types
 * @throws RelayError RELAY_DATABASE_UNREACHABLE
 */
export async function countDevicesOfTypes (database: Database, selection: Selection): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for (let n = 0; n < selection.types.length; n += TYPES_AT_ONCE) {
    const types = selection.types.slice(n, n + TYPES_AT_ONCE)
    const values: unknown[] = [types]
    const asked = { ...selection, types }
    const columns = types.map((_, n) =>
      `count(distinct s.device_id) filter (where (s.device_type || '') = ($1::text[])[${n + 1}]) as c${n}`)
    // two zones may have the same ids, two ranges may not: so one zone, or all at once
    const [found] = await database.queryPrepared<{ devices: number[] }>(`devices of types ${types.length} ${shapeOfStretches(asked, 'one')}`, `
      select array[${types.map((_, n) => `coalesce(sum(c.c${n}), 0)::integer`).join(', ')}] as devices
      from ${idStretches(asked, values, 'one')} cross join lateral (
        select ${columns.join(', ')} from series s where ${inStretch(asked, values, 'one')}) c`, values)
    for (const [n, type] of types.entries()) counts.set(type, found.devices[n])
  }
  return counts
}
