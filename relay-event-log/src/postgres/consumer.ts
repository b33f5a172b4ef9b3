/**
 * A consumer of a topic in PostgreSQL: its membership assigns partitions, its fetcher reads them, and this file merges
 * both into one sequence of news for the owner.
 */
import type { Database, Logger } from 'relay-common'
import { NewsQueue } from '../news-queue.ts'
import type {
  ConsumerNews, ConsumerSettings, EventConsumer, GroupMembership, JoinGroup, ReadSettings
} from '../port.ts'
import { explain, topicMissing } from './connection.ts'
import { PostgresFetcher } from './fetcher.ts'
import { PostgresMembership } from './membership.ts'
import { describeTopic } from './topics.ts'

/**
 * Checks that the topic exists; returns a function that joins the group, which takes one connection of the pool while
 * it is open.
 * @throws RelayError RELAY_TOPIC_MISSING, RELAY_EVENT_LOG_UNREACHABLE
 */
export async function openPostgresGroup (
  database: Database, description: string, settings: ConsumerSettings, log: Logger
): Promise<JoinGroup> {
  const topic = await describeTopic(database, settings.topic).catch(error => { throw explain(error, description) })
  if (!topic) throw topicMissing(settings.topic, description)
  return events => {
    const membership = new PostgresMembership(database, description, topic, settings, log, events)
    return {
      release: partitions => membership.release(partitions),
      commit: async () => {}, // not needed: progress is in this database already
      close: () => membership.close()
    }
  }
}

/** Takes one connection of the pool while it reads. */
export class PostgresConsumer implements EventConsumer {
  readonly #fetcher: PostgresFetcher
  readonly #group: GroupMembership
  readonly #news = new NewsQueue(() => this.#fetcher)
  #closed: Promise<void> | undefined

  constructor (database: Database, settings: ReadSettings, join: JoinGroup, log: Logger) {
    const failed = (error: unknown) => this.#news.fail(error)
    this.#fetcher = new PostgresFetcher(database, settings, log, {
      ready: () => this.#news.wake(),
      failed
    })
    this.#group = join({
      assigned: (topic, partitions) => {
        this.#fetcher.setTopic(topic)
        this.#news.add({ kind: 'assigned', topic, partitions })
      },
      revoked: partitions => this.#news.add({ kind: 'revoked', partitions }),
      lost: partitions => this.#news.add({ kind: 'lost', partitions }),
      appended: () => this.#fetcher.wake(),
      failed
    })
  }

  next (waitMaxMs: number, signal?: AbortSignal): Promise<ConsumerNews> {
    return this.#news.next(waitMaxMs, signal)
  }

  start (partition: number, offset: bigint): void {
    this.#fetcher.start(partition, offset)
  }

  async release (partitions: readonly number[]): Promise<void> {
    this.#group.release(partitions)
  }

  commit (nextOffsets: ReadonlyMap<number, bigint>): Promise<void> {
    return this.#group.commit(nextOffsets)
  }

  close (): Promise<void> {
    return (this.#closed ??= this.#leave())
  }

  async #leave (): Promise<void> {
    await this.#group.close()
    await this.#fetcher.close()
    this.#news.end()
  }
}
