/** The programs, what each is told, and the history of the simulated fleet. */
import { join } from 'node:path'

import { WELL_KNOWN_TOKEN, type DatabaseLogin } from 'relay-common'

import { chooseHistoryMs, startBackfill } from './backfill.ts'
import type { StackContext } from './context.ts'
import { isKafkaOurs } from './event-log.ts'
import type { PortName } from './port-options.ts'
import { LOCAL_HOST } from './ports.ts'
import { startProgram, type ProgramName } from './program-process.ts'
import type { Servers } from './servers.ts'
import { startTogether, supervise, type Supervised } from './supervise.ts'

/** What was under way when a simulator died: its next one sends it again. */
const UNDER_WAY_MS = 30_000

/** A few devices that report one after the other are one flush per second then, and take a third of the CPU. */
const FLUSH_INTERVAL_LOCAL_MS = '1000'

/** Settings of a program that uses the event log and, as itself, the database. */
export type EnvironmentFor = (login: DatabaseLogin) => NodeJS.ProcessEnv

/** @param databaseOf how each logs in to the PostgreSQL of the stack; undefined: the environment names another */
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

/** Starts them and waits until they are ready. */
export async function startPrograms (
  context: StackContext, environmentFor: EnvironmentFor, started: AsyncDisposableStack
): Promise<Supervised[]> {
  const { options, ports, dataDir, report, fleet } = context
  let simulatorEndedMs: number | undefined
  const simulator = async () => {
    const missedMs = simulatorEndedMs === undefined ? 0 : Date.now() - simulatorEndedMs + UNDER_WAY_MS
    const running = await start(context, 'simulator', ['simulator'], () => ({
      ...environmentFor('simulator'),
      ...options.simulator,
      HEALTH_PORT: String(ports.of('simulator')),
      EXIT_AFTER_BACKFILL: '',
      BACKFILL: secondsOf(missedMs)
    }))
    running.exited.then(() => { simulatorEndedMs = Date.now() })
    return running
  }
  const processor = () => start(context, 'processor', ['processor'], () => ({
    FLUSH_INTERVAL_MS: FLUSH_INTERVAL_LOCAL_MS,
    ...environmentFor('processor'),
    HEALTH_PORT: String(ports.of('processor')),
    CONSUMER_INSTANCE_ID: 'relay-stack' // one that comes back after a kill has its partitions at once
  }))
  const api = () => start(context, 'api', ['api', 'metrics', 'mqtt'], () => ({
    API_TOKENS: WELL_KNOWN_TOKEN,
    ...options.issuer ? { OIDC_ISSUER: `http://${LOCAL_HOST}:${ports.of('issuer')}`, OIDC_DASHBOARD_CLIENT: 'relay-web' } : {},
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

  // closed in reverse: nothing more is sent, what was sent is written, and then nobody may ask
  return await startTogether([
    () => supervise({ name: 'api', start: api }, report),
    () => supervise({ name: 'processor', start: processor }, report),
    ...fleet ? [() => supervise({ name: 'simulator', start: simulator }, report)] : [],
    ...options.issuer ? [() => supervise({ name: 'issuer', start: issuer }, report)] : []
  ], started)
}

/** @param environmentNow asked at each try, for ports may move */
function start (
  { dataDir, logs, ports, signal }: StackContext, name: ProgramName, itsPorts: readonly PortName[],
  environmentNow: () => NodeJS.ProcessEnv
) {
  return ports.bind(itsPorts, () =>
    startProgram({ name, environment: environmentNow(), logFile: logs.pathOf(name), pids: dataDir.pids, signal }))
}

/**
 * Sends the history that is due, while the stack runs.
 * @param liveFromMs since when the simulator sends live events, or a little before
 * @returns how much the stack chose to send, ms; 0: nothing, or as the user asked
 */
export async function sendHistory (
  context: StackContext, environment: NodeJS.ProcessEnv, liveFromMs: number, started: AsyncDisposableStack
): Promise<number> {
  const { options: { simulator }, fleet, dataDir, ports, report } = context
  if (fleet === undefined) return 0
  const sentUntilMs = await dataDir.readSentUntil()
  const chosenMs = chooseHistoryMs(sentUntilMs, liveFromMs, fleet.eventsPerSecond)
  if (parseFloat(simulator.BACKFILL ?? secondsOf(chosenMs)) === 0) return 0
  // the sender counts back from when it is up, which may take a while: what was missed must not begin later for that
  const lateMs = () => sentUntilMs === undefined ? 0 : Date.now() - liveFromMs + UNDER_WAY_MS
  const own = () => ({
    HEALTH_PORT: '0', EXIT_AFTER_BACKFILL: 'true', BACKFILL: simulator.BACKFILL ?? secondsOf(chosenMs + lateMs())
  })
  started.adopt(await startBackfill({
    dataDir,
    liveFromMs,
    start: () => start(context, 'backfill', [], () => ({ ...environment, ...simulator, ...own() })),
    isSending: () => fetch(`http://${LOCAL_HOST}:${ports.of('simulator')}/readyz`).then(it => it.ok, () => false),
    observer: report
  }), it => it.close())
  return simulator.BACKFILL === undefined ? chosenMs : 0
}

const secondsOf = (timeMs: number) => timeMs === 0 ? '0' : `${Math.ceil(timeMs / 1_000)}s`
