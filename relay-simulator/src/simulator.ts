/** Composes the simulator: opens its parts in order, and closes them in reverse. */
import { createProcessMetrics, migrate, openDatabase, startHealthServer, type Logger, type Running } from 'relay-common'
import { eventLogKind, openEventLog, type EventLog } from 'relay-event-log'
import { HOUR_MS } from 'relay-rollups'

import type { SimulatorConfig } from './config.ts'
import { Fleet } from './fleet.ts'
import { createSimulatorMetrics } from './metrics.ts'
import { Outage } from './send.ts'
import { startStreams } from './streams.ts'
import { Timeline } from './timeline.ts'

export interface Simulator extends Running {
  /** resolves when all work is done: after a history without live events, or when it is closed */
  readonly done: Promise<void>
  /** port of /livez, /readyz and /metrics */
  readonly healthPort: number
}

/**
 * Starts a simulator. Closing it sends pending and postponed events, as far as the log accepts them.
 * @param nowMs the clock, ms since the epoch
 * @throws RelayError RELAY_EVENT_LOG_UNREACHABLE, RELAY_DATABASE_UNREACHABLE, RELAY_PORT_IN_USE
 */
export async function startSimulator (config: SimulatorConfig, log: Logger, nowMs = Date.now): Promise<Simulator> {
  await using started = new AsyncDisposableStack() // a step that throws closes the ones before it
  const eventLog = await openLog(config, log, started)
  await eventLog.ensureTopic({
    name: config.EVENTS_TOPIC,
    partitions: config.EVENTS_PARTITIONS,
    retentionMs: config.EVENTS_RETENTION_HOURS * HOUR_MS,
    replicationFactor: config.EVENTS_REPLICATION_FACTOR
  })

  const { DEVICES: devices, ZONES: zones, RATE: rate, SEED: seed, faultShares, backfillMs } = config
  const fleet = new Fleet({ devices, zones, rate, seed, deviceTypes: config.deviceTypes })
  const startMs = nowMs()
  const live = config.EXIT_AFTER_BACKFILL ? undefined : new Timeline({ fleet, faultShares, kind: 'live', startMs })
  const history = backfillMs === 0
    ? undefined
    : new Timeline({ fleet, faultShares, kind: 'backfill', startMs: Math.max(0, startMs - backfillMs), endMs: startMs })

  const outage = new Outage(log)
  const registry = createProcessMetrics('relay-simulator')
  const metrics = createSimulatorMetrics(registry, () => Math.max(0, live ? nowMs() - live.nextTickMs : 0))
  const health = started.adopt(await startHealthServer(config, {
    readiness: () => ({ 'event log': outage.reason }),
    metrics: registry
  }), it => it.close())

  log.info({ eventLog: eventLog.description, topic: config.EVENTS_TOPIC, devices, rate, healthPort: health.port },
    'simulator started')
  const streams = started.adopt(await startStreams({
    live,
    history,
    historyEndMs: startMs,
    catchUpMaxMs: config.catchUpMaxMs,
    topic: config.EVENTS_TOPIC,
    eventLog,
    nowMs,
    outage,
    metrics,
    log
  }), it => it.close())

  const running = started.move()
  let closed: Promise<void> | undefined // a second close waits for the first
  return {
    done: streams.done,
    healthPort: health.port,
    close: () => (closed ??= running.disposeAsync())
  }
}

/** Opens the event log, with its database if it is in PostgreSQL. */
async function openLog (config: SimulatorConfig, log: Logger, started: AsyncDisposableStack): Promise<EventLog> {
  if (eventLogKind(config) === 'kafka') {
    return started.adopt(await openEventLog(config, undefined, log), it => it.close())
  }
  const database = started.adopt(
    await openDatabase(config, 'relay-simulator', log, { plans: 'by-key' }), it => it.close()
  )
  await migrate(database, log)
  return started.adopt(await openEventLog(config, database, log), it => it.close())
}
