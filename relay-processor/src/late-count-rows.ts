/** Counts of late readings and duplicates in the database, added in the transaction that moves progress. */
import type { PoolClient } from 'relay-common'

import type { ArrivalRow, PartitionRows } from './store.ts'

/** Rows per statement: about a second, far below its time limit. */
const ROWS_MAX = 50_000

/** Adds the counts of a flush in the caller's transaction; most flushes have none. */
export async function writeArrivals (client: PoolClient, writes: readonly PartitionRows[]): Promise<void> {
  const rows = writes.flatMap(({ move, arrivals }) => arrivals.map(it => ({ ...it, partition: move.partition })))
  for (let n = 0; n < rows.length; n += ROWS_MAX) await addArrivals(client, rows.slice(n, n + ROWS_MAX))
}

async function addArrivals (
  client: PoolClient, rows: ReadonlyArray<ArrivalRow & { readonly partition: number }>
): Promise<void> {
  await client.query(`
    insert into arrival_counts as a
      (series_id, bucket_start, source_partition, late, duplicates, late_minutes, late_through, revised_at)
    select series_id, to_timestamp(hour_s), source_partition, late, duplicates, late_minutes, to_timestamp(through_s),
      case when late > 0 then now() end
    from unnest($1::integer[], $2::float8[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[], $7::float8[])
      as r (series_id, hour_s, source_partition, late, duplicates, late_minutes, through_s)
    on conflict (series_id, bucket_start, source_partition) do update
      set late = a.late + excluded.late, duplicates = a.duplicates + excluded.duplicates,
        late_minutes = a.late_minutes | excluded.late_minutes,
        late_through = greatest(a.late_through, excluded.late_through),
        revised_at = coalesce(excluded.revised_at, a.revised_at)`,
  [rows.map(it => it.seriesId), rows.map(it => it.hourMs / 1000), rows.map(it => it.partition), rows.map(it => it.late),
    rows.map(it => it.duplicates), rows.map(it => it.lateMinutes),
    rows.map(it => it.late > 0 ? it.lateThroughMs / 1000 : null)])
}
