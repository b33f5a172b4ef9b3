import { setTimeout as delay } from 'node:timers/promises'

import {
  createMetrics, createProcessMetrics, measureDegraded, migrate, openDatabase, reportProgram, startHealthServer, within,
  writeMetrics, writeOpenMetrics, type Database, type Logger, type Readiness, type Running
} from 'relay-common'
import { openEventLog, splitGroup, warnOfCompaction } from 'relay-event-log'

import type { ProcessorConfig } from './config.ts'
import { measureCanary } from './generations.ts'
import { createMeasure } from './measured.ts'
import { checkProgressGroup } from './progress-group.ts'
import { startRetention } from './retention.ts'
import { consumerSettings, openShare, ownerOf, progressGroup, type ThreadShare } from './share.ts'
import { startThread } from './thread.ts'

export interface Processor extends Running {
  readonly done: Promise<void>
  /** port of /livez, /readyz and /metrics */
  readonly healthPort: number
}

/** time for the rest to close after a line failed, because it may wait for an unreachable server */
const CLOSE_AFTER_FAILURE_MAX_MS = 1_000

/**
 * Starts a processor: migrates the database, joins the group, and folds until it is closed. Closing writes what is in
 * memory, leaves the group and closes the rest, in reverse order of opening.
 */
export async function startProcessor (config: ProcessorConfig, log: Logger): Promise<Processor> {
  await using started = new AsyncDisposableStack() // a step that throws closes the ones before it
  const threads = Array.from({ length: config.PROCESSOR_THREADS - 1 }, (_, index) =>
    started.adopt(startThread(config, index + 1), it => it.close()))

  await bringUpToDate(config, log)
  const registry = createMetrics('relay-processor')
  const database = started.adopt(
    await openDatabase(
      config, 'relay-processor', log, { plans: 'by-key', measured: { metrics: registry, server: 'database' } }
    ), it => it.close())
  await checkProgressGroup(database, progressGroup(config))
  started.adopt(await startRetention(database, config, log), it => it.close())

  const eventLog = started.adopt(await openEventLog(config, database, log), it => it.close())
  const retentionMs = config.EVENTS_RETENTION_HOURS * 3_600_000
  const replicationFactor = config.EVENTS_REPLICATION_FACTOR
  await eventLog.ensureTopic({
    name: config.EVENTS_TOPIC, partitions: config.EVENTS_PARTITIONS, retentionMs, replicationFactor
  })
  await eventLog.ensureTopic({ name: config.DEAD_LETTERS_TOPIC, partitions: 1, retentionMs, replicationFactor })
  for (const topic of [config.EVENTS_TOPIC, config.DEAD_LETTERS_TOPIC]) await warnOfCompaction(eventLog, topic, log)

  const [join, ...joins] = splitGroup(await eventLog.openGroup(consumerSettings(config)), config.PROCESSOR_THREADS)
  const opening = [
    openShare(config, { database, eventLog, join, registry, log }),
    ...threads.map((thread, index) => thread.open(joins[index]))
  ]
  started.defer(() => closeAll(opening))
  const shares = await Promise.all(opening)

  const readThreads = () => Promise.all(shares.map(it => it.metrics()))
  const measure = createMeasure(readThreads, config.PROCESSOR_GENERATION)
  started.adopt(reportProgram(database, 'relay-processor', ownerOf(config), measure, log), it => it.close())

  const metrics = createProcessMetrics('relay-processor')
  const databaseFault = watchDatabase(database)
  const readiness = async () => {
    const [database, ...parts] = await Promise.all([databaseFault(), ...shares.map(it => it.readiness())])
    return { ...mergeReadiness(parts), database }
  }
  measureDegraded(metrics, readiness)
  measureCanary(metrics, database)
  const health = started.adopt(await startHealthServer(config, {
    readiness,
    metrics: {
      contentType: metrics.contentType,
      metrics: async () => await writeMetrics(metrics, await readThreads()),
      ...config.OTEL_EXPORTER_OTLP_ENDPOINT !== undefined
        ? { openMetrics: async () => await writeOpenMetrics(metrics, await readThreads()) }
        : {}
    }
  }), it => it.close())

  log.info({ eventLog: eventLog.description, topic: config.EVENTS_TOPIC, healthPort: health.port }, 'processor started')
  const running = started.move()
  const done = Promise.all(shares.map(it => it.done)).then(() => {})
  const failed = new Promise<never>((_resolve, reject) => {
    done.catch(error => delay(CLOSE_AFTER_FAILURE_MAX_MS, undefined, { ref: false }).then(() => reject(error)))
  })
  failed.catch(() => {})
  let closed: Promise<void> | undefined // a second close waits for the first
  return {
    done,
    healthPort: health.port,
    close: () => (closed ??= Promise.race([running.disposeAsync(), failed]))
  }
}

/** On its own connections, because migrations use the default planner settings. */
async function bringUpToDate (config: ProcessorConfig, log: Logger): Promise<void> {
  const database = await openDatabase(config, 'relay-processor', log)
  try {
    await migrate(database, log)
  } finally {
    await database.close()
  }
}

/** In parallel: each has the same few seconds to write what it holds. */
async function closeAll (opening: readonly Promise<ThreadShare>[]): Promise<void> {
  const closing = await Promise.allSettled(opening.map(async it => await (await it.catch(() => undefined))?.close()))
  const failed = closing.find(it => it.status === 'rejected')
  if (failed) throw failed.reason
}

/** What prevents any of the threads from working, by part. */
function mergeReadiness (parts: readonly Readiness[]): Readiness {
  const byPart = Map.groupBy(parts.flatMap(it => Object.entries(it)), it => it[0])
  return Object.fromEntries([...byPart].map(([part, of]) => {
    const faults = new Set(of.map(it => it[1]).filter(it => it !== undefined))
    return [part, faults.size > 0 ? [...faults].join('; ') : undefined]
  }))
}

/** A probe waits no longer than this for a hanging database. */
const DATABASE_ANSWER_MAX_MS = 800

/**
 * @returns a check of the database that runs once at a time, because a hanging database would take a connection per
 *   check
 */
function watchDatabase (database: Database): () => Promise<string | undefined> {
  let asking: Promise<unknown> | undefined
  return async () => {
    asking ??= database.query('select 1').finally(() => { asking = undefined })
    return await within(DATABASE_ANSWER_MAX_MS, asking).then(() => undefined, error => (error as Error).message)
  }
}
