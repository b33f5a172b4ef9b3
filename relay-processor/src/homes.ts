/** Homes of devices, and readings on their way there, in the database (misplaced.ts). */
import type { Database, PoolClient } from 'relay-common'
import type { Topic } from 'relay-event-log'

import { mergeMisplaced } from './misplaced.ts'
import type { MisplacedRow, ProgressMove, ReturnedReadings } from './store.ts'
import type { Homes } from './home.ts'

interface HomesRow {
  readonly topic_id: string
  readonly partitions: number
  readonly horizon: number | null
}

/**
 * Locks the homes of devices until the caller's transaction ends. They are assigned when a topic is first read. They
 * are assigned again when it gets more partitions, or a topic of another size replaces it; then every owner is fenced
 * in the same transaction, because its memory was based on the old homes.
 */
export async function holdHomes (client: PoolClient, topic: Topic): Promise<Homes> {
  const isKnown = (it: HomesRow | undefined) => it !== undefined && !isOutdated(it, topic)
  const known = await readHomes(client)
  // only one process assigns
  if (!isKnown(known)) await client.query("select pg_advisory_xact_lock(hashtext('relay: homes'))")
  const held = await readHomes(client, isKnown(known) ? 'for share' : 'for update')
  const row = isKnown(held) ? held! : await decideHomes(client, topic)
  return { partitions: row.partitions, horizonMs: row.horizon ?? -Infinity }
}

async function readHomes (
  client: PoolClient, lock: '' | 'for share' | 'for update' = ''
): Promise<HomesRow | undefined> {
  const { rows } = await client.query<HomesRow>(`select topic_id, partitions, horizon from homes ${lock}`)
  return rows[0]
}

/**
 * The current homes, for rebuilding rows: all readings go there, so none is elsewhere.
 * @throws RelayError RELAY_DATABASE_UNREACHABLE
 */
export async function readHomesToday (database: Database, { partitions }: Topic): Promise<Homes> {
  const [row] = await database.query<{ partitions: number }>('select partitions from homes')
  return { partitions: row?.partitions ?? partitions, horizonMs: -Infinity }
}

/** A topic only grows; a smaller number of partitions is outdated. */
function isOutdated ({ topic_id: topicId, partitions }: HomesRow, topic: Topic): boolean {
  return topicId === topic.topicId ? topic.partitions > partitions : topic.partitions !== partitions
}

async function decideHomes (client: PoolClient, { topicId, partitions }: Topic): Promise<HomesRow> {
  const { rows: [row] } = await client.query<HomesRow>(`
    with owners as (update progress set epoch = epoch + 1 returning event_time_max)
    insert into homes as h (topic_id, partitions, horizon)
    select $1::uuid, $2::integer, max(event_time_max) from owners
    on conflict (is_only) do update
      set topic_id = excluded.topic_id, partitions = excluded.partitions, horizon = greatest(h.horizon, excluded.horizon)
    returning topic_id, partitions, horizon`, [topicId, partitions])
  // a partition that no longer exists has no owner: the one that takes these readings forwards them
  await client.query(
    'update misplaced_readings set home_partition = home_partition % $1 where home_partition >= $1', [partitions])
  return row
}

/** Adds readings with another home, in the transaction that moves the progress of the partition where they arrived. */
export async function writeMisplaced (client: PoolClient, rows: readonly MisplacedRow[]): Promise<void> {
  for (const { homePartition, firstMs, settledMs, readings, seriesIds, bodies } of mergeMisplaced(rows)) {
    await client.query(`
      insert into misplaced_readings (home_partition, first_time, settled_through, readings, series_ids, bodies)
      values ($1, $2, $3, $4, $5, $6)`,
    [homePartition, toTimestamp(firstMs), toTimestamp(settledMs), readings, seriesIds, bodies])
  }
}

/**
 * Removes readings that count from now on, in the transaction of their rows.
 * @returns the partitions of which some were missing
 */
export async function removeMisplaced (client: PoolClient, moves: readonly ProgressMove[]): Promise<number[]> {
  const refused: number[] = []
  for (const { partition, taken } of moves) {
    if (taken.length === 0) continue
    const { rowCount } = await client.query(
      'delete from misplaced_readings where home_partition = $1 and id = any($2::bigint[])', [partition, taken])
    if (rowCount !== taken.length) refused.push(partition)
  }
  return refused
}

/** Whether rows of misplaced readings are still there. */
export async function areMisplaced (database: Database, { partition, taken }: ProgressMove): Promise<boolean> {
  const rows = await database.query(
    'select from misplaced_readings where home_partition = $1 and id = any($2::bigint[]) limit 1', [partition, taken])
  return rows.length > 0
}

/** Most rows that one read returns, and about as many readings: all are in memory. */
const ROWS_MAX = 1_000
const READINGS_MAX = 200_000

interface ReturnedRow {
  readonly home_partition: number
  readonly id: bigint
  readonly device_id: string
  readonly zone: string
  readonly device_type: string
  readonly settled_through: number | null
  readonly body: Buffer
}

/** Reads readings that have reached their home (store.ts). */
export async function readMisplaced (
  database: Database, wanted: ReadonlyMap<number, ReadonlySet<bigint>>
): Promise<ReturnedReadings[]> {
  const rows = await database.queryPrepared<ReturnedRow & Record<string, unknown>>('read misplaced', `
    select m.home_partition, m.id, m.settled_through, s.device_id, s.zone, s.device_type, r.body
    from (
      select *, sum(readings) over (order by id) - readings as readings_before
      from (
        select * from misplaced_readings
        where home_partition = any($1::integer[]) and not id = any($2::bigint[])
        order by id limit ${ROWS_MAX}) first) m
    cross join lateral unnest(m.series_ids, m.bodies) as r (series_id, body)
    cross join lateral (select * from series s where s.series_id = r.series_id offset 0) s
    where m.readings_before < ${READINGS_MAX}`,
  [[...wanted.keys()], [...wanted.values()].flatMap(it => [...it])])
  return rows.map(row => ({
    homePartition: row.home_partition,
    rowId: row.id,
    name: { deviceId: row.device_id, zone: row.zone, deviceType: row.device_type },
    body: row.body,
    settledMs: row.settled_through ?? -Infinity
  }))
}

/** A time as a statement parameter. @param timeMs infinite: none */
export function toTimestamp (timeMs: number): string | null {
  return Number.isFinite(timeMs) ? new Date(timeMs).toISOString() : null
}
