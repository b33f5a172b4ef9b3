/** A topic created by others, and a producer that sets event times in its records, like Kafka Connect and Flink. */
import { randomUUID } from 'node:crypto'
import type { TestContext } from 'node:test'

import { Admin, Producer, stringSerializers } from '@platformatic/kafka'
import type { DeviceEvent } from 'relay-rollups'

import { openLocalKafka } from 'relay-test-support/local-kafka.ts'
import { encode, openSite, type Site } from './open-processor.ts'

export interface TimedSite extends Site {
  /** Sends events in records of a time. */
  readonly sendAt: (recordMs: bigint, events: readonly DeviceEvent[]) => Promise<void>
}

/** @returns undefined if this machine has no Kafka; then the test is skipped */
export async function openTimedSite (t: TestContext): Promise<TimedSite | undefined> {
  const kafka = await openLocalKafka(t)
  if (!kafka) return undefined
  const topic = `iot-events-${randomUUID()}`
  const broker = { bootstrapBrokers: [kafka.bootstrapServers], clientId: 'others' }
  const admin = new Admin(broker)
  // the broker keeps them during the test, although they are past the retention
  const configs = [{ name: 'message.timestamp.type', value: 'CreateTime' }, { name: 'retention.ms', value: '-1' }]
  await admin.createTopics({ topics: [topic], partitions: 4, replicas: 1, configs })
  await admin.close()
  const site = (await openSite(t, 'kafka', { EVENTS_TOPIC: topic, DEAD_LETTERS_TOPIC: `${topic}.dead-letters` }))!
  const producer = new Producer({ ...broker, serializers: stringSerializers })
  t.after(() => producer.close())
  return {
    ...site,
    async sendAt (timestamp, events) {
      await producer.send({ messages: events.map(it => ({ topic, key: it.deviceId, value: encode(it), timestamp })) })
    }
  }
}
