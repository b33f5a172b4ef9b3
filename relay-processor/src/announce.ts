/** Tells whoever shows rollups live, or has some in memory, what a transaction changes (`rollup_commits`). */
import { levels, type PoolClient } from 'relay-common'

import { SERIES_NAMED_MAX } from './flush-rows.ts'
import type { PartitionRows } from './store.ts'

/** Announces rows inside the caller's transaction, before its commit. */
export async function announceRollups (
  client: PoolClient, writes: ReadonlyArray<Pick<PartitionRows, 'rows' | 'rowCount'>>
): Promise<void> {
  const rowCount = writes.reduce((sum, it) => sum + it.rowCount, 0)
  const levelIndexes: number[] = []
  const buckets: string[] = []
  const series: Array<string | null> = []
  for (const index of levels.keys()) {
    const named = new Map<number, Set<number>>()
    for (const { rows } of writes) {
      for (const [bucketMs, ids] of rows[index].seriesOfBuckets) {
        let ofBucket = named.get(bucketMs)
        if (!ofBucket) named.set(bucketMs, ofBucket = new Set())
        if (rowCount <= SERIES_NAMED_MAX) for (const id of ids) ofBucket.add(id)
      }
    }
    for (const [bucketMs, ids] of named) {
      levelIndexes.push(index)
      buckets.push(new Date(bucketMs).toISOString())
      series.push(rowCount <= SERIES_NAMED_MAX ? `{${[...ids].sort((a, b) => a - b).join(',')}}` : null)
    }
  }
  if (buckets.length === 0) return
  await client.query('select announce_rollups($1, $2, $3)', [levelIndexes, buckets, series])
}
