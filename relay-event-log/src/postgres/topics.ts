/**
 * Topics in PostgreSQL, and the maintenance of their segments; the SQL functions are in
 * `migrations/0004-event-log.sql` and `0031-clock-jumps.sql`.
 */
import { setTimeout as delay } from 'node:timers/promises'

import type { Database, Logger } from 'relay-common'
import type { PartitionOffsets, Topic, TopicSettings } from '../port.ts'
import { describeError } from './connection.ts'

/** a smaller difference between two clocks is no jump */
const JUMP_MIN_S = 60

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

/**
 * Opens and drops segments of all topics that are due. Their time does not follow a clock of the database that jumps.
 * @param lookedMs when this process did so last, by topic and its steady clock; updated
 */
export async function maintainTopics (
  database: Database, log: Logger, lookedMs: Map<string, number> = new Map()
): Promise<void> {
  const topics = await database.query<{ topicId: string, name: string }>(
    'select topic_id as "topicId", topic as name from event_log_topics')
  for (const { topicId, name } of topics) {
    const [{ dropped, movedS }] = await database.query<{ dropped: number, movedS: number | null }>(`
      select dropped, extract(epoch from clock_moved)::float8 as "movedS" from maintain_event_log_topic($1)`, [topicId])
    const sinceLookS = (performance.now() - (lookedMs.get(name) ?? -Infinity)) / 1000
    lookedMs.set(name, performance.now())
    if (dropped > 0) log.info({ topic: name, segments: dropped }, 'deleted records past their retention')
    if (movedS !== null) logMoved(log, name, movedS, sinceLookS)
  }
}

/**
 * @param movedS how far the clock of the database has moved since any program looked; more than a step, or back
 * @param sinceLookS since this process looked; Infinity: it never did
 */
function logMoved (log: Logger, topic: string, movedS: number, sinceLookS: number): void {
  const isSet = movedS < 0 || movedS > sinceLookS + JUMP_MIN_S
  if (isSet) {
    log.warn({ topic, seconds: Math.round(movedS) },
      'the clock of the database was set, or its host was paused; the retention of the event log ignores it. ' +
      'If the time is wrong, set the clock of its host right')
  } else {
    log.info({ topic, seconds: Math.round(movedS) },
      'no program ran for a while; the retention of the event log does not count that time')
  }
}

/** Maintains the topics periodically until closed. Failures are retried the next time. */
export function startMaintenance (database: Database, intervalMs: number, log: Logger): { close: () => Promise<void> } {
  const closing = new AbortController()
  const { signal } = closing
  const lookedMs = new Map<string, number>()
  const run = async () => {
    while (!signal.aborted) {
      await maintainTopics(database, log, lookedMs).catch(error => {
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
