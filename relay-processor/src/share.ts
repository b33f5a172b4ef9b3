/** The work of one thread of a processor: a line over its share of the partitions, with its own resources. */
import {
  instanceName, openTracer, splitList, type Database, type Logger, type MetricValues, type Readiness, type Registry
} from 'relay-common'
import type { ConsumerSettings, EventLog, JoinGroup } from 'relay-event-log'
import { keepMsOf, levels } from 'relay-rollups'

import { retentionTime, systemClock } from './clock.ts'
import type { ProcessorConfig } from './config.ts'
import { untilReadMs } from './flush-pace.ts'
import { groupOfGeneration } from './generations.ts'
import { journalSettings } from './journal.ts'
import { startLine } from './line.ts'
import { watchLogEnds } from './watch-log-ends.ts'
import { createProcessorMetrics } from './metrics.ts'
import { openPostgresStore } from './postgres-store.ts'
import type { ProgressGroup } from './progress-group.ts'

export interface ThreadShare {
  /** settles when its line ends, with its error if any */
  readonly done: Promise<void>
  readiness (): Promise<Readiness>
  metrics (): Promise<MetricValues>
  /** Writes what is in memory, and leaves the group. @throws RelayError RELAY_FLUSH_UNFINISHED */
  close (): Promise<void>
}

/** Resources that a share uses and does not close. */
export interface ShareParts {
  readonly database: Database
  readonly eventLog: EventLog
  readonly join: JoinGroup
  /** of this share only */
  readonly registry: Registry
  readonly log: Logger
}

/** Opens a share of a processor. The database must be migrated, and the log must have its topics. */
export async function openShare (
  config: ProcessorConfig, { database, eventLog, join, registry, log }: ShareParts
): Promise<ThreadShare> {
  await using opened = new AsyncDisposableStack()
  const settings = lineSettings(config)
  const metrics = createProcessorMetrics(registry)
  const tracer = opened.adopt(await openTracer(
    config, 'relay-processor', { database, metrics: registry, log, instance: ownerOf(config) }
  ), it => it?.close())
  const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
  const store = opened.adopt(
    await openPostgresStore(database, {
      kind: eventLog.kind, generation: config.PROCESSOR_GENERATION, ...progressGroup(config)
    }), it => it.close()
  )
  const consumer = opened.adopt(await eventLog.openConsumer({
    ...consumerSettings(config), readDelayMs: () => untilReadMs(settings, systemClock.steadyMs())
  }, join), it => it.close())
  const line = opened.adopt(startLine(settings, {
    store, eventLog, consumer, producer, clock: systemClock, metrics, log, tracer
  }), it => it.close())

  const ends = opened.adopt(watchLogEnds(eventLog, config.EVENTS_TOPIC, line, log), it => it.close())

  const open = opened.move()
  return {
    done: line.done,
    // a log in PostgreSQL is unreachable together with the database, which reports its own fault
    readiness: async () => ({ ...line.readiness(), 'event log': eventLog.kind === 'kafka' ? ends.fault() : undefined }),
    metrics: () => {
      line.observe()
      return registry.getMetricsAsJSON()
    },
    close: () => open.disposeAsync()
  }
}

/** The group of a processor, and the group that it replaces. */
export function progressGroup (config: ProcessorConfig): ProgressGroup {
  return { group: config.CONSUMER_GROUP, takeoverFrom: config.CONSUMER_GROUP_TAKEOVER_FROM }
}

/** Limits apply to the process; its threads share them equally. */
const ofThread = (config: ProcessorConfig, limit: number) => Math.ceil(limit / config.PROCESSOR_THREADS)

export function consumerSettings (config: ProcessorConfig): ConsumerSettings {
  return {
    topic: config.EVENTS_TOPIC,
    group: groupOfGeneration(config.CONSUMER_GROUP, config.PROCESSOR_GENERATION),
    instanceId: config.CONSUMER_INSTANCE_ID,
    sessionTimeoutMs: config.SESSION_TIMEOUT_MS,
    fetchBufferMaxBytes: ofThread(config, config.FETCH_BUFFER_MAX_BYTES)
  }
}

/** How progress names the owner of a partition. */
export function ownerOf (config: ProcessorConfig): string {
  return instanceName(config.CONSUMER_INSTANCE_ID)
}

function lineSettings (config: ProcessorConfig) {
  const keepMs = keepMsOf(config)
  return {
    topic: config.EVENTS_TOPIC,
    deadLettersTopic: config.DEAD_LETTERS_TOPIC,
    owner: ownerOf(config),
    flushIntervalMs: config.FLUSH_INTERVAL_MS,
    turnMs: Math.random() * config.FLUSH_INTERVAL_MS,
    flushIntervalMaxMs: Math.max(config.FLUSH_INTERVAL_MAX_MS, config.FLUSH_INTERVAL_MS),
    flushStalledMs: Math.max(config.FLUSH_STALLED_MS, 2 * config.FLUSH_INTERVAL_MAX_MS, 2 * config.FLUSH_INTERVAL_MS),
    flushReadingsMax: ofThread(config, config.FLUSH_READINGS_MAX),
    readingsPerRowMax: config.READINGS_PER_ROW_MAX,
    keepDuplicates: config.KEEP_DUPLICATES,
    seriesInMemoryMax: ofThread(config, config.SERIES_IN_MEMORY_MAX),
    journal: journalSettings(config.JOURNAL_INTERVAL_S * 1000),
    gapPolicy: config.GAP_POLICY as 'stop' | 'continue',
    keptFromMs: () => levels.map((_, index) => retentionTime(systemClock) - keepMs[index]),
    rules: {
      deviceTypes: new Set(splitList(config.DEVICE_TYPES)),
      futureMaxMs: config.FUTURE_MAX_MS,
      keepMs,
      isKeyChecked: config.KEY_POLICY === 'reject'
    }
  }
}
