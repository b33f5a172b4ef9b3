/**
 * Presence: since when a series is there, and what was heard of it last.
 *
 * Both are in the rollups of its first and of its newest day, which are found by the primary key: two look-ups a
 * series, whatever its age, and nothing that an event would have to pay for. A day has a row for each source partition
 * that had a part of it, hence `with ties`.
 */
import { decodeBody, dayLevel, type Database } from 'relay-common'

import { kindCondition, selectsDevices, seriesCondition, type Selection } from '../parameters/selection.ts'

export interface Presence {
  readonly zone: string
  readonly type: string
  /** ms since the epoch */
  readonly firstMs: number
  readonly lastMs: number
  /** the greatest where there are several of that time */
  readonly lastValue: number
}

/** A device, and what it has sent: from every zone and of every type that it was in, the newest first. */
export interface DevicePresence {
  readonly device: string
  readonly series: readonly Presence[]
}

interface Row {
  readonly device_id: string
  readonly zone: string
  readonly device_type: string
  /** of the first day, or else of the newest */
  readonly is_first: boolean
  readonly bucket_start: number
  readonly count: bigint
  readonly min: number
  readonly max: number
  readonly body: Buffer
}

/** @param series a statement with the columns device_id, zone, device_type and series_id */
function firstAndLastOf (series: string): string {
  const arm = (isFirst: boolean) => `
    select s.device_id, s.zone, s.device_type, ${isFirst} as is_first, r.bucket_start, r.count, r.min, r.max, r.body
    from found s cross join lateral (
      select * from ${dayLevel.table} r where r.series_id = s.series_id
      order by r.bucket_start ${isFirst ? 'asc' : 'desc'} fetch first 1 rows with ties) r`
  return `with found as materialized (${series}) ${arm(true)} union all ${arm(false)}`
}

/**
 * Devices in the order of their ids, by bytes.
 * @param prefix of their ids; empty: all
 * @param after id of the last one of the page before
 * @throws RelayError RELAY_DATABASE_UNREACHABLE, RELAY_ROLLUP_CORRUPT
 */
export async function readDevices (
  database: Database, selection: Selection, prefix: string, after: string | undefined, limit: number
): Promise<DevicePresence[]> {
  const values: unknown[] = [limit]
  const conditions = [seriesCondition(selection, values)]
  if (prefix !== '') conditions.push(`s.device_id ^@ $${values.push(prefix)}`)
  if (after !== undefined) conditions.push(`s.device_id > $${values.push(after)}`)
  const where = conditions.join(' and ')
  const ofDevice = seriesCondition(selection, values, true) // the id is of the page
  // a device has a few series: its page is found by its id, and then all of them
  const series = `
    select s.device_id, s.zone, s.device_type, s.series_id
    from (select distinct s.device_id from series s where ${kindCondition('devices', selection.devices.length > 0)} and ${where} order by 1 limit $1) page
    join series s on s.device_id = page.device_id and ${ofDevice}`
  const presences = await readPresences(database, firstAndLastOf(series), values)
  return [...Map.groupBy(presences, it => it.device)]
    .map(([device, series]) => ({ device, series: series.sort((a, b) => b.lastMs - a.lastMs) }))
    .sort((a, b) => Buffer.compare(Buffer.from(a.device), Buffer.from(b.device)))
}

/**
 * Names of zones, or of types, in the order of their bytes.
 * @param after the last one of the page before
 * @throws RelayError RELAY_DATABASE_UNREACHABLE
 */
export async function readGroupNames (
  database: Database, selection: Selection, by: 'zone' | 'type', after: string | undefined, limit: number
): Promise<string[]> {
  const values: unknown[] = [limit]
  const conditions = [
    kindCondition(selectsDevices(selection) ? 'devices' : 'groups', selection.devices.length > 0), seriesCondition(selection, values)
  ]
  const column = by === 'zone' ? 's.zone' : 's.device_type'
  if (after !== undefined) conditions.push(`${column} > $${values.push(after)}`)
  const rows = await database.query<{ name: string }>(`
    select distinct ${column} as name from series s where ${conditions.join(' and ')} order by 1 limit $1`, values)
  return rows.map(it => it.name)
}

/** What is selected of each zone and type: the groups of all of their devices or, where not all may be seen, the devices. */
export async function readGroupPresences (database: Database, selection: Selection): Promise<Presence[]> {
  const values: unknown[] = []
  const condition = seriesCondition(selection, values)
  return readPresences(database, firstAndLastOf(`
    select s.device_id, s.zone, s.device_type, s.series_id from series s
    where ${kindCondition(selectsDevices(selection) ? 'devices' : 'groups', selection.devices.length > 0)} and ${condition}`), values)
}

async function readPresences (
  database: Database, sql: string, values: unknown[]
): Promise<Array<Presence & { readonly device: string }>> {
  const found = new Map<string, { -readonly [K in keyof Presence]: Presence[K] } & { readonly device: string }>()
  for (const row of await database.query<Row>(sql, values)) {
    const { device_id: device, zone, device_type: type, bucket_start: bucketStartMs, count, min, max, body } = row
    const { rollup } = decodeBody({ bucketStartMs, count: Number(count), min, max, body })
    const key = [device, zone, type].join('\n') // names hold no control characters
    const presence = found.get(key) ?? { device, zone, type, firstMs: Infinity, lastMs: -Infinity, lastValue: -Infinity }
    found.set(key, presence)
    if (row.is_first) {
      presence.firstMs = Math.min(presence.firstMs, rollup.firstMs)
    } else if (rollup.lastMs >= presence.lastMs) {
      presence.lastValue = rollup.lastMs > presence.lastMs ? rollup.lastValue : Math.max(presence.lastValue, rollup.lastValue)
      presence.lastMs = rollup.lastMs
    }
  }
  return [...found.values()]
}
