/**
 * Rollups in the database: read back what has left memory, write what has changed.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'

import { decodeBody, emptyReadings, emptyRollup, levels, type Database, type Level, type PoolClient } from 'relay-common'
import { from as copyFrom } from 'pg-copy-streams'

import { copyStream } from './copy-rows.ts'
import type { Partition } from './partition.ts'
import type { Series } from './series-table.ts'
import type { Unknown } from './settle.ts'
import type { MinuteWindow, RollupWindow } from './windows.ts'

interface StoredRow {
  series_id: number
  bucket_start: number
  count: bigint
  min: number
  max: number
  body: Buffer
}

/**
 * Gives ids to series that have none, in the database and in memory. A series that another processor adds at the same
 * moment gets the id that is there first.
 */
export async function ensureSeries (database: Database, unnamed: readonly Series[]): Promise<void> {
  if (unnamed.length === 0) return
  // one group is a series of its own in each partition, and has one id in all of them
  const byKey = Map.groupBy(unnamed, it => seriesKey(it.deviceId, it.zone, it.deviceType))
  const firsts = [...byKey.values()].map(([first]) => first)
  const values = [firsts.map(it => it.deviceId), firsts.map(it => it.zone), firsts.map(it => it.deviceType)]
  // what is there is looked up first: an insert that conflicts burns an id
  const find = `
    select s.series_id, s.device_id, s.zone, s.device_type
    from unnest($1::text[], $2::text[], $3::text[]) as k (device_id, zone, device_type)
    join series s on s.device_id = k.device_id and s.zone = k.zone and s.device_type = k.device_type
    union all
    select s.series_id, s.device_id, s.zone, s.device_type
    from unnest($1::text[], $2::text[], $3::text[]) as k (device_id, zone, device_type)
    join series s on s.device_id is null and s.zone = k.zone and s.device_type = k.device_type
    where k.device_id is null`
  type Row = { series_id: number, device_id: string | null, zone: string, device_type: string }
  const name = (rows: Row[]) => {
    for (const row of rows) {
      const key = seriesKey(row.device_id, row.zone, row.device_type)
      for (const series of byKey.get(key) ?? []) series.seriesId = row.series_id
      byKey.delete(key)
    }
  }

  name(await database.query<Row>(find, values))
  if (byKey.size === 0) return
  const missing = [...byKey.values()].map(([first]) => first)
  const missingValues = [missing.map(it => it.deviceId), missing.map(it => it.zone), missing.map(it => it.deviceType)]
  name(await database.query<Row>(`
    insert into series (device_id, zone, device_type)
    select * from unnest($1::text[], $2::text[], $3::text[])
    on conflict do nothing
    returning series_id, device_id, zone, device_type`, missingValues))
  if (byKey.size > 0) name(await database.query<Row>(find, missingValues))
  assert.equal(byKey.size, 0, 'every series has an id now')
}

function seriesKey (deviceId: string | null, zone: string, deviceType: string): string {
  return [deviceId ?? '', zone, deviceType].join('\n') // ids are not empty and hold no control characters
}

/** Reads windows of a partition back; one that the database does not have becomes known and empty. */
export async function readBack (database: Database, { partition }: Partition, unknown: Unknown): Promise<void> {
  for (const level of levels) {
    const minutes = level === levels[0] ? unknown.minutes : []
    const rollups = unknown.rollups.filter(it => it.level === level)
    if (minutes.length + rollups.length === 0) continue
    const rows = await readRows(database, level, partition, [...minutes, ...rollups])
    for (const window of minutes) fillMinute(window, rows.get(rowKey(window.series.seriesId, window.bucketMs)))
    for (const window of rollups) fillRollup(window, rows.get(rowKey(window.series.seriesId, window.bucketMs)))
  }
}

async function readRows (
  database: Database, level: Level, partition: number, windows: ReadonlyArray<MinuteWindow | RollupWindow>
): Promise<Map<string, StoredRow>> {
  // `limit 1` keeps this a look-up by key for each window: joined as a whole, all of a level's partitions would be read
  const rows = await database.queryPrepared<StoredRow>(`read-back-${level.name}`, `
    select r.*
    from unnest($1::integer[], $2::timestamptz[]) as k (series_id, bucket_start)
    cross join lateral (
      select series_id, bucket_start, count, min, max, body from ${level.table} r
      where r.series_id = k.series_id and r.bucket_start = k.bucket_start and r.source_partition = $3
      limit 1
    ) r`,
  [windows.map(it => it.series.seriesId), windows.map(it => new Date(it.bucketMs).toISOString()), partition])
  return new Map(rows.map(row => [rowKey(row.series_id, row.bucket_start), row]))
}

function rowKey (seriesId: number, bucketMs: number): string {
  return `${seriesId}:${bucketMs}`
}

function fillMinute (window: MinuteWindow, row: StoredRow | undefined): void {
  if (!row) {
    window.kept = { kind: 'readings', readings: emptyReadings() }
    return
  }
  const { rollup, readings } = decodeRow(row)
  window.kept = readings ? { kind: 'readings', readings } : { kind: 'rollup', rollup }
}

function fillRollup (window: RollupWindow, row: StoredRow | undefined): void {
  window.rollup = row ? decodeRow(row).rollup : emptyRollup()
}

function decodeRow (row: StoredRow) {
  return decodeBody({ bucketStartMs: row.bucket_start, count: Number(row.count), min: row.min, max: row.max, body: row.body })
}

/**
 * Makes a connection ready to take rows. The table is the connection's own, and empty outside of a transaction.
 *
 * TimescaleDB refuses an upsert that unpacks more than 100,000 compressed rows: a thousand for each series that a late
 * reading reaches, so a hundred late devices would stop the flush for good. Elsewhere the setting is a mere name.
 */
export async function prepareIncoming (client: PoolClient): Promise<void> {
  await client.query(`
    set timescaledb.max_tuples_decompressed_per_dml_transaction = 0;
    create temporary table if not exists incoming_rollups (
      level smallint, series_id integer, bucket_start timestamptz, source_partition integer,
      count bigint, sum double precision, min double precision, max double precision, body bytea
    ) on commit delete rows`)
}

/**
 * Writes rows as absolute values, inside the caller's transaction.
 * @param rows from a RowEncoder
 * @param levelsUsed indexes of the levels that they are of
 */
export async function writeRows (
  client: PoolClient, rows: readonly Buffer[], levelsUsed: ReadonlySet<number>
): Promise<void> {
  const copy = client.query(copyFrom('copy incoming_rollups from stdin (format binary)'))
  for (const chunk of copyStream(rows)) {
    if (!copy.write(chunk)) await once(copy, 'drain')
  }
  copy.end()
  await once(copy, 'finish')

  for (const [index, level] of levels.entries()) {
    if (!levelsUsed.has(index)) continue
    await client.query(`
      insert into ${level.table} as r (series_id, bucket_start, source_partition, count, sum, min, max, body)
      select series_id, bucket_start, source_partition, count, sum, min, max, body from incoming_rollups where level = ${index}
      on conflict (series_id, bucket_start, source_partition) do update
        set count = excluded.count, sum = excluded.sum, min = excluded.min, max = excluded.max, body = excluded.body`)
  }
}

/** Knows which partitions of the rollup tables are there, and has missing ones made before rows for them come. */
export class RollupPartitions {
  readonly #database: Database
  readonly #chunkMs: readonly number[]
  /** by index of the level: numbers of the chunks that are there, and of those that are wanted */
  readonly #known: ReadonlyArray<Set<number>> = levels.map(() => new Set())
  readonly #wanted: ReadonlyArray<Set<number>> = levels.map(() => new Set())

  private constructor (database: Database, chunkMs: readonly number[]) {
    this.#database = database
    this.#chunkMs = chunkMs
  }

  static async open (database: Database): Promise<RollupPartitions> {
    const rows = await database.query<{ name: string, chunk_ms: number }>(
      'select name, (extract(epoch from chunk) * 1000)::double precision as chunk_ms from rollup_levels')
    return new RollupPartitions(database, levels.map(level => rows.find(it => it.name === level.name)!.chunk_ms))
  }

  /** Notes that a row of this bucket will be written. */
  want (levelIndex: number, bucketMs: number): void {
    const chunk = Math.floor(bucketMs / this.#chunkMs[levelIndex])
    if (!this.#known[levelIndex].has(chunk)) this.#wanted[levelIndex].add(chunk)
  }

  /** Makes what is wanted and not there. */
  async ensure (): Promise<void> {
    for (const [index, level] of levels.entries()) {
      for (const chunk of this.#wanted[index]) {
        const start = new Date(chunk * this.#chunkMs[index]).toISOString()
        await this.#database.query('select ensure_rollup_partitions($1, $2, $2)', [level.name, start])
        this.#known[index].add(chunk)
        this.#wanted[index].delete(chunk)
      }
    }
  }
}
