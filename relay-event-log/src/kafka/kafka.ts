/**
 * The event log on Apache Kafka.
 *
 *     kafka.ts      who opens what
 *     topics.ts     creates a topic, reads its settings
 *     client.ts     requests, retries, meaning of errors
 *     producer.ts   sends; batch.ts encodes
 *     reader.ts     reads record by record, for tools
 *     consumer.ts   one sequence of news
 *     group.ts      our partitions: by membership.ts (KIP-848) or classic-membership.ts; group-protocol.ts chooses;
 *                   split-group.ts shares a membership among threads
 *     fetcher.ts    reads ahead; fetch.ts is the request, records.ts the walk, cursor.ts and gap.ts notice missing
 *                   records
 */
import type { Logger } from 'relay-common'
import { KafkaClient, type KafkaSettings, type TopicLayout } from './client.ts'
import { KafkaConsumer } from './consumer.ts'
import { openKafkaGroup } from './group.ts'
import { openKafkaProducer } from './producer.ts'
import { readRecords } from './reader.ts'
import { ensureTopic, isCompacted } from './topics.ts'
import type { EventLog, Topic } from '../port.ts'

export type { KafkaSettings } from './client.ts'

/** longest wait for a cluster, enough for one that is starting */
const ANSWER_TIMEOUT_MS = 10_000

/**
 * Opens the event log on a Kafka cluster, and checks that the cluster answers.
 * @throws RelayError RELAY_EVENT_LOG_UNREACHABLE, after ten seconds; RELAY_EVENT_LOG_REFUSED, at once
 */
export async function openKafkaEventLog (settings: KafkaSettings, log: Logger): Promise<EventLog> {
  const client = new KafkaClient(settings)
  try {
    await client.retry(ANSWER_TIMEOUT_MS, () => client.checkConnection())
  } catch (error) {
    await client.close()
    throw error
  }
  return {
    kind: 'kafka',
    description: `kafka at ${client.servers}`,
    ensureTopic: async topic => withoutLayout(await ensureTopic(client, topic)),
    describeTopic: async name => withoutLayout(await client.retry(ANSWER_TIMEOUT_MS, () => client.describe(name))),
    isCompacted: name => client.retry(ANSWER_TIMEOUT_MS, () => isCompacted(client, name)),
    readOffsets: name => client.retry(ANSWER_TIMEOUT_MS, () => client.listOffsets(name)),
    findOffsets: (name, timeMs) => client.retry(ANSWER_TIMEOUT_MS, () => client.listOffsetsAt(name, timeMs)),
    readRecords: (name, partition, fromOffset, toOffset) => readRecords(client, name, partition, fromOffset, toOffset),
    openProducer: async () => openKafkaProducer(settings, log),
    openGroup: consumer => openKafkaGroup(settings, consumer, log),
    openConsumer: async (consumer, join) => new KafkaConsumer(settings, consumer,
      join ?? await openKafkaGroup(settings, consumer, log), log),
    close: () => client.close()
  }
}

function withoutLayout (layout: TopicLayout): Topic
function withoutLayout (layout: TopicLayout | undefined): Topic | undefined
function withoutLayout (layout: TopicLayout | undefined): Topic | undefined {
  return layout && { name: layout.name, topicId: layout.topicId, partitions: layout.partitions }
}
