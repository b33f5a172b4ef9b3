/** Announces what a transaction changes, to live streams and caches (`rollup_commits`). */
import type { PoolClient } from 'relay-common'
import { levels } from 'relay-rollups'

import { SERIES_NAMED_MAX } from './flush-rows.ts'
import type { PartitionRows } from './store.ts'

/** Announces rows in the caller's transaction, before its commit. */
export async function announceRollups (
  client: PoolClient, writes: ReadonlyArray<Pick<PartitionRows, 'rows' | 'announcedCount'>>
): Promise<void> {
  const isNamed = writes.reduce((sum, it) => sum + it.announcedCount, 0) <= SERIES_NAMED_MAX
  const levelIndexes: number[] = []
  const buckets: string[] = []
  const series: Array<string | null> = []
  for (const index of levels.keys()) {
    const named = new Map<number, Set<number> | undefined>()
    for (const { rows } of writes) {
      for (const [bucketMs, ids] of rows[index].seriesOfBuckets) {
        const ofBucket = isNamed ? named.get(bucketMs) ?? new Set<number>() : undefined
        if (ofBucket) for (const id of ids) ofBucket.add(id)
        named.set(bucketMs, ofBucket)
      }
    }
    for (const [bucketMs, ids] of named) {
      levelIndexes.push(index)
      buckets.push(new Date(bucketMs).toISOString())
      series.push(ids ? `{${[...ids].sort((a, b) => a - b).join(',')}}` : null)
    }
  }
  if (buckets.length === 0) return
  // one text with all times: there may be tens of thousands, and the driver would search each for quotes
  await client.query('select announce_rollups($1, $2, $3)', [levelIndexes, `{${buckets.join()}}`, series])
}

/** Announces the trace of a flush in its transaction; kept as long as what it announces. */
export async function announceTrace (client: PoolClient, traceparent: string): Promise<void> {
  await client.query(`
    with gone as (
      delete from traced_flushes where ctid = any (array(
        select ctid from traced_flushes where xact_id < (select oldest from rollup_commit_marks)
        limit 1000 for update skip locked)))
    insert into traced_flushes (traceparent) values ($1) on conflict do nothing`, [traceparent])
}
