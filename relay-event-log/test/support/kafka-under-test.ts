import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import { Admin } from '@platformatic/kafka'

import { openKafkaEventLog, type KafkaSettings } from '../../src/kafka/kafka.ts'
import { createLogger } from 'relay-common'
import type { LogUnderTest } from '../event-log.contract.ts'

const log = createLogger('test', 'error')

/** The event log on a broker, for the contract; closes with the test. */
export async function openKafkaUnderTest (t: TestContext, bootstrapServers: string): Promise<LogUnderTest> {
  const settings: KafkaSettings = { bootstrapServers: [bootstrapServers], clientId: 'relay-test' }
  const eventLog = await openKafkaEventLog(settings, log)
  const admin = new Admin({ bootstrapBrokers: [bootstrapServers], clientId: 'relay-test-admin' })
  t.after(async () => {
    await eventLog.close()
    await admin.close()
  })
  return {
    eventLog,
    elsewhere: {
      module: new URL('../../src/kafka/kafka.ts', import.meta.url).href, name: 'openKafkaEventLog', settings
    },
    async deleteTopic (topic) {
      await admin.deleteTopics({ topics: [topic] })
      // the broker answers when the controller has decided; it forgets the topic a moment later
      for (const deadline = Date.now() + 10_000; await eventLog.describeTopic(topic);) {
        assert.ok(Date.now() < deadline, `topic ${topic} is still there`)
        await delay(20)
      }
    },
    async deleteRecords (topic, partition, beforeOffset) {
      await admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition, offset: beforeOffset }] }] })
    }
  }
}
