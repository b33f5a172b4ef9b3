/** Rollups in the database: their rows are read back by key, and written in batches; missing partitions are made. */
import { once } from 'node:events'

import { decodeBody, levels, type Database, type DecodedRow, type Level, type PoolClient } from 'relay-common'
import { from as copyFrom } from 'pg-copy-streams'

import { copyStream } from './copy-rows.ts'
import type { BucketKey, PartitionRows } from './store.ts'

interface StoredRow {
  series_id: number
  bucket_start: number
  count: bigint
  min: number
  max: number
  body: Buffer
}

/**
 * Reads rows of a level, each by its key.
 * @returns in the order of the keys; undefined: there is no such row
 */
export async function readRows (
  database: Pick<Database, 'queryPrepared'>, level: Level, sourcePartition: number, keys: readonly BucketKey[]
): Promise<Array<DecodedRow | undefined>> {
  // `limit 1` keeps this a look-up by key for each row: joined as a whole, all of a level's partitions would be read
  const rows = await database.queryPrepared<StoredRow>(`read-back-${level.name}`, `
    select r.*
    from unnest($1::integer[], $2::timestamptz[]) as k (series_id, bucket_start)
    cross join lateral (
      select series_id, bucket_start, count, min, max, body from ${level.table} r
      where r.series_id = k.series_id and r.bucket_start = k.bucket_start and r.source_partition = $3
      limit 1
    ) r`,
  [keys.map(it => it.seriesId), keys.map(it => new Date(it.bucketMs).toISOString()), sourcePartition])
  const byKey = new Map(rows.map(row => [rowKey(row.series_id, row.bucket_start), row]))
  return keys.map(({ seriesId, bucketMs }) => {
    const row = byKey.get(rowKey(seriesId, bucketMs))
    return row && decodeRow(row)
  })
}

function rowKey (seriesId: number, bucketMs: number): string {
  return `${seriesId}:${bucketMs}`
}

function decodeRow (row: StoredRow): DecodedRow {
  return decodeBody({ bucketStartMs: row.bucket_start, count: Number(row.count), min: row.min, max: row.max, body: row.body })
}

/**
 * Makes a connection ready to take rows. The table is the connection's own, and empty outside of a transaction.
 *
 * A processor that is stopped in the middle of a transaction holds the progress of its partitions, and whoever takes
 * them over waits for it: the server ends such transactions (since PostgreSQL 17 also one that stops within a COPY).
 *
 * TimescaleDB refuses an upsert that unpacks more than 100,000 compressed rows: a thousand for each series that a late
 * reading reaches, so a hundred late devices would stop the flush for good. Elsewhere the setting is a mere name.
 */
export async function prepareIncoming (client: PoolClient): Promise<void> {
  await client.query(`
    set idle_in_transaction_session_timeout = '20s';
    select set_config('transaction_timeout', '5min', false) from pg_settings where name = 'transaction_timeout';
    set timescaledb.max_tuples_decompressed_per_dml_transaction = 0;
    create temporary table if not exists incoming_rollups (
      level smallint, series_id integer, bucket_start timestamptz, source_partition integer,
      count bigint, sum double precision, min double precision, max double precision, body bytea
    ) on commit delete rows`)
}

/** Writes rows as absolute values, inside the caller's transaction. */
export async function writeRows (client: PoolClient, writes: readonly PartitionRows[]): Promise<void> {
  const copy = client.query(copyFrom('copy incoming_rollups from stdin (format binary)'))
  for (const chunk of copyStream(writes.map(it => it.rows))) {
    if (!copy.write(chunk)) await once(copy, 'drain')
  }
  copy.end()
  await once(copy, 'finish')

  for (const [index, level] of levels.entries()) {
    if (writes.every(it => it.daysMs[index].size === 0)) continue
    await client.query(`
      insert into ${level.table} as r (series_id, bucket_start, source_partition, count, sum, min, max, body)
      select series_id, bucket_start, source_partition, count, sum, min, max, body from incoming_rollups where level = ${index}
      on conflict (series_id, bucket_start, source_partition) do update
        set count = excluded.count, sum = excluded.sum, min = excluded.min, max = excluded.max, body = excluded.body`)
  }
}

/** In `rollup_levels`: the levels, and what came late or again. */
const partitionedNames = [...levels.map(it => it.name), 'arrivals']

/** Knows which partitions of the rollup tables are there, and makes missing ones before rows for them come. */
export class RollupPartitions {
  readonly #database: Database
  readonly #chunkMs: readonly number[]
  /** by index of the name: numbers of the chunks that are there */
  readonly #known: ReadonlyArray<Set<number>> = partitionedNames.map(() => new Set())

  private constructor (database: Database, chunkMs: readonly number[]) {
    this.#database = database
    this.#chunkMs = chunkMs
  }

  static async open (database: Database): Promise<RollupPartitions> {
    const rows = await database.query<{ name: string, chunk_ms: number }>(
      'select name, (extract(epoch from chunk) * 1000)::double precision as chunk_ms from rollup_levels')
    return new RollupPartitions(database, partitionedNames.map(name => rows.find(it => it.name === name)!.chunk_ms))
  }

  /** @param days by index of the name, of several writes: days on which buckets begin; a chunk is of whole days */
  async ensure (days: ReadonlyArray<ReadonlyArray<ReadonlySet<number>>>): Promise<void> {
    for (const [index, name] of partitionedNames.entries()) {
      const known = this.#known[index]
      for (const dayMs of days.flatMap(it => [...it[index]])) {
        const chunk = Math.floor(dayMs / this.#chunkMs[index])
        if (known.has(chunk)) continue
        const start = new Date(chunk * this.#chunkMs[index]).toISOString()
        await this.#database.query('select ensure_rollup_partitions($1, $2, $2)', [name, start])
        known.add(chunk)
      }
    }
  }
}
