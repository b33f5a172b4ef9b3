/**
 * The journal in the database: its rows are added and removed with the progress of their partition, and read by a
 * claim.
 */
import { once } from 'node:events'

import type { PoolClient } from 'relay-common'
import type { JournalContent } from 'relay-rollups'
import { from as copyFrom } from 'pg-copy-streams'

import { copyStream, POSTGRES_EPOCH_MS } from './copy-rows.ts'
import type { PartitionRows, StoredFragment } from './store.ts'

const COLUMNS = 'block, source_partition, flush, first_time, last_time, body'
const COLUMN_COUNT = 6
const FIXED_BYTES = 2 + COLUMN_COUNT * 4 + 4 + 4 + 3 * 8

/** A row in the format of COPY (copy-rows.ts). */
export function encodeJournalRow (
  block: number, sourcePartition: number, flush: number, content: JournalContent
): Buffer {
  const { firstMs, lastMs, body } = content
  const row = Buffer.allocUnsafe(FIXED_BYTES + body.length)
  let at = row.writeInt16BE(COLUMN_COUNT)
  at = row.writeInt32BE(block, row.writeInt32BE(4, at))
  at = row.writeInt32BE(sourcePartition, row.writeInt32BE(4, at))
  for (const value of [BigInt(flush), toMicroseconds(firstMs), toMicroseconds(lastMs)]) {
    at = row.writeBigInt64BE(value, row.writeInt32BE(8, at))
  }
  body.copy(row, row.writeInt32BE(body.length, at))
  return row
}

function toMicroseconds (timeMs: number): bigint {
  return BigInt(timeMs - POSTGRES_EPOCH_MS) * 1000n
}

/** Writes the journal changes of a flush, in the transaction that moves progress. */
export async function writeJournal (client: PoolClient, writes: readonly PartitionRows[]): Promise<void> {
  const removed = writes.flatMap(({ move, journal }) =>
    journal.removed.map(it => ({ ...it, partition: move.partition })))
  if (removed.length > 0) {
    // each block by its key: `order by` and `limit` make other plans more expensive, whatever the statistics say
    // (rollup-rows.ts). Nobody else writes rows of this partition meanwhile, so they stay in place
    await client.query(`
      delete from journal where ctid = any (array(
        select j.ctid from unnest($1::integer[], $2::integer[], $3::bigint[]) as r (block, source_partition, from_flush)
        cross join lateral (
          select ctid from journal j
          where j.block = r.block and j.source_partition = r.source_partition and j.flush >= r.from_flush
          order by j.block, j.source_partition, j.flush limit 10000) j))`,
    [removed.map(it => it.block), removed.map(it => it.partition), removed.map(it => it.fromFlush)])
  }
  const rows = writes.flatMap(it => it.journal.rows)
  if (rows.length === 0) return
  const copy = client.query(copyFrom(`copy journal (${COLUMNS}) from stdin (format binary)`))
  const done = once(copy, 'finish') // an error may come at any time
  copy.end(Buffer.concat(copyStream(rows)))
  await done
}

/** Reads the journal of a partition in the order of its flushes, in the transaction of the claim. */
export async function readStoredJournal (client: PoolClient, sourcePartition: number): Promise<StoredFragment[]> {
  const { rows } = await client.query<{ block: number, flush: bigint, body: Buffer }>(
    'select block, flush, body from journal where source_partition = $1 order by block, flush', [sourcePartition])
  return rows.map(it => ({ ...it, flush: Number(it.flush) }))
}
