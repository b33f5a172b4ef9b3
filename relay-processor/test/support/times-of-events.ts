/** A topic that others made, and a producer that gives its records the times of events, as Kafka Connect and Flink do. */
import { randomUUID } from 'node:crypto'
import type { TestContext } from 'node:test'

import { Admin, Producer, stringSerializers } from '@platformatic/kafka'
import type { DeviceEvent } from 'relay-common'

import { openLocalKafka } from '../../../relay-common/test/support/local-kafka.ts'
import { encode, openSite, type Site } from './open-processor.ts'

export interface TimedSite extends Site {
  /** Sends events in records of a time. */
  readonly sendAt: (recordMs: bigint, events: readonly DeviceEvent[]) => Promise<void>
}

/** @returns undefined where this machine has no Kafka; the test is skipped then */
export async function openTimedSite (t: TestContext): Promise<TimedSite | undefined> {
  const kafka = await openLocalKafka(t)
  if (!kafka) return undefined
  const topic = `iot-events-${randomUUID()}`
  const broker = { bootstrapBrokers: [kafka.bootstrapServers], clientId: 'others' }
  const admin = new Admin(broker)
  // the broker keeps them, although they are long past the retention, for as long as the test may take
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
