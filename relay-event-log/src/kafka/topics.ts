/** Topics of Kafka and their settings. */
import { ConfigResourceTypes, type describeConfigsV4 } from '@platformatic/kafka'

import { hasCode, kafkaErrors, NotYet, type KafkaClient, type TopicLayout } from './client.ts'
import type { TopicSettings } from '../port.ts'

const CREATE_TIMEOUT_MS = 30_000

/** Creates a topic if it is missing; waits until its partitions have leaders. */
export async function ensureTopic (client: KafkaClient, settings: TopicSettings): Promise<TopicLayout> {
  // brokers learn of a new topic at different times, and before its partitions have leaders; they also know a deleted
  // topic for a moment
  return await client.retry(CREATE_TIMEOUT_MS, async () => {
    const layout = await client.describe(settings.name)
    if (!layout) await createTopic(client, settings)
    if (!layout || layout.leaders.includes(-1)) {
      throw new NotYet(`topic ${settings.name} has partitions without a leader`)
    }
    return layout
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

/** Whether Kafka may delete records of a topic because newer ones have their keys. */
export async function isCompacted (client: KafkaClient, resourceName: string): Promise<boolean> {
  const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName, configurationKeys: ['cleanup.policy'] }
  const { results } = await client.call<describeConfigsV4.DescribeConfigsResponse>(
    'DescribeConfigs', await client.anyBroker(), [resource], false, false)
  return results[0].configs.some(it => it.value?.includes('compact'))
}
