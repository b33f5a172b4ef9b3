/**
 * A consumer of a Kafka topic: its group assigns partitions, its fetcher reads them, and this file merges both into one
 * sequence of news for the owner.
 */
import type { Logger } from 'relay-common'
import { KafkaClient, type KafkaSettings, type TopicLayout } from './client.ts'
import { KafkaFetcher } from './fetcher.ts'
import { NewsQueue } from '../news-queue.ts'
import type { ConsumerNews, EventConsumer, GroupMembership, JoinGroup, ReadSettings, RecordMark } from '../port.ts'

export class KafkaConsumer implements EventConsumer {
  readonly #fetcher: KafkaFetcher
  readonly #group: GroupMembership
  readonly #news = new NewsQueue(() => this.#fetcher)
  #closed: Promise<void> | undefined

  constructor (cluster: KafkaSettings, settings: ReadSettings, join: JoinGroup, log: Logger) {
    const failed = (error: unknown) => this.#news.fail(error)
    this.#fetcher = new KafkaFetcher(new KafkaClient(cluster), settings, log, {
      ready: () => this.#news.wake(),
      failed
    })
    this.#group = join({
      assigned: (layout, partitions) => {
        const { name, topicId, partitions: count } = layout
        this.#fetcher.setTopic(layout as TopicLayout)
        this.#news.add({ kind: 'assigned', topic: { name, topicId, partitions: count }, partitions })
      },
      revoked: partitions => this.#news.add({ kind: 'revoked', partitions }),
      lost: partitions => this.#news.add({ kind: 'lost', partitions }),
      appended: () => {},
      failed
    })
  }

  next (waitMaxMs: number, signal?: AbortSignal): Promise<ConsumerNews> {
    return this.#news.next(waitMaxMs, signal)
  }

  start (partition: number, offset: bigint, read?: RecordMark): void {
    this.#fetcher.start(partition, offset, read)
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
