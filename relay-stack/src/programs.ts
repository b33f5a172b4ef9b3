/** The programs with their settings, and the history of the simulated fleet. */
import { join } from 'node:path'

import { WELL_KNOWN_TOKEN, type DatabaseLogin } from 'relay-access'
import { HISTORY_FIRST_EVENTS_MAX } from 'relay-simulator/config'

import { chooseHistoryMs, startBackfill } from './backfill.ts'
import type { StackContext } from './context.ts'
import { isKafkaOurs } from './event-log.ts'
import type { PortName } from './port-options.ts'
import { LOCAL_HOST } from './ports.ts'
import { startProgram, type ProgramName } from './program-process.ts'
import type { Servers } from './servers.ts'
import { startTogether, supervise, type Supervised } from './supervise.ts'

/** Events in progress when a simulator died; its successor sends them again. */
const UNDER_WAY_MS = 30_000

/** A few devices that report one after the other then need one flush per second, with a third of the CPU. */
const FLUSH_INTERVAL_LOCAL_MS = '1000'

/** Settings of a program that uses the event log and its own database login. */
export type EnvironmentFor = (login: DatabaseLogin) => NodeJS.ProcessEnv

/**
 * @param databaseOf login settings of each program in the PostgreSQL of the stack; undefined: the environment names
 *   another
 */
export function environmentOf (
  { environment, choice, ports }: StackContext, databaseOf: Servers['databaseOf']
): EnvironmentFor {
  const kafka = isKafkaOurs(choice) ? `${LOCAL_HOST}:${ports.of('kafka')}` : environment.KAFKA_BOOTSTRAP_SERVERS
  return login => ({
    ...environment,
    EVENT_LOG: choice.kind,
    KAFKA_BOOTSTRAP_SERVERS: choice.kind === 'kafka' ? kafka : '',
    ...databaseOf?.(login)
  })
}

/**
 * Starts them and waits until they are ready. A short history of the fleet is sent first, because after live events its
 * readings would be late.
 * @returns also how much history the stack chose to send, ms; 0: none, or the user's choice
 */
export async function startPrograms (
  context: StackContext, environmentFor: EnvironmentFor, started: AsyncDisposableStack
): Promise<{ readonly programs: Supervised[], readonly historyMs: number }> {
  const { options, ports, dataDir, report, fleet, signal } = context
  const startedMs = Date.now()
  const aborted = new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
  let history: History | undefined
  /** events after this time were not sent by a simulator yet; undefined: nothing to make up for */
  let unsentFromMs: number | undefined
  const simulator = async () => {
    const missedMs = unsentFromMs === undefined ? 0 : Date.now() - unsentFromMs + UNDER_WAY_MS
    const running = await start(context, 'simulator', ['simulator'], () => ({
      ...environmentFor('simulator'),
      ...options.simulator,
      HEALTH_PORT: String(ports.of('simulator')),
      EXIT_AFTER_BACKFILL: '',
      BACKFILL: secondsOf(missedMs)
    }))
    running.exited.then(() => { unsentFromMs = Date.now() })
    return running
  }
  const sendAll = async () => {
    history = await sendHistory(context, environmentFor('simulator'), startedMs, started)
    if (history?.isShort) {
      await Promise.race([history.ended, aborted])
      unsentFromMs = startedMs
    }
    return await supervise({ name: 'simulator', start: simulator }, report)
  }
  const processor = () => start(context, 'processor', ['processor'], () => ({
    FLUSH_INTERVAL_MS: FLUSH_INTERVAL_LOCAL_MS,
    ...environmentFor('processor'),
    HEALTH_PORT: String(ports.of('processor')),
    CONSUMER_INSTANCE_ID: 'relay-stack' // a restarted one gets its partitions back at once
  }))
  const api = () => start(context, 'api', ['api', 'metrics', 'mqtt'], () => ({
    API_TOKENS: WELL_KNOWN_TOKEN,
    ...options.issuer
      ? { OIDC_ISSUER: `http://${LOCAL_HOST}:${ports.of('issuer')}`, OIDC_DASHBOARD_CLIENT: 'relay-web' }
      : {},
    ...environmentFor('api'),
    API_PORT: String(ports.of('api')),
    METRICS_PORT: String(ports.of('metrics')),
    MQTT_PORT: String(ports.of('mqtt'))
  }))
  const issuer = () => start(context, 'issuer', ['issuer'], () => ({
    ISSUER_KEYS_FILE: join(dataDir.path, 'issuer-keys.json'),
    ISSUER_CORS_ORIGINS: [LOCAL_HOST, 'localhost'].map(it => `http://${it}:${ports.of('api')}`).join(','),
    ...context.environment,
    ISSUER_PORT: String(ports.of('issuer'))
  }))

  // closed in reverse: stop sending, write what was sent, then stop answering
  const programs = await startTogether([
    () => supervise({ name: 'api', start: api }, report),
    () => supervise({ name: 'processor', start: processor }, report),
    ...fleet ? [sendAll] : [],
    ...options.issuer ? [() => supervise({ name: 'issuer', start: issuer }, report)] : []
  ], started)
  started.defer(() => history?.close())
  return { programs, historyMs: history?.chosenMs ?? 0 }
}

/** @param environmentNow called at each try, because ports may move */
function start (
  { dataDir, logs, ports, signal }: StackContext, name: ProgramName, itsPorts: readonly PortName[],
  environmentNow: () => NodeJS.ProcessEnv
) {
  return ports.bind(itsPorts, () =>
    startProgram({ name, environment: environmentNow(), logFile: logs.pathOf(name), pids: dataDir.pids, signal }))
}

interface History {
  readonly chosenMs: number
  readonly isShort: boolean
  /** resolves when it is sent, or given up */
  readonly ended: Promise<void>
  close (): Promise<void>
}

/**
 * Sends the missing history while the stack runs.
 * @param liveFromMs start of the simulator's live events, or slightly before
 * @returns undefined: none is missing
 */
async function sendHistory (
  context: StackContext, environment: NodeJS.ProcessEnv, liveFromMs: number, started: AsyncDisposableStack
): Promise<History | undefined> {
  const { options: { simulator }, dataDir, ports, report } = context
  const { eventsPerSecond, backfillMs } = context.fleet!
  const sentUntilMs = await dataDir.readSentUntil()
  const chosenMs = chooseHistoryMs(sentUntilMs, liveFromMs, eventsPerSecond)
  const historyMs = simulator.BACKFILL === undefined ? chosenMs : backfillMs
  if (historyMs === 0) return undefined
  // the sender counts back from its own start, which may be late, so its history must be longer
  const lateMs = () => sentUntilMs === undefined ? 0 : Date.now() - liveFromMs + UNDER_WAY_MS
  const own = () => ({
    HEALTH_PORT: '0', EXIT_AFTER_BACKFILL: 'true', BACKFILL: simulator.BACKFILL ?? secondsOf(chosenMs + lateMs())
  })
  const sender = started.adopt(await startBackfill({
    dataDir,
    liveFromMs,
    start: () => start(context, 'backfill', [], () => ({ ...environment, ...simulator, ...own() })),
    isSending: () => fetch(`http://${LOCAL_HOST}:${ports.of('simulator')}/readyz`).then(it => it.ok, () => false),
    observer: report
  }), it => it.close())
  return {
    chosenMs: simulator.BACKFILL === undefined ? chosenMs : 0,
    isShort: historyMs / 1_000 * eventsPerSecond <= HISTORY_FIRST_EVENTS_MAX,
    ...sender
  }
}

const secondsOf = (timeMs: number) => timeMs === 0 ? '0' : `${Math.ceil(timeMs / 1_000)}s`
