/** How many devices there are, by zone and by type. */
import type { Database } from 'relay-common'

import { kindCondition, seriesCondition, type Selection } from '../parameters/selection.ts'

/**
 * Counts the selected devices of each zone, or of each type. A device that has moved counts in both places.
 * @throws RelayError RELAY_DATABASE_UNREACHABLE
 */
export async function countDevices (
  database: Database, selection: Selection, by: 'zone' | 'device_type'
): Promise<Map<string, number>> {
  const values: unknown[] = []
  const condition = seriesCondition(selection, values)
  const rows = await database.query<{ name: string, devices: number }>(`
    select name, count(*)::integer as devices
    from (select distinct s.${by} as name, s.device_id from series s where ${kindCondition('devices', selection.devices.length > 0)} and ${condition}) s
    group by name`, values)
  return new Map(rows.map(it => [it.name, it.devices]))
}
