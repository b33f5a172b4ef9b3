import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'

import {
  createMetrics, keepMsOf, levels, migrate, openDatabase, openEventLog, splitList, startHealthServer, type Database,
  type Logger, type Running
} from 'relay-common'

import { systemClock } from './clock.ts'
import type { ProcessorConfig } from './config.ts'
import { startLine } from './line.ts'
import { createProcessorMetrics } from './metrics.ts'
import { openPostgresStore } from './postgres-store.ts'
import { startRetention } from './retention.ts'

export interface Processor extends Running {
  readonly done: Promise<void>
  /** where /livez, /readyz and /metrics are */
  readonly healthPort: number
}

/** once the line has failed, how long the rest may take to close: whatever it waits for may be away */
const CLOSE_AFTER_FAILURE_MAX_MS = 1_000

/**
 * Starts a processor: brings the database up to date, joins the group, and folds until it is closed.
 * Closing writes what is in memory, leaves the group and closes the rest, in reverse order of opening.
 */
export async function startProcessor (config: ProcessorConfig, log: Logger): Promise<Processor> {
  await using started = new AsyncDisposableStack() // a step that throws closes the ones before it
  const registry = createMetrics('relay-processor')
  const metrics = createProcessorMetrics(registry)

  const database = started.adopt(await openDatabase(config, 'relay-processor', log), it => it.close())
  await migrate(database, log)
  started.adopt(await startRetention(database, config, log), it => it.close())

  const eventLog = started.adopt(await openEventLog(config, database, log), it => it.close())
  const retentionMs = config.EVENTS_RETENTION_HOURS * 3_600_000
  const replicationFactor = config.EVENTS_REPLICATION_FACTOR
  await eventLog.ensureTopic({ name: config.EVENTS_TOPIC, partitions: config.EVENTS_PARTITIONS, retentionMs, replicationFactor })
  await eventLog.ensureTopic({ name: config.DEAD_LETTERS_TOPIC, partitions: 1, retentionMs, replicationFactor })

  const producer = started.adopt(await eventLog.openProducer(), it => it.close())
  const consumer = started.adopt(await eventLog.openConsumer({
    topic: config.EVENTS_TOPIC,
    group: config.CONSUMER_GROUP,
    instanceId: config.CONSUMER_INSTANCE_ID,
    sessionTimeoutMs: config.SESSION_TIMEOUT_MS,
    fetchBufferMaxBytes: config.FETCH_BUFFER_MAX_BYTES
  }), it => it.close())

  const store = started.adopt(await openPostgresStore(database, eventLog.kind), it => it.close())
  const line = started.adopt(startLine(lineSettings(config), {
    store, eventLog, consumer, producer, clock: systemClock, metrics, log
  }), it => it.close())

  const health = started.adopt(await startHealthServer(config, {
    readiness: async () => ({ ...line.readiness(), database: await databaseFault(database) }),
    metrics: registry
  }), it => it.close())

  log.info({ eventLog: eventLog.description, topic: config.EVENTS_TOPIC, healthPort: health.port }, 'processor started')
  const running = started.move()
  const failed = new Promise<never>((_resolve, reject) => {
    line.done.catch(error => delay(CLOSE_AFTER_FAILURE_MAX_MS, undefined, { ref: false }).then(() => reject(error)))
  })
  failed.catch(() => {})
  let closed: Promise<void> | undefined // a second close waits for the first
  return {
    done: line.done,
    healthPort: health.port,
    close: () => (closed ??= Promise.race([running.disposeAsync(), failed]))
  }
}

function lineSettings (config: ProcessorConfig) {
  const keepMs = keepMsOf(config)
  return {
    topic: config.EVENTS_TOPIC,
    deadLettersTopic: config.DEAD_LETTERS_TOPIC,
    owner: `${config.CONSUMER_INSTANCE_ID ?? hostname()}:${process.pid}`,
    flushIntervalMs: config.FLUSH_INTERVAL_MS,
    flushIntervalMaxMs: Math.max(config.FLUSH_INTERVAL_MAX_MS, config.FLUSH_INTERVAL_MS),
    flushReadingsMax: config.FLUSH_READINGS_MAX,
    readingsPerRowMax: config.READINGS_PER_ROW_MAX,
    keepDuplicates: config.KEEP_DUPLICATES,
    seriesInMemoryMax: config.SERIES_IN_MEMORY_MAX,
    gapPolicy: config.GAP_POLICY as 'stop' | 'continue',
    keptFromMs: (nowMs: number) => levels.map((_, index) => nowMs - keepMs[index]),
    rules: {
      deviceTypes: new Set(splitList(config.DEVICE_TYPES)),
      futureMaxMs: config.FUTURE_MAX_MS,
      keepMs,
      isKeyChecked: config.KEY_POLICY === 'reject'
    }
  }
}

async function databaseFault (database: Database): Promise<string | undefined> {
  return await database.query('select 1').then(() => undefined, error => (error as Error).message)
}
