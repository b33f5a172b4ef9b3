/** The event logs for tests of the simulator, and their content. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { TestContext } from 'node:test'

import { createLogger, readConfig, splitList, type Database } from 'relay-common'
import { eventLogSettings, openEventLog, type EventLog } from 'relay-event-log'
import { decodeEvent, eventSettings, type DeviceEvent } from 'relay-rollups'
import { Type } from 'typebox'

import { openLocalKafka } from 'relay-test-support/local-kafka.ts'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { takeRecords, waitAssigned, type Read } from 'relay-test-support/members.ts'

export interface TestLog {
  readonly eventLog: EventLog
  readonly topic: string
  /** the database of the log, if it is in one */
  readonly database: Database | undefined
  /** settings for a simulator to use the same log and topic */
  readonly environment: NodeJS.ProcessEnv
}

export const kinds = ['postgres', 'kafka'] as const

/** @returns undefined if the machine can't run such a log: then the test is skipped */
export async function openTestLog (t: TestContext, kind: typeof kinds[number]): Promise<TestLog | undefined> {
  const environment: NodeJS.ProcessEnv = {
    EVENT_LOG: kind,
    EVENTS_TOPIC: `simulated-${randomUUID()}`,
    EVENTS_PARTITIONS: '4',
    HEALTH_PORT: '0'
  }
  let database: Database | undefined
  if (kind === 'postgres') {
    const local = await openLocalPostgres(t)
    database = local.database
    environment.DATABASE_URL = local.url
  } else {
    const kafka = await openLocalKafka(t)
    if (!kafka) return undefined
    environment.KAFKA_BOOTSTRAP_SERVERS = kafka.bootstrapServers
  }
  const config = readConfig(Type.Object(eventLogSettings), environment)
  const eventLog = await openEventLog(config, database, createLogger('test', 'silent'))
  t.after(() => eventLog.close())
  return { eventLog, topic: config.EVENTS_TOPIC, database, environment }
}

/** Number of records in the topic; 0 if it does not exist yet. */
export async function countRecords ({ eventLog, topic }: TestLog): Promise<number> {
  if (!await eventLog.describeTopic(topic)) return 0
  return (await eventLog.readOffsets(topic)).reduce((sum, { endOffset }) => sum + Number(endOffset), 0)
}

/** Everything in the topic, in order per partition. */
export async function readTopic (log: TestLog): Promise<Read[]> {
  const { eventLog, topic } = log
  const count = await countRecords(log)
  const partitions = (await eventLog.describeTopic(topic))!.partitions
  const consumer = await eventLog.openConsumer({
    topic,
    group: `test-${randomUUID()}`,
    sessionTimeoutMs: 10_000,
    fetchBufferMaxBytes: 16 * 1024 * 1024
  })
  try {
    await waitAssigned(consumer, partitions)
    for (let partition = 0; partition < partitions; partition++) consumer.start(partition, 0n)
    return await takeRecords(consumer, count)
  } finally {
    await consumer.close()
  }
}

const settings = readConfig(Type.Object(eventSettings), {})
const rules = { deviceTypes: new Set(splitList(settings.DEVICE_TYPES)), futureMaxMs: settings.FUTURE_MAX_MS }

/** The events of the topic by device, each list in the order of the log. Fails for an invalid record. */
export async function readEvents (log: TestLog): Promise<Map<string, DeviceEvent[]>> {
  const events = (await readTopic(log)).map(({ key, value }) => {
    const decoded = decodeEvent(value, rules, Date.now())
    assert.ok(decoded.kind === 'event', JSON.stringify(decoded))
    assert.equal(String(key), decoded.event.deviceId)
    return decoded.event
  })
  return Map.groupBy(events, it => it.deviceId)
}
