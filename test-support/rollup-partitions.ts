import type { Database } from 'relay-common'

export const WEEK_MS = 7 * 86_400_000

export interface FoundPartition {
  readonly level: string
  readonly partition: string
  readonly startMs: number
  readonly endMs: number
}

/** In the order of levels and times. */
export async function readPartitions (database: Database): Promise<FoundPartition[]> {
  return await database.query<FoundPartition & Record<string, unknown>>(`
    select level, partition::text, starts as "startMs", ends as "endMs" from rollup_partitions order by level, starts`)
}

/** Weekly partitions of minutes, as in versions without bounded ones. @param first week since 1970; up to `end` */
export async function writeOldPartitions (database: Database, first: number, end: number): Promise<void> {
  for (let from = first; from < end; from += 20) { // each takes locks until the commit
    await database.query(`
      do $$
      declare
        partition_name text;
      begin
        for week in ${from}..${Math.min(from + 20, end) - 1} loop
          partition_name := 'rollups_minute_' || to_char(to_timestamp(week * 604800::bigint) at time zone 'utc', 'YYYYMMDD');
          execute format('create table %I (like rollups_minute including all) with (fillfactor = 80)', partition_name);
          execute format('alter table rollups_minute attach partition %I for values from (%L) to (%L)',
            partition_name, to_timestamp(week * 604800::bigint), to_timestamp((week + 1) * 604800::bigint));
        end loop;
      end
      $$`)
  }
}

/** Merges until nothing is left. @param between runs after each step */
export async function mergeAll (
  database: Database, between: (state: string) => Promise<void> = async () => {}
): Promise<void> {
  for (let state = ''; state !== 'done';) {
    [{ state }] = await database.query<{ state: string }>('select merge_old_rollups() as state')
    await between(state)
  }
}

/** The content of a table, as a number of rows and a hash. */
export async function readContent (database: Database, table = 'rollups_minute'): Promise<unknown> {
  return await database.query(`
    select count(*) as rows, sum(hashtextextended(r::text, 0)::numeric) as content from ${table} r`)
}
