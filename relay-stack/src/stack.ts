/**
 * Composes the local stack: its parts are started in this order, and stopped in reverse.
 *
 *     settings of the fleet -> loopback, data folder -> which event log -> ports -> PostgreSQL, event log -> API, processor, simulator -> history -> first answer
 */
import { WELL_KNOWN_TOKEN } from 'relay-access'
import { splitList, publishLocalStack } from 'relay-common'

import { compilePrograms } from './compile.ts'
import type { StackContext } from './context.ts'
import { DATABASE } from './database.ts'
import { openDataDir, type DataDir } from './data-dir.ts'
import { fullDisk, watchDisk } from './disk.ts'
import { useHere } from './environment.ts'
import { describeChoice, isKafkaOurs, placeOf, settleEventLog, type EventLogChoice } from './event-log.ts'
import { queryLastHour, curlOf, sendingCurl, waitForAnswer } from './first-answer.ts'
import { chooseFleet } from './fleet.ts'
import { followLog, openLogFiles } from './log-files.ts'
import { checkLoopback } from './loopback.ts'
import type { StackOptions } from './options.ts'
import type { PortName } from './port-options.ts'
import { LOCAL_HOST, openPorts } from './ports.ts'
import { programNames } from './program-process.ts'
import { environmentOf, startPrograms } from './programs.ts'
import { describeMetrics, writePrometheusConfig, type MetricsTarget } from './prometheus.ts'
import { createReport, shortPath, type PartRow } from './report.ts'
import { isDatabaseOutside, startServers } from './servers.ts'
import type { Supervised } from './supervise.ts'

export interface Stack {
  /** resolves with the name of a part that keeps dying */
  readonly gaveUp: Promise<string>
  close (): Promise<void>
}

/**
 * Starts everything, and reports the first answer.
 * @param write shows text to the user
 * @param signal stops a start in progress; it is then undone, and this throws
 * @throws RelayError if a part can't be started; the others are stopped then
 */
export async function startStack (
  options: StackOptions, environment: NodeJS.ProcessEnv, write: (text: string) => void, signal: AbortSignal
): Promise<Stack> {
  await using started = new AsyncDisposableStack() // a step that throws closes the ones before it
  const say = (line: string) => write(line + '\n')
  const hasPostgres = !isDatabaseOutside(environment)
  const hasServers = hasPostgres && (!environment.KAFKA_BOOTSTRAP_SERVERS || options.eventLog === 'postgres')
  const fleet = chooseFleet(options, environment, hasServers)
  useHere(environment, hasPostgres, say)
  await checkLoopback()
  const dataDir = started.adopt(await openDataDir(options.dataDir, options.fresh, say), it => it.close())
  signal.addEventListener('abort', () => dataDir.noteStopping(), { once: true })
  const choice = await chooseEventLogOf(options, environment, dataDir, say, signal)
  const ports = await openPorts(wantedPorts(options, isKafkaOurs(choice), hasPostgres, fleet !== undefined), say)
  const logs = started.adopt(await openLogFiles(dataDir.logs), it => it.close())
  const report = createReport(write, logs.pathOf, () => fullDisk(dataDir.path))
  started.adopt(watchDisk(dataDir.path, report.line), it => it.close())
  const context = { options, environment, choice, dataDir, ports, fleet, logs, report, signal }
  report.line(describeChoice(choice))
  if (!fleet && !hasServers) report.line('No simulated fleet on your own servers (use --simulator to simulate one)')
  followLogs(context, started)

  started.adopt(compilePrograms(), it => it.close())
  const servers = await startServers(context, started)
  await dataDir.writeEventLog(placeOf(choice))
  signal.throwIfAborted()
  const environmentFor = environmentOf(context, servers.databaseOf)
  const { programs, historyMs } = await startPrograms(context, environmentFor, started)
  signal.throwIfAborted()
  if (servers.databaseOfOwner) {
    const { EVENT_LOG, KAFKA_BOOTSTRAP_SERVERS } = environmentFor('processor')
    const RELAY_URL = `http://${LOCAL_HOST}:${ports.of('api')}`
    const site = { ...servers.databaseOfOwner, EVENT_LOG, KAFKA_BOOTSTRAP_SERVERS, RELAY_URL }
    started.adopt(await publishLocalStack(dataDir.path, site), it => it.close())
  }
  const prometheusFile = await writePrometheusConfig(dataDir.path, metricsTargets(context))
  const parts = [...servers.parts, ...programs]
  const gaveUp = Promise.race(parts.map(async it => { await it.gaveUp; return it.name }))
  await Promise.race([gaveUp, reportFirstAnswer(context, parts, historyMs, prometheusFile)])
  signal.throwIfAborted()

  const running = started.move()
  let closed: Promise<void> | undefined // a second close waits for the first
  return {
    gaveUp,
    close: () => (closed ??= running.disposeAsync())
  }
}

/** The requested event log, or that of the data folder. */
async function chooseEventLogOf (
  options: StackOptions, environment: NodeJS.ProcessEnv, dataDir: DataDir, say: (line: string) =>
  void, signal: AbortSignal
): Promise<EventLogChoice> {
  const bootstrapServers = environment.KAFKA_BOOTSTRAP_SERVERS
  const isNamed = Boolean(options.eventLog || bootstrapServers)
  return await settleEventLog({
    asked: options.eventLog,
    bootstrapServers,
    before: await dataDir.readEventLog() ?? (isNamed ? undefined : dataDir.guessEventLog()),
    isMove: options.isEventLogMoved
  }, options.kafkaCache, say, signal)
}

function wantedPorts (
  { ports, issuer, kafkaMetrics: hasMetrics }: StackOptions, hasKafka: boolean, hasPostgres: boolean,
  hasSimulator: boolean
): Partial<StackOptions['ports']> {
  const { kafka, kafkaMetrics, postgres, issuer: ofIssuer, simulator, ...always } = ports
  return {
    ...always,
    ...hasKafka ? { kafka, ...hasMetrics ? { kafkaMetrics } : {} } : {},
    ...hasPostgres ? { postgres } : {},
    ...issuer ? { issuer: ofIssuer } : {},
    ...hasSimulator ? { simulator } : {}
  }
}

/** Shows all logs if requested, otherwise the progress of a long backfill. */
function followLogs ({ options, logs, report }: StackContext, started: AsyncDisposableStack): void {
  const follow = (part: string, show: (line: string) => void) =>
    started.adopt(followLog(logs.pathOf(part), show), it => it.close())
  if (options.logs) {
    for (const part of ['postgres', 'kafka', ...programNames]) follow(part, line => report.line(`${part} | ${line}`))
  } else {
    follow('backfill', line => { if (line.startsWith('info: backfill')) report.line(line.slice('info: '.length)) })
  }
}

function metricsTargets ({ options, choice, fleet, ports }: StackContext): MetricsTarget[] {
  const of = (program: string, port: PortName) => ({ program, at: `${LOCAL_HOST}:${ports.of(port)}` })
  return [
    of('relay-api', 'metrics'),
    of('relay-processor', 'processor'),
    ...fleet ? [of('relay-simulator', 'simulator')] : [],
    ...options.kafkaMetrics && isKafkaOurs(choice) ? [of('kafka', 'kafkaMetrics')] : []
  ]
}

/** @param historyMs history that the fleet is sending */
async function reportFirstAnswer (
  context: StackContext, parts: readonly Supervised[], historyMs: number, prometheusFile: string
): Promise<void> {
  const { environment, fleet, dataDir, ports, report, signal } = context
  const token = splitList(environment.API_TOKENS ?? '')[0] ?? WELL_KNOWN_TOKEN
  const expectedCount = Math.min(historyMs, 3_600_000) / 1_000 * (fleet?.rate ?? 0)
  const device = fleet?.firstDevice ?? 'my-device'
  const query = queryLastHour(ports.of('api'), token, device, expectedCount, Date.now())
  const problem = fleet && await waitForAnswer(query, signal)
  if (signal.aborted) return

  report.line(`Relay is up after ${(performance.now() / 1_000).toFixed(1)} s${problem ? `, but ${problem}` : ''}\n`)
  report.line(`  Open http://${LOCAL_HOST}:${ports.of('api')}/ in a browser\n`)
  report.table(rowsOf(context, parts))
  const [deviceType] = splitList(environment.DEVICE_TYPES ?? '')
  if (!fleet) report.line(`\n  ${sendingCurl(ports.of('api'), token, deviceType ?? 'THERMOSTAT', Date.now())}`)
  report.line(`\n  ${curlOf(query)}\n\nMQTT clients use a token as their password, as in the command above`)
  report.line(describeMetrics(metricsTargets(context), shortPath(prometheusFile)))
  report.line(`Ctrl-C or npm stop stops everything; the data stays in ${shortPath(dataDir.path)}`)
}

function rowsOf ({ environment, choice, ports, logs }: StackContext, parts: readonly Supervised[]): PartRow[] {
  const at = (name: PortName) => `${LOCAL_HOST}:${ports.of(name)}`
  const where: Record<string, string> = {
    postgres: `${at('postgres')}/${DATABASE}`,
    kafka: at('kafka'),
    simulator: `http://${at('simulator')}/readyz`,
    processor: `http://${at('processor')}/readyz`,
    api: `http://${at('api')}/readyz`,
    issuer: `http://${at('issuer')}/.well-known/openid-configuration`
  }
  const rows: PartRow[] = parts.map(({ name, current: { pid } }) =>
    ({ part: name, where: where[name], pid, logFile: logs.pathOf(name) }))
  if (choice.kind === 'kafka' && choice.outside) rows.unshift({ part: 'kafka', where: choice.outside })
  if (isDatabaseOutside(environment)) rows.unshift({ part: 'postgres', where: 'set by DATABASE_URL or POSTGRES_HOST' })
  return [...rows, { part: 'docs', where: `http://${at('api')}/docs` }, { part: 'mqtt', where: at('mqtt') }]
}
