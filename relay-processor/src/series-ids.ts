/** Ids of series, in the database. */
import assert from 'node:assert/strict'

import type { Database } from 'relay-common'

import type { SeriesName } from './store.ts'

interface Row {
  readonly series_id: number
  readonly device_id: string | null
  readonly zone: string
  readonly device_type: string
}

/**
 * Looks up the ids of series, and adds those that are missing. One that another processor adds at the same moment gets
 * the id that is there first.
 * @returns in the order of the names
 */
export async function nameSeries (database: Database, names: readonly SeriesName[]): Promise<number[]> {
  if (names.length === 0) return []
  const ids = new Map<string, number>()
  const note = (rows: readonly Row[]) => {
    for (const row of rows) ids.set(seriesKey(row.device_id, row.zone, row.device_type), row.series_id)
    return names.filter(it => !ids.has(seriesKey(it.deviceId, it.zone, it.deviceType)))
  }

  // what is there is looked up first: an insert that conflicts burns an id
  let missing = note(await findSeries(database, names))
  if (missing.length > 0) missing = note(await addSeries(database, missing))
  if (missing.length > 0) missing = note(await findSeries(database, missing))
  assert.equal(missing.length, 0, 'every series has an id now')
  return names.map(it => ids.get(seriesKey(it.deviceId, it.zone, it.deviceType))!)
}

async function findSeries (database: Database, names: readonly SeriesName[]): Promise<Row[]> {
  return await database.query<Row>(`
    select s.series_id, s.device_id, s.zone, s.device_type
    from unnest($1::text[], $2::text[], $3::text[]) as k (device_id, zone, device_type)
    join series s on s.device_id = k.device_id and s.zone = k.zone and s.device_type = k.device_type
    union all
    select s.series_id, s.device_id, s.zone, s.device_type
    from unnest($1::text[], $2::text[], $3::text[]) as k (device_id, zone, device_type)
    join series s on s.device_id is null and s.zone = k.zone and s.device_type = k.device_type
    where k.device_id is null`, columns(names))
}

async function addSeries (database: Database, names: readonly SeriesName[]): Promise<Row[]> {
  return await database.query<Row>(`
    insert into series (device_id, zone, device_type)
    select * from unnest($1::text[], $2::text[], $3::text[])
    on conflict do nothing
    returning series_id, device_id, zone, device_type`, columns(names))
}

function columns (names: readonly SeriesName[]) {
  return [names.map(it => it.deviceId), names.map(it => it.zone), names.map(it => it.deviceType)]
}

function seriesKey (deviceId: string | null, zone: string, deviceType: string): string {
  return [deviceId ?? '', zone, deviceType].join('\n') // ids are not empty and hold no control characters
}
