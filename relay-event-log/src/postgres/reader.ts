/** Reads records with all their metadata, for tools: one object each. Use the consumer if speed matters. */
import type { Database } from 'relay-common'
import type { LoggedRecord } from '../port.ts'

const BATCHES_AT_A_TIME = 20

interface BatchRow {
  readonly first_offset: bigint
  readonly last_offset: bigint
  readonly appended_at: number
  readonly record_keys: Array<Buffer | null>
  readonly record_values: Array<Buffer | null>
  readonly record_headers: Array<Record<string, string> | null> | null
}

/** As `EventLog.readRecords`. */
export async function * readRecords (
  database: Database, topic: string, partition: number, fromOffset: bigint, toOffset: bigint
): AsyncGenerator<LoggedRecord> {
  for (let offset = fromOffset; offset < toOffset;) {
    const batches = await database.query<BatchRow>(`
      select b.first_offset, b.last_offset, b.appended_at, b.record_keys, b.record_values, b.record_headers
      from event_log_batches b
      join event_log_topics t using (topic_id)
      where t.topic = $1 and b.partition = $2 and b.last_offset >= $3 and b.first_offset < $4
      order by b.segment, b.last_offset
      limit ${BATCHES_AT_A_TIME}`, [topic, partition, offset, toOffset])
    if (batches.length === 0) return
    for (const batch of batches) {
      for (const [index, value] of batch.record_values.entries()) {
        const recordOffset = batch.first_offset + BigInt(index)
        if (recordOffset < offset) continue // its batch starts before the requested offset
        if (recordOffset >= toOffset) return
        yield {
          partition,
          offset: recordOffset,
          appendedMs: batch.appended_at,
          key: batch.record_keys[index],
          value,
          headers: batch.record_headers?.[index] ?? {}
        }
      }
      offset = batch.last_offset + 1n
    }
  }
}
