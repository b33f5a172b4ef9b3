/**
 * The event log on Apache Kafka.
 *
 *     kafka.ts              topics, and who opens what
 *     kafka-client.ts       requests, retries, meaning of errors
 *     kafka-producer.ts     sends; kafka-batch.ts encodes
 *     kafka-reader.ts       reads record by record, for tools
 *     kafka-consumer.ts     one sequence of news
 *     kafka-group.ts        our partitions: by kafka-membership.ts (KIP-848) or kafka-classic-membership.ts;
 *                           kafka-group-protocol.ts chooses; split-group.ts shares a membership among threads
 *     kafka-fetcher.ts      reads ahead; kafka-fetch.ts is the request, kafka-records.ts the walk
 */
import { ConfigResourceTypes, type describeConfigsV4 } from '@platformatic/kafka'

import type { Logger } from '../log.ts'
import { hasCode, KafkaClient, kafkaErrors, NotYet, type KafkaSettings, type TopicLayout } from './kafka-client.ts'
import { KafkaConsumer } from './kafka-consumer.ts'
import { openKafkaGroup } from './kafka-group.ts'
import { openKafkaProducer } from './kafka-producer.ts'
import { readRecords } from './kafka-reader.ts'
import type { EventLog, Topic, TopicSettings } from './port.ts'

export type { KafkaSettings } from './kafka-client.ts'

/** longest wait for a cluster, enough for one that is starting */
const ANSWER_TIMEOUT_MS = 10_000
const CREATE_TIMEOUT_MS = 30_000

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
    ensureTopic: topic => ensureTopic(client, topic),
    describeTopic: async name => withoutLayout(await client.retry(ANSWER_TIMEOUT_MS, () => client.describe(name))),
    isCompacted: name => client.retry(ANSWER_TIMEOUT_MS, () => isCompacted(client, name)),
    readOffsets: name => client.retry(ANSWER_TIMEOUT_MS, () => client.listOffsets(name)),
    findOffsets: (name, timeMs) => client.retry(ANSWER_TIMEOUT_MS, () => client.listOffsetsAt(name, timeMs)),
    readRecords: (name, partition, fromOffset, toOffset) => readRecords(client, name, partition, fromOffset, toOffset),
    openProducer: async () => openKafkaProducer(settings, log),
    openGroup: consumer => openKafkaGroup(settings, consumer, log),
    openConsumer: async (consumer, join) => new KafkaConsumer(settings, consumer.fetchBufferMaxBytes,
      join ?? await openKafkaGroup(settings, consumer, log), log),
    close: () => client.close()
  }
}

async function ensureTopic (client: KafkaClient, settings: TopicSettings): Promise<Topic> {
  // brokers learn of a new topic at different times, and before its partitions have leaders; they also know a deleted
  // topic for a moment
  return await client.retry(CREATE_TIMEOUT_MS, async () => {
    const layout = await client.describe(settings.name)
    if (!layout) await createTopic(client, settings)
    if (!layout || layout.leaders.includes(-1)) {
      throw new NotYet(`topic ${settings.name} has partitions without a leader`)
    }
    return withoutLayout(layout)
  })
}

async function createTopic (
  client: KafkaClient, { name, partitions, retentionMs, replicationFactor }: TopicSettings
): Promise<void> {
  const wanted = {
    name,
    numPartitions: partitions,
    replicationFactor,
    assignments: [],
    configs: [
      { name: 'retention.ms', value: String(retentionMs) },
      // the broker's clock: with times of producers, which may be event times, retention would delete unread records
      { name: 'message.timestamp.type', value: 'LogAppendTime' }
    ]
  }
  try {
    await client.call('CreateTopics', await client.anyBroker(), [wanted], CREATE_TIMEOUT_MS, false)
  } catch (error) {
    if (!hasCode(error, kafkaErrors.TOPIC_ALREADY_EXISTS)) throw error // somebody else created it first
  }
}

async function isCompacted (client: KafkaClient, resourceName: string): Promise<boolean> {
  const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName, configurationKeys: ['cleanup.policy'] }
  const { results } = await client.call<describeConfigsV4.DescribeConfigsResponse>(
    'DescribeConfigs', await client.anyBroker(), [resource], false, false)
  return results[0].configs.some(it => it.value?.includes('compact'))
}

function withoutLayout (layout: TopicLayout): Topic
function withoutLayout (layout: TopicLayout | undefined): Topic | undefined
function withoutLayout (layout: TopicLayout | undefined): Topic | undefined {
  return layout && { name: layout.name, topicId: layout.topicId, partitions: layout.partitions }
}
