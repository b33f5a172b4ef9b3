/**
 * Ids of series in the database.
 *
 * Senders choose names, their number, and which are new. They must not choose the plan too. So a name is looked up as a
 * range from itself to itself in the one index with all its columns. A row comparison can use no other index, and
 * `order by` and `limit 1` make other plans more expensive, whatever the statistics say.
 */
import assert from 'node:assert/strict'

import type { Database } from 'relay-common'

import type { NewSeries } from './store.ts'

interface Row {
  readonly series_id: number
  readonly device_id: string | null
  readonly zone: string
  readonly device_type: string
}

/**
 * Looks up the ids of series, and adds missing ones. If another processor adds one at the same time, the first id wins.
 * @returns in the order of the names
 */
export async function nameSeries (database: Database, names: readonly NewSeries[]): Promise<number[]> {
  if (names.length === 0) return []
  const ids = new Map<string, number>()
  const note = (rows: readonly Row[]) => {
    for (const row of rows) ids.set(seriesKey(row.device_id, row.zone, row.device_type), row.series_id)
    return names.filter(it => !ids.has(seriesKey(it.deviceId, it.zone, it.deviceType)))
  }

  // look-up first: a conflicting insert wastes an id
  let missing = note(await findSeries(database, names))
  for (const [of, ofPartition] of Map.groupBy(missing, it => it.idsOf)) note(await addSeries(database, of, ofPartition))
  missing = note([])
  if (missing.length > 0) missing = note(await findSeries(database, missing))
  assert.equal(missing.length, 0, 'every series needs an id')
  return names.map(it => ids.get(seriesKey(it.deviceId, it.zone, it.deviceType))!)
}

/** Names per statement: about 100 ms, far below its time limit. */
const NAMES_MAX = 10_000

async function findSeries (database: Database, names: readonly NewSeries[]): Promise<Row[]> {
  return await inChunks(names, async chunk => await database.query<Row>(`
    select s.series_id, s.device_id, s.zone, s.device_type
    from unnest($1::text[], $2::text[], $3::text[]) as k (device_id, zone, device_type)
    cross join lateral (
      select * from series s
      where (s.device_id, s.zone, s.device_type) >= (k.device_id, k.zone, k.device_type)
        and (s.device_id, s.zone, s.device_type) <= (k.device_id, k.zone, k.device_type)
      order by s.device_id, s.zone, s.device_type limit 1) s
    union all
    select s.series_id, s.device_id, s.zone, s.device_type
    from unnest($1::text[], $2::text[], $3::text[]) as k (device_id, zone, device_type)
    cross join lateral (
      select * from series s
      where s.device_id is null
        and (s.zone, s.device_type) >= (k.zone, k.device_type) and (s.zone, s.device_type) <= (k.zone, k.device_type)
      order by s.device_id, s.zone, s.device_type limit 1) s
    where k.device_id is null`, columns(chunk)))
}

/** @param of the partition whose devices get neighbouring ids (journal) */
async function addSeries (database: Database, of: number, names: readonly NewSeries[]): Promise<Row[]> {
  return await inChunks(names, async chunk => {
    const taken = await database.query<{ id: number }>('select take_series_ids($1, $2) as id', [of, chunk.length])
    // in the order of names: two processors that add the same ones wait for each other without a deadlock
    return await database.query<Row>(`
      insert into series (series_id, device_id, zone, device_type) overriding system value
      select * from unnest($1::integer[], $2::text[], $3::text[], $4::text[]) as k (series_id, device_id, zone, device_type)
      order by 2, 3, 4
      on conflict do nothing
      returning series_id, device_id, zone, device_type`, [taken.map(it => it.id), ...columns(chunk)])
  })
}

async function inChunks (
  names: readonly NewSeries[], ask: (chunk: readonly NewSeries[]) => Promise<Row[]>
): Promise<Row[]> {
  const rows: Row[] = []
  for (let n = 0; n < names.length; n += NAMES_MAX) {
    for (const row of await ask(names.slice(n, n + NAMES_MAX))) rows.push(row)
  }
  return rows
}

function columns (names: readonly NewSeries[]) {
  return [names.map(it => it.deviceId), names.map(it => it.zone), names.map(it => it.deviceType)]
}

function seriesKey (deviceId: string | null, zone: string, deviceType: string): string {
  return [deviceId ?? '', zone, deviceType].join('\n') // ids are not empty and contain no control characters
}
