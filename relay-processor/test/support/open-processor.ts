import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { randomUUID } from 'node:crypto'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { createLogger, type Database } from 'relay-common'
import { openEventLog, type EventLog, type EventProducer } from 'relay-event-log'
import type { DeviceEvent } from 'relay-rollups'
import { openLocalKafka } from 'relay-test-support/local-kafka.ts'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { until } from 'relay-test-support/until.ts'
import { readProcessorConfig, type ProcessorConfig } from '../../src/config.ts'

/** The environment of a processor: a database and a topic of the test, on a real log of either kind. */
export interface Site {
  readonly database: Database
  readonly eventLog: EventLog
  readonly producer: EventProducer
  readonly config: ProcessorConfig
  /** the same settings, for a processor as a process */
  readonly environment: Record<string, string>
}

/** Settings of a processor with its own topic. */
export function environmentOn (
  databaseUrl: string, kind: EventLog['kind'], kafka: { readonly bootstrapServers: string } | undefined
) {
  const topic = `iot-events-${randomUUID()}`
  return {
    DATABASE_URL: databaseUrl,
    EVENT_LOG: kind,
    ...kafka ? { KAFKA_BOOTSTRAP_SERVERS: kafka.bootstrapServers } : {},
    EVENTS_TOPIC: topic,
    EVENTS_PARTITIONS: '4',
    DEAD_LETTERS_TOPIC: `${topic}.dead-letters`,
    CONSUMER_GROUP: `group-${topic}`,
    HEALTH_PORT: '0',
    FLUSH_INTERVAL_MS: '50'
  }
}

/**
 * @param settings of the processor; KAFKA_BOOTSTRAP_SERVERS names a broker of the test
 * @returns undefined if this machine has no such log; then the test is skipped with a message
 */
export async function openSite (
  t: TestContext, kind: EventLog['kind'], settings: Record<string, string> = {}
): Promise<Site | undefined> {
  const isKafkaWanted = kind === 'kafka' && settings.KAFKA_BOOTSTRAP_SERVERS === undefined
  const kafka = isKafkaWanted ? await openLocalKafka(t) : undefined
  if (isKafkaWanted && !kafka) return undefined
  const { database, url } = await openLocalPostgres(t)
  const environment = {
    ...environmentOn(url, kind, kafka), SESSION_TIMEOUT_MS: '2000', LOG_LEVEL: 'silent', ...settings
  }
  const topic = environment.EVENTS_TOPIC
  const config = readProcessorConfig(environment)
  const eventLog = await openEventLog(config, database, createLogger('test', 'silent'))
  await eventLog.ensureTopic({ name: topic, partitions: 4, retentionMs: 3_600_000, replicationFactor: -1 })
  const producer = await eventLog.openProducer()
  t.after(async () => {
    await producer.close()
    await eventLog.close()
  })
  return { database, eventLog, producer, config, environment }
}

export function encode (event: DeviceEvent): string {
  return JSON.stringify({ ...event, timestampMs: undefined, timestamp: new Date(event.timestampMs).toISOString() })
}

export async function send (site: Site, events: readonly DeviceEvent[]): Promise<void> {
  await site.producer.send(site.config.EVENTS_TOPIC, events.map(it => ({ key: it.deviceId, value: encode(it) })))
}

/** Waits until everything in the topic now is in the rollups, at home. */
export async function settled (site: Site): Promise<void> {
  const offsets = await site.eventLog.readOffsets(site.config.EVENTS_TOPIC)
  await until('the rollups to reach the end of the log', async () => {
    const progress = await site.database.query<{ source_partition: number, next_offset: bigint }>(
      'select source_partition, next_offset from progress where topic = $1', [site.config.EVENTS_TOPIC])
    const next = new Map(progress.map(it => [it.source_partition, it.next_offset]))
    const onTheWay = await site.database.query('select from misplaced_readings limit 1')
    return onTheWay.length === 0 &&
      offsets.every(it => it.endOffset === it.startOffset || (next.get(it.partition) ?? -1n) >= it.endOffset)
  })
}

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** Starts a processor as a process; it ends with the test. */
export async function spawnProcessor (
  t: TestContext, site: Pick<Site, 'environment'>, settings: Record<string, string> = {}
): Promise<ChildProcess> {
  const child = spawn(process.execPath, [main], {
    env: { ...process.env, ...site.environment, ...settings }, stdio: ['ignore', 'pipe', 'inherit', 'ipc']
  })
  child.stdout!.resume() // its log, for readers
  t.after(() => { child.kill('SIGKILL') })
  await Promise.race([
    once(child, 'message'), once(child, 'exit').then(() => { throw new Error('the processor ended at its start') })
  ])
  return child
}

/** Reproducible events: some late by weeks, some out of order, some resent. */
export function makeEvents (count: number, seed = 1): DeviceEvent[] {
  let state = seed
  const random = () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647
  const types = ['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL']
  const startMs = Date.parse('2024-03-01T10:00:00Z')
  const events: DeviceEvent[] = []
  for (let n = 0; n < count; n++) {
    const again = random() < 0.03 ? events[Math.floor(random() * events.length)] : undefined
    const device = Math.floor(random() * 12)
    events.push(again ?? {
      deviceId: `device-${device}`,
      deviceType: types[device % 3],
      zone: `Zone ${'ABCD'[device % 4]}`,
      value: Math.round((random() - 0.4) * 1000) / 10 + 0,
      timestampMs: startMs + n * 250 - Math.floor(random() < 0.05 ? random() * 30 * 86_400_000 : random() * 5_000)
    })
  }
  return events
}
