/**
 * A consumer of a Kafka topic: its membership says which partitions are ours, its fetcher reads them, and here both
 * become one sequence of news for the owner.
 */
import type { Logger } from '../log.ts'
import { KafkaClassicMembership } from './kafka-classic-membership.ts'
import { describeError, KafkaClient, topicMissing, type GroupProtocol, type KafkaSettings } from './kafka-client.ts'
import type { Membership, MembershipEvents } from './kafka-coordinator.ts'
import { KafkaFetcher } from './kafka-fetcher.ts'
import { chooseProtocol } from './kafka-group-protocol.ts'
import { KafkaMembership } from './kafka-membership.ts'
import { NewsQueue } from './news-queue.ts'
import type { ConsumerNews, ConsumerSettings, EventConsumer } from './port.ts'

const OPEN_TIMEOUT_MS = 10_000

/**
 * Joins the group.
 * @throws RelayError RELAY_TOPIC_MISSING, RELAY_EVENT_LOG_UNREACHABLE
 */
export async function openKafkaConsumer (
  cluster: KafkaSettings, settings: ConsumerSettings, log: Logger
): Promise<EventConsumer> {
  const client = new KafkaClient(cluster)
  try {
    const topic = await client.retry(OPEN_TIMEOUT_MS, () => client.describe(settings.topic))
    if (!topic) throw topicMissing(settings.topic, client.servers)
    const { groupProtocol = 'auto' } = cluster
    const protocol = await client.retry(OPEN_TIMEOUT_MS, () => chooseProtocol(client, groupProtocol, settings.group))
    log.debug({ group: settings.group, protocol }, 'joining the group')
    return new KafkaConsumer(cluster, client, settings, protocol, log)
  } catch (error) {
    await client.close()
    throw error
  }
}

class KafkaConsumer implements EventConsumer {
  readonly #client: KafkaClient
  readonly #topicName: string
  readonly #fetcher: KafkaFetcher
  readonly #membership: Membership
  readonly #log: Logger
  readonly #news = new NewsQueue(() => this.#fetcher)
  #closed: Promise<void> | undefined

  constructor (
    cluster: KafkaSettings, client: KafkaClient, settings: ConsumerSettings, protocol: Exclude<GroupProtocol, 'auto'>, log: Logger
  ) {
    this.#client = client
    this.#topicName = settings.topic
    this.#log = log
    const failed = (error: unknown) => this.#news.fail(error)
    this.#fetcher = new KafkaFetcher(new KafkaClient(cluster), settings.fetchBufferMaxBytes, log, {
      ready: () => this.#news.wake(),
      failed
    })
    const events: MembershipEvents = {
      assigned: async (topicId, partitions) => this.#news.tell(await this.#takeOver(topicId, partitions)),
      revoked: partitions => this.#news.tell({ kind: 'revoked', partitions }),
      lost: partitions => this.#news.tell({ kind: 'lost', partitions }),
      failed
    }
    this.#membership = protocol === 'consumer'
      ? new KafkaMembership(client, settings, log, events)
      : new KafkaClassicMembership(cluster, client, settings, log, events)
  }

  next (waitMaxMs: number, signal?: AbortSignal): Promise<ConsumerNews> {
    return this.#news.next(waitMaxMs, signal)
  }

  start (partition: number, offset: bigint): void {
    this.#fetcher.start(partition, offset)
  }

  async release (partitions: readonly number[]): Promise<void> {
    this.#membership.release(partitions)
  }

  async commit (nextOffsets: ReadonlyMap<number, bigint>): Promise<void> {
    if (nextOffsets.size === 0) return
    try {
      await this.#membership.commit(nextOffsets)
    } catch (error) {
      this.#log.warn({ reason: describeError(error) }, 'the offsets for lag tools were not committed')
    }
  }

  close (): Promise<void> {
    return (this.#closed ??= this.#leave())
  }

  async #leave (): Promise<void> {
    await this.#membership.close()
    await this.#fetcher.close()
    await this.#client.close()
    this.#news.end()
  }

  /** The assignment names a topic by its id; what we know of that name may still be the topic before. */
  async #takeOver (topicId: string, partitions: number[]): Promise<ConsumerNews> {
    const layout = await this.#client.retry(OPEN_TIMEOUT_MS, () => this.#client.describe(this.#topicName))
    if (!layout || layout.topicId !== topicId) {
      throw this.#client.unreachable(new Error(`topic ${this.#topicName} is not the one of the assignment`))
    }
    this.#fetcher.setTopic(layout)
    const { name, partitions: count } = layout
    return { kind: 'assigned', topic: { name, topicId, partitions: count }, partitions }
  }
}
