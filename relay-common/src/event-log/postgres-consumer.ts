/**
 * A consumer of a topic in PostgreSQL: its membership says which partitions are ours, its fetcher reads them, and here
 * both become one sequence of news for the owner.
 *
 * What the membership says goes before records: from the moment that a partition is revoked or lost, nothing of it is
 * left in the buffer.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'

import type { Database } from '../database.ts'
import type { Logger } from '../log.ts'
import type { ConsumerNews, ConsumerSettings, EventConsumer, Topic } from './port.ts'
import { explain, topicMissing } from './postgres-connection.ts'
import { PostgresFetcher } from './postgres-fetcher.ts'
import { PostgresMembership } from './postgres-membership.ts'
import { describeTopic } from './postgres-topics.ts'
import { Wakeup } from './wakeup.ts'

/** how long an owner may work through the buffer before the sockets and timers get their turn */
const TURN_MAX_MS = 5

/**
 * Joins the group. Needs one connection of the pool for as long as it is open, and another one while it reads.
 * @throws RelayError RELAY_TOPIC_MISSING, RELAY_EVENT_LOG_UNREACHABLE
 */
export async function openPostgresConsumer (
  database: Database, description: string, settings: ConsumerSettings, log: Logger
): Promise<EventConsumer> {
  const topic = await describeTopic(database, settings.topic).catch(error => { throw explain(error, description) })
  if (!topic) throw topicMissing(settings.topic, description)
  return new PostgresConsumer(database, description, topic, settings, log)
}

class PostgresConsumer implements EventConsumer {
  readonly #fetcher: PostgresFetcher
  readonly #membership: PostgresMembership
  readonly #news: ConsumerNews[] = []
  readonly #wakeup = new Wakeup()
  #failure: unknown
  #turnStartedMs = performance.now()
  #closed: Promise<void> | undefined

  constructor (database: Database, description: string, topic: Topic, settings: ConsumerSettings, log: Logger) {
    const failed = (error: unknown) => {
      this.#failure ??= error
      this.#wakeup.wake()
    }
    const tell = (news: ConsumerNews) => {
      this.#news.push(news)
      this.#wakeup.wake()
    }
    this.#fetcher = new PostgresFetcher(database, settings.fetchBufferMaxBytes, log, {
      ready: () => this.#wakeup.wake(),
      failed
    })
    this.#membership = new PostgresMembership(database, description, topic, settings, log, {
      assigned: (topic, partitions) => {
        this.#fetcher.setTopic(topic)
        tell({ kind: 'assigned', topic, partitions })
      },
      revoked: partitions => {
        this.#drop(partitions)
        tell({ kind: 'revoked', partitions })
      },
      lost: partitions => {
        this.#drop(partitions)
        tell({ kind: 'lost', partitions })
      },
      appended: () => this.#fetcher.wake(),
      failed
    })
  }

  async next (waitMaxMs: number, signal?: AbortSignal): Promise<ConsumerNews> {
    if (performance.now() - this.#turnStartedMs > TURN_MAX_MS) {
      await nextTurn()
      this.#turnStartedMs = performance.now()
    }
    const deadlineMs = performance.now() + waitMaxMs
    for (;;) {
      const news = this.#poll()
      if (news) return news
      const leftMs = deadlineMs - performance.now()
      if (signal?.aborted || leftMs <= 0) return { kind: 'idle' }
      await this.#wakeup.wait(leftMs, signal)
      this.#turnStartedMs = performance.now()
    }
  }

  start (partition: number, offset: bigint): void {
    this.#fetcher.start(partition, offset)
  }

  async release (partitions: readonly number[]): Promise<void> {
    this.#membership.release(partitions)
  }

  /** There is no place for it: the positions are in this database already, in `progress`. */
  async commit (): Promise<void> {}

  close (): Promise<void> {
    return (this.#closed ??= this.#leave())
  }

  async #leave (): Promise<void> {
    await this.#membership.close()
    await this.#fetcher.close()
    this.#wakeup.wake()
  }

  #poll (): ConsumerNews | undefined {
    const news = this.#news.shift() ?? this.#fetcher.take()
    // the owner may have started it after it was revoked: it had not heard of that yet
    if (news?.kind === 'revoked' || news?.kind === 'lost') this.#drop(news.partitions)
    if (!news && this.#failure) throw this.#failure
    return news
  }

  #drop (partitions: readonly number[]): void {
    for (const partition of partitions) this.#fetcher.stop(partition)
  }
}
