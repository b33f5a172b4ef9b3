/** Commits of rollups, as announced by processors (`rollup_commits`): changes since a position. */
import type { Database } from 'relay-common'

import { CURRENT_HISTORY } from '../database-history.ts'
import type { CurrentPosition, StreamPosition } from './position.ts'

/** Buckets of one level that one or several transactions have changed. Times in ms since the epoch. */
export interface Change {
  readonly levelIndex: number
  readonly firstBucketMs: number
  /** the bucket itself, not its end */
  readonly lastBucketMs: number
  /** undefined: any may have changed */
  readonly seriesIds: readonly number[] | undefined
}

export interface Commit extends Change {
  readonly xactId: bigint
}

interface NowRow {
  readonly xmin: string
  readonly oldest: string
  readonly time_ms: number
  readonly history_id: string | null
}

const NOW = `pg_snapshot_xmin(pg_current_snapshot())::text as xmin,
  (select oldest::text from rollup_commit_marks),
  date_part('epoch', clock_timestamp()) * 1000 as time_ms, ${CURRENT_HISTORY} as history_id`

function nowOf ({ xmin, oldest, time_ms: timeMs, history_id: historyId }: NowRow): CurrentPosition | undefined {
  return historyId === null
    ? undefined
    : { xactId: BigInt(xmin), timeMs: Math.floor(timeMs), historyId, oldestXactId: BigInt(oldest) }
}

/** @returns the current position of the database; undefined: its history has no id yet */
export async function readNow (database: Database): Promise<CurrentPosition | undefined> {
  const [row] = await database.queryPrepared<NowRow>('read position', `select ${NOW}`)
  return nowOf(row)
}

interface CommitRow extends NowRow {
  /** null: there are no commits */
  readonly xact_id: string | null
  readonly level: number
  readonly first_s: number
  readonly last_s: number
  readonly series_ids: number[] | null
}

/**
 * Reads all commits at or after a position, and the new position, in one snapshot.
 * @param levelIndexes commits of others are skipped
 * @returns without `now` if the history of the database has no id yet
 */
export async function readCommits (
  database: Database, since: StreamPosition, levelIndexes: readonly number[]
): Promise<{ now: CurrentPosition | undefined, commits: Commit[] }> {
  const rows = await database.queryPrepared<CommitRow>('read commits', `
    select now.*, c.xact_id::text, c.level, date_part('epoch', c.first_bucket) as first_s,
      date_part('epoch', c.last_bucket) as last_s, c.series_ids
    from (select ${NOW}) now
    left join rollup_commits c on c.xact_id >= $1::xid8 and c.level = any($2::smallint[])`,
  [String(since.xactId), levelIndexes])
  const commits = rows.filter(it => it.xact_id !== null)
    .map(row => ({ xactId: BigInt(row.xact_id!), levelIndex: row.level, ...changeOf(row) }))
  return { now: nowOf(rows[0]), commits }
}

/** Changes of some series since a position, combined by bucket. */
export async function readChanges (
  database: Database, since: Pick<StreamPosition, 'xactId'>, levelIndex: number, seriesIds: readonly number[]
): Promise<Change[]> {
  // not prepared: a generic plan searches the array for each series of a commit; a plan for this array uses a hash
  const rows = await database.query<Pick<CommitRow, 'first_s' | 'last_s' | 'series_ids'>>(`
    select date_part('epoch', c.first_bucket) as first_s, date_part('epoch', c.last_bucket) as last_s,
      case when not bool_or(c.series_ids is null) then array_agg(distinct selected.id) end as series_ids
    from rollup_commits c
    left join lateral (select id from unnest(c.series_ids) id where id = any($3::integer[])) selected on true
    where c.xact_id >= $1::xid8 and c.level = $2 and (c.series_ids is null or selected.id is not null)
    group by c.first_bucket, c.last_bucket`,
  [String(since.xactId), levelIndex, seriesIds])
  return rows.map(row => ({ levelIndex, ...changeOf(row) }))
}

function changeOf (row: Pick<CommitRow, 'first_s' | 'last_s' | 'series_ids'>) {
  return {
    firstBucketMs: row.first_s * 1000, lastBucketMs: row.last_s * 1000, seriesIds: row.series_ids ?? undefined
  }
}
