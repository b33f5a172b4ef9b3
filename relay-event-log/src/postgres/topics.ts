/**
 * Topics in PostgreSQL, and the maintenance of their segments; the SQL functions are in
 * `migrations/0004-event-log.sql`.
 */
import { setTimeout as delay } from 'node:timers/promises'

import type { Database, Logger } from 'relay-common'
import type { PartitionOffsets, Topic, TopicSettings } from '../port.ts'
import { describeError } from './connection.ts'

export async function describeTopic (database: Database, name: string): Promise<Topic | undefined> {
  const [topic] = await database.query<Topic & { topicId: string }>(
    'select topic as name, topic_id as "topicId", partitions from event_log_topics where topic = $1', [name])
  return topic
}

/** Creates a topic if there is none with that name. */
export async function ensureTopic (database: Database, settings: TopicSettings): Promise<Topic> {
  const { name, partitions, retentionMs } = settings
  for (;;) { // somebody may delete it at the same time
    const topic = await describeTopic(database, name)
    if (topic) return topic
    await database.query("select create_event_log_topic($1, $2, $3 * interval '1 ms')", [name, partitions, retentionMs])
  }
}

/** Undefined if there is no such topic. */
export async function readOffsets (database: Database, name: string): Promise<PartitionOffsets[] | undefined> {
  const offsets = await database.query<PartitionOffsets & { partition: number }>(`
    select partition, start_offset as "startOffset", next_offset as "endOffset"
    from event_log_partitions join event_log_topics using (topic_id)
    where topic = $1
    order by partition`, [name])
  return offsets.length > 0 ? offsets : undefined // a topic has at least one
}

/** By partition, the first record appended at a time or later. Undefined if there is no such topic. */
export async function findOffsets (database: Database, name: string, timeMs: number): Promise<bigint[] | undefined> {
  const rows = await database.query<{ first: bigint }>(`
    select coalesce(
      (
        select min(b.first_offset) from event_log_batches b
        where b.topic_id = p.topic_id and b.partition = p.partition and b.appended_at >= $2
          and b.last_offset >= p.start_offset
      ), p.next_offset) as first
    from event_log_partitions p join event_log_topics using (topic_id)
    where topic = $1
    order by p.partition`, [name, new Date(timeMs).toISOString()])
  return rows.length > 0 ? rows.map(it => it.first) : undefined
}

/** Opens and drops segments of all topics that are due. */
export async function maintainTopics (database: Database, log: Logger): Promise<void> {
  const topics = await database.query<{ topicId: string, name: string }>(
    'select topic_id as "topicId", topic as name from event_log_topics')
  for (const { topicId, name } of topics) {
    const [{ dropped }] = await database.query<{ dropped: number }>(
      'select * from maintain_event_log_topic($1)', [topicId])
    if (dropped > 0) log.info({ topic: name, segments: dropped }, 'deleted records past their retention')
  }
}

/** Maintains the topics periodically until closed. Failures are retried the next time. */
export function startMaintenance (database: Database, intervalMs: number, log: Logger): { close: () => Promise<void> } {
  const closing = new AbortController()
  const { signal } = closing
  const run = async () => {
    while (!signal.aborted) {
      await maintainTopics(database, log).catch(error => {
        if (signal.aborted) return
        log.warn({ reason: describeError(error) }, 'the upkeep of the event log\'s segments failed')
      })
      await delay(intervalMs, undefined, { signal }).catch(() => {})
    }
  }
  const done = run()
  return {
    async close () {
      closing.abort()
      await done
    }
  }
}
