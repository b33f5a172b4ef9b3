/** Rollups in the database: rows are read back by key and written in batches; missing partitions are created. */
import { once } from 'node:events'

import type { Database, PoolClient } from 'relay-common'
import { deviceBlockOf, lateBlockOf, levels, MINUTE_MS, minuteLevel, type Level } from 'relay-rollups'
import { from as copyFrom } from 'pg-copy-streams'

import { COPY_COLUMNS, copyStream } from './copy-rows.ts'
import type { BucketKey, Elsewhere, PartitionRows, StoredRow } from './store.ts'

interface FoundRow {
  /** from 1: index of the key */
  place: number
  count: bigint
  min: number
  max: number
  body: Buffer
}

/**
 * Reads rows of a level by key.
 * @returns in the order of the keys; undefined: no such row
 */
export async function readStoredRows (
  database: Pick<Database, 'queryPrepared'>, level: Level, sourcePartition: number, keys: readonly BucketKey[]
): Promise<Array<StoredRow | undefined>> {
  const found: Array<StoredRow | undefined> = new Array(keys.length).fill(undefined)
  for (let first = 0; first < keys.length; first += KEYS_MAX) {
    const chunk = keys.slice(first, first + KEYS_MAX)
    // A look-up by key per row: the first one of a bucket at or after this partition. `order by` and `limit 1` make
    // other plans more expensive, whatever the statistics say. A join would read all partitions of a level. `limit 1`
    // alone makes a table walk look cheap if statistics say that most rows are equal
    const rows = await database.queryPrepared<FoundRow>(`read-back-${level.name}`, `
      select k.place::integer, r.count, r.min, r.max, r.body
      from unnest($1::integer[], $2::timestamptz[]) with ordinality as k (series_id, bucket_start, place)
      cross join lateral (
        select source_partition, count, min, max, body from ${level.table} r
        where r.series_id = k.series_id and r.bucket_start = k.bucket_start and r.source_partition >= $3
          and r.bucket_start between $4::timestamptz and $5::timestamptz
        order by r.source_partition limit 1
      ) r
      where r.source_partition = $3`,
    // one text: late readings may need a million, and the driver would search each for quotes
    [`{${chunk.map(it => it.seriesId).join()}}`, `{${chunk.map(it => isoTime(it.bucketMs)).join()}}`, sourcePartition,
      // all keys are between these two, so the planner excludes other partitions
      ...[Math.min, Math.max].map(of => isoTime(chunk.reduce((time, it) => of(time, it.bucketMs), chunk[0].bucketMs)))])
    for (const { place, count, ...row } of rows) found[first + place - 1] = { ...row, count: Number(count) }
  }
  return found
}

/** Reads what other source partitions have of minutes of devices (store.ts). */
export async function readElsewhere (
  database: Pick<Database, 'queryPrepared'>, sourcePartition: number, keys: readonly BucketKey[]
): Promise<Elsewhere> {
  const found = { rows: keys.map((): StoredRow[] => []), journal: [] as Buffer[] }
  for (let first = 0; first < keys.length; first += KEYS_MAX) {
    const chunk = keys.slice(first, first + KEYS_MAX)
    // by the key of each minute, as above
    const rows = await database.queryPrepared<Omit<FoundRow, 'place'> & { place: number | null }>('read elsewhere', `
      select k.place::integer, r.count, r.min, r.max, r.body
      from unnest($1::integer[], $2::timestamptz[]) with ordinality as k (series_id, bucket_start, place)
      cross join lateral (
        select source_partition, count, min, max, body from ${minuteLevel.table} r
        where r.series_id = k.series_id and r.bucket_start = k.bucket_start
        order by r.source_partition limit 10000
      ) r
      where r.source_partition <> $3
      union all
      select null, null, null, null, j.body
      from unnest($4::integer[]) as b (block)
      cross join lateral (
        select * from journal j where j.block = b.block and j.source_partition <> $3
          and j.first_time < $6::timestamptz and j.last_time >= $5::timestamptz offset 0
      ) j`,
    [`{${chunk.map(it => it.seriesId).join()}}`, `{${chunk.map(it => isoTime(it.bucketMs)).join()}}`, sourcePartition,
      [...new Set(chunk.flatMap(it => [deviceBlockOf(it.seriesId), lateBlockOf(it.seriesId)]))],
      isoTime(chunk.reduce((time, it) => Math.min(time, it.bucketMs), Infinity)),
      isoTime(chunk.reduce((time, it) => Math.max(time, it.bucketMs), -Infinity) + MINUTE_MS)])
    for (const { place, count, ...row } of rows) {
      if (place === null) found.journal.push(row.body)
      else found.rows[first + place - 1].push({ ...row, count: Number(count) })
    }
  }
  return found
}

/** Rows per statement: about a second, far below its time limit. */
const KEYS_MAX = 50_000

const isoTime = (ms: number) => new Date(ms).toISOString()

/**
 * Prepares a connection to receive rows. Its temporary tables for them are empty outside of a transaction.
 *
 * A processor that is paused in a transaction holds the progress of its partitions, and their next owner waits. So the
 * server ends such transactions (since PostgreSQL 17 also those paused within a COPY).
 *
 * TimescaleDB refuses an upsert that decompresses more than 100,000 rows: a thousand per series with a late reading, so
 * a hundred late devices would block the flush forever. Without TimescaleDB the setting is a name without effect.
 */
export async function prepareIncoming (client: PoolClient): Promise<void> {
  await client.query(`
    set idle_in_transaction_session_timeout = '20s';
    select set_config('transaction_timeout', '5min', false) from pg_settings where name = 'transaction_timeout';
    set timescaledb.max_tuples_decompressed_per_dml_transaction = 0;
    ${levels.map(level => `
      create temporary table if not exists ${incomingTable(level)} (
        series_id integer, bucket_start timestamptz, source_partition integer,
        count bigint, sum double precision, min double precision, max double precision, body bytea
      ) on commit delete rows`).join(';')}`)
}

/**
 * Writes rows as absolute values, in the caller's transaction: new ones directly into their table, which takes half the
 * time, others through the temporary table of the connection.
 * @param isNewTrusted false: rows that should be new may exist, and are replaced
 * @throws if it is true and one exists (`isUniqueViolation`): then the transaction can only be rolled back
 */
export async function writeRows (
  client: PoolClient, writes: readonly PartitionRows[], isNewTrusted: boolean
): Promise<void> {
  for (const [index, level] of levels.entries()) {
    const fresh = writes.flatMap(it => it.rows[index].fresh)
    const changed = writes.flatMap(it => it.rows[index].changed)
    if (isNewTrusted) await copyInto(client, level.table, fresh)
    else changed.push(...fresh)
    if (changed.length === 0) continue
    await copyInto(client, incomingTable(level), changed)
    await client.query(`
      insert into ${level.table} (${COPY_COLUMNS})
      select ${COPY_COLUMNS} from ${incomingTable(level)}
      on conflict (series_id, bucket_start, source_partition) do update
        set count = excluded.count, sum = excluded.sum, min = excluded.min, max = excluded.max, body = excluded.body`)
  }
}

/** Whether a write failed because an unknown row exists. */
export function isUniqueViolation (error: unknown): boolean {
  return (error as { code?: string }).code === '23505'
}

/** Clears the temporary tables that `writeRows` fills until the transaction ends. */
export async function clearIncoming (client: PoolClient): Promise<void> {
  await client.query(`truncate ${levels.map(incomingTable).join(', ')}`)
}

function incomingTable ({ name }: Level): string {
  return `incoming_${name}`
}

async function copyInto (client: PoolClient, table: string, rows: readonly Buffer[]): Promise<void> {
  if (rows.length === 0) return
  const copy = client.query(copyFrom(`copy ${table} (${COPY_COLUMNS}) from stdin (format binary)`))
  const done = once(copy, 'finish') // an error may come at any time
  for (const chunk of copyStream(rows)) {
    if (!copy.write(chunk)) await Promise.race([once(copy, 'drain'), done])
  }
  copy.end()
  await done
}

/** In `rollup_levels`: the levels, and counts of late readings and duplicates. */
const partitionedNames = [...levels.map(it => it.name), 'arrivals']

/** Event time of a partition, in ms: from its start up to its end. */
interface PartitionTimes {
  readonly startMs: number
  readonly endMs: number
}

/** Tracks the partitions of the rollup tables, and creates missing ones before rows are written. */
export class RollupPartitions {
  readonly #database: Database
  /** by index of the name, the newest known first; merges make partitions larger, so entries stay valid */
  readonly #known: readonly PartitionTimes[][] = partitionedNames.map(() => [])

  constructor (database: Database) {
    this.#database = database
  }

  /** @param days by index of the name, for several writes: days on which buckets start; a partition has whole days */
  async ensure (days: ReadonlyArray<ReadonlyArray<ReadonlySet<number>>>): Promise<void> {
    for (const [index, name] of partitionedNames.entries()) {
      const known = this.#known[index]
      for (const dayMs of days.flatMap(it => [...it[index]])) {
        if (known.some(it => dayMs >= it.startMs && dayMs < it.endMs)) continue
        const [{ starts, ends }] = await this.#database.query<{ starts: number, ends: number }>(
          'select starts, ends from ensure_rollup_partitions($1, $2, $2)', [name, new Date(dayMs).toISOString()])
        known.unshift({ startMs: starts, endMs: ends })
      }
    }
  }

  /** Forgets the known partitions: one was dropped, because the retention was set below this program's setting. */
  forget (): void {
    for (const known of this.#known) known.length = 0
  }
}

/** Whether a write failed because a row has no partition. */
export function isPartitionMissing (error: unknown): boolean {
  const { code, constraint } = error as { code?: string, constraint?: string }
  return code === '23514' && constraint === undefined // otherwise a check constraint
}
