/**
 * The site that faults happen to: a cluster of real parts under load, with a proxy on every connection.
 *
 *     load ──▶ Kafka (one broker, or three) ──▶ processors ──▶ PostgreSQL
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

import { createLogger, isConnectionError, openDatabase, splitList, type Database, type Logger } from 'relay-common'
import { openKafkaEventLog, type EventLog } from 'relay-event-log'
import type { EventRules } from 'relay-rollups'

import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { Chance } from 'relay-test-support/chance.ts'
import { until } from 'relay-test-support/until.ts'
import { startDatabaseServer, type DatabaseServer } from './database-server.ts'
import { EventSource } from './events.ts'
import { startKafkaCluster, type KafkaCluster } from './kafka-cluster.ts'
import { Load } from './load.ts'
import { Processors } from './processors.ts'

export interface SiteSettings {
  /** for data and logs; PostgreSQL must be able to enter it */
  readonly folder: string
  /** where Kafka's jars are kept */
  readonly cacheDir: string
  readonly seed: number
  readonly brokers: number
  readonly processors: number
  readonly eventsPerSecond: number
}

export interface Site {
  readonly kafka: KafkaCluster
  readonly postgres: DatabaseServer
  readonly processors: Processors
  readonly load: Load
  readonly eventLog: EventLog
  /** a connection that no fault cuts, except for a crash of the server */
  readonly database: Database
  readonly topic: string
  readonly deadLettersTopic: string
  readonly rules: EventRules
  readonly log: Logger
  /** unexpected ends of processors since the start of the site */
  readonly ownEnds: readonly string[]
  close (): Promise<void>
}

/** A processor that is silent for this time loses its partitions. */
export const SESSION_TIMEOUT_MS = 4_000
const PARTITIONS = 8
const TOPIC = 'iot-events'

export async function openSite (settings: SiteSettings): Promise<Site> {
  await using started = new AsyncDisposableStack()
  const { folder, cacheDir, seed } = settings
  await mkdir(join(folder, 'logs'), { recursive: true })
  const log = createLogger('faults', 'error')

  const [kafkaStart, postgresStart] = await Promise.allSettled([
    startKafkaCluster({ folder, cacheDir, brokers: settings.brokers, log }),
    startDatabaseServer(folder)
  ])
  for (const it of [kafkaStart, postgresStart]) {
    if (it.status === 'fulfilled') started.adopt(it.value, part => part.close())
  }
  if (kafkaStart.status === 'rejected') throw kafkaStart.reason
  if (postgresStart.status === 'rejected') throw postgresStart.reason
  const [kafka, postgres] = [kafkaStart.value, postgresStart.value]

  const cluster = { bootstrapServers: kafka.bootstrapServers.split(','), clientId: 'faults' }
  const eventLog = started.adopt(await openKafkaEventLog(cluster, log), it => it.close())
  const topic = { partitions: PARTITIONS, retentionMs: 86_400_000, replicationFactor: -1 }
  await eventLog.ensureTopic({ ...topic, name: TOPIC })

  const environment = {
    DATABASE_URL: postgres.url,
    KAFKA_BOOTSTRAP_SERVERS: kafka.bootstrapServers,
    EVENTS_TOPIC: TOPIC,
    CONSUMER_GROUP: 'faults',
    SESSION_TIMEOUT_MS: String(SESSION_TIMEOUT_MS),
    HEALTH_PORT: '0',
    JOURNAL_INTERVAL_S: '1', // so that each fault meets readings on their way from the journal to rows
    LOG_LEVEL: 'info'
  }
  const config = readProcessorConfig(environment)
  const ownEnds: string[] = []
  const processors = started.adopt(new Processors({
    folder,
    environment: { ...process.env, ...environment },
    count: settings.processors,
    ended: (name, how) => {
      log.debug({ name, how }, 'a processor ended by itself')
      ownEnds.push(`${name}: ${how}`)
    }
  }), it => it.close())
  await processors.start()

  const direct = readProcessorConfig({ DATABASE_URL: postgres.directUrl })
  const silent = createLogger('faults', 'silent') // a crash of the server is expected here
  const database = started.adopt(await openDatabase(direct, 'faults', silent), it => it.close())
  const load = started.adopt(await Load.open({
    eventLog, topic: TOPIC, source: new EventSource(new Chance(seed)), eventsPerSecond: settings.eventsPerSecond, log
  }), it => it.close())

  const running = started.move()
  return {
    kafka,
    postgres,
    processors,
    load,
    eventLog,
    database,
    topic: TOPIC,
    deadLettersTopic: config.DEAD_LETTERS_TOPIC,
    rules: { deviceTypes: new Set(splitList(config.DEVICE_TYPES)), futureMaxMs: config.FUTURE_MAX_MS },
    log,
    ownEnds,
    close: () => running.disposeAsync()
  }
}

/** Progress of each partition: epoch, owner and next offset. Empty while the database is unreachable. */
export async function readProgress (
  { database, topic }: Pick<Site, 'database' | 'topic'>
): Promise<Map<number, Progress>> {
  try {
    const rows = await database.query<Progress & { source_partition: number }>(
      `select distinct on (source_partition) source_partition, epoch, owner, next_offset from progress where topic = $1
        order by source_partition, updated_at desc`, [topic]) // a topic that was created again has another id
    return new Map(rows.map(it => [it.source_partition, it]))
  } catch (error) {
    if (!isConnectionError(error) && (error as { code?: string }).code !== 'RELAY_DATABASE_UNREACHABLE') throw error
    return new Map()
  }
}

export interface Progress { readonly epoch: bigint, readonly owner: string, readonly next_offset: bigint }

/** Offset of the next record, by partition. */
export async function readEnds ({ eventLog, topic }: Pick<Site, 'eventLog' | 'topic'>): Promise<Map<number, bigint>> {
  return new Map((await eventLog.readOffsets(topic)).map(it => [it.partition, it.endOffset]))
}

const CATCH_UP_LIMIT_MS = 120_000

/** Waits until everything before these offsets is in the rollups. */
export async function waitForProgress (
  site: Pick<Site, 'database' | 'topic'>, ends: ReadonlyMap<number, bigint>
): Promise<void> {
  let progress = new Map<number, Progress>()
  const behind = () => [...ends].filter(([partition, end]) => end > (progress.get(partition)?.next_offset ?? 0n))
    .map(([partition, end]) => `${partition}: ${progress.get(partition)?.next_offset} of ${end}`)
  await until(() => `the rollups to catch up (partition: progress of end): ${behind().join(', ')}`, async () => {
    progress = await readProgress(site)
    return behind().length === 0
  }, CATCH_UP_LIMIT_MS)
}

/** Waits until all misplaced readings are at their home; nothing is sent meanwhile. */
export async function waitForHomes ({ database }: Pick<Site, 'database'>): Promise<void> {
  let waiting: number[] | undefined
  await until(() => `readings to come home to ${waiting?.join(', ')}`, async () => {
    waiting = await database.query<{ home_partition: number }>('select distinct home_partition from misplaced_readings')
      .then(rows => rows.map(it => it.home_partition), () => undefined) // the database is unreachable
    return waiting?.length === 0
  }, CATCH_UP_LIMIT_MS)
}
