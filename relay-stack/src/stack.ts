/**
 * Composes the local stack: what is started, in which order, and stopped in reverse.
 *
 *     data folder -> ports -> PostgreSQL, event log -> API, processor, simulator -> history -> first answer
 */
import getPort from 'get-port'
import { splitList, tellLocalStack, WELL_KNOWN_TOKEN } from 'relay-common'

import type { StackContext, StackPorts } from './context.ts'
import { DATABASE } from './database.ts'
import { openDataDir } from './data-dir.ts'
import { chooseEventLogHere, describeChoice, isKafkaOurs, type EventLogChoice } from './event-log.ts'
import { askAboutLastHour, curlOf, waitForAnswer } from './first-answer.ts'
import { followLog, openLogFiles } from './log-files.ts'
import type { StackOptions } from './options.ts'
import { LOCAL_HOST, reservePorts } from './ports.ts'
import { programNames } from './program-process.ts'
import { environmentOf, sendHistory, startPrograms } from './programs.ts'
import { createReport, type PartRow } from './report.ts'
import { isDatabaseOutside, startServers } from './servers.ts'
import type { Supervised } from './supervise.ts'

export interface Stack {
  /** resolves with the name of a part that keeps dying */
  readonly gaveUp: Promise<string>
  close (): Promise<void>
}

/**
 * Starts everything, and says so when the first answer is there.
 * @param write shows text to the user
 * @param signal stops a start that is under way; it is then undone, and this throws
 * @throws RelayError where a part can't be started; the others are stopped by then
 */
export async function startStack (
  options: StackOptions, environment: NodeJS.ProcessEnv, write: (text: string) => void, signal: AbortSignal
): Promise<Stack> {
  await using started = new AsyncDisposableStack() // a step that throws closes the ones before it
  const asked = { asked: options.eventLog, bootstrapServers: environment.KAFKA_BOOTSTRAP_SERVERS }
  const choice = await chooseEventLogHere(asked, options.kafkaCache)
  const dataDir = started.adopt(await openDataDir(options.dataDir, options.fresh, line => write(line + '\n')), it => it.close())
  const ports = await choosePorts(options, choice, !isDatabaseOutside(environment))
  const logs = started.adopt(await openLogFiles(dataDir.logs), it => it.close())
  const report = createReport(write, logs.pathOf)
  const context = { options, environment, choice, dataDir, ports, logs, report, signal }
  report.line(describeChoice(choice))
  followLogs(context, started)

  const servers = await startServers(context, started)
  signal.throwIfAborted()
  const environmentFor = environmentOf(context, servers.databaseOf)
  const liveFromMs = Date.now()
  const programs = await startPrograms(context, environmentFor, started)
  signal.throwIfAborted()
  if (servers.databaseOfOwner) {
    const { EVENT_LOG, KAFKA_BOOTSTRAP_SERVERS } = environmentFor('processor')
    const site = { ...servers.databaseOfOwner, EVENT_LOG, KAFKA_BOOTSTRAP_SERVERS }
    started.adopt(await tellLocalStack(dataDir.path, site), it => it.close())
  }
  const historyMs = await sendHistory(context, environmentFor('simulator'), liveFromMs, started)
  const parts = [...servers.parts, ...programs]
  const gaveUp = Promise.race(parts.map(async it => { await it.gaveUp; return it.name }))
  await Promise.race([gaveUp, reportFirstAnswer(context, parts, historyMs)])
  signal.throwIfAborted()

  const running = started.move()
  let closed: Promise<void> | undefined // a second close waits for the first
  return {
    gaveUp,
    close: () => (closed ??= running.disposeAsync())
  }
}

async function choosePorts (options: StackOptions, choice: EventLogChoice, hasPostgres: boolean): Promise<StackPorts> {
  const [api, ...servers] = await reservePorts([
    { what: 'the API', port: options.apiPort, option: '--api-port' },
    ...isKafkaOurs(choice) ? [{ what: 'Kafka', port: options.kafkaPort, option: '--kafka-port' }] : [],
    ...hasPostgres ? [{ what: 'PostgreSQL', port: options.postgresPort, option: '--postgres-port' }] : [],
    ...options.issuer ? [{ what: 'the issuer', port: options.issuerPort, option: '--issuer-port' }] : []
  ])
  const kafka = isKafkaOurs(choice) ? servers.shift()! : 0
  const postgres = hasPostgres ? servers.shift()! : 0
  const issuer = options.issuer ? servers.shift()! : 0
  // their well-known ports where those are free: nobody but us has to know them. Who asks for any port of the API may
  // start several stacks at once, and these would find the same ones free
  const isAny = options.apiPort === 0
  const choose = (port: number, taken: number[]) => // 0 among what is excluded would exclude any free one
    getPort({ host: LOCAL_HOST, exclude: taken.filter(it => it !== 0), ...isAny ? {} : { port } })
  const simulator = await choose(8081, [api, kafka, postgres, issuer])
  const processor = await choose(8082, [api, kafka, postgres, issuer, simulator])
  const metrics = await choose(8084, [api, kafka, postgres, issuer, simulator, processor])
  return { api, metrics, kafka, postgres, simulator, processor, issuer }
}

/** Shows all logs where they are wanted, else how a long backfill gets on. */
function followLogs ({ options, logs, report }: StackContext, started: AsyncDisposableStack): void {
  const follow = (part: string, show: (line: string) => void) =>
    started.adopt(followLog(logs.pathOf(part), show), it => it.close())
  if (options.logs) {
    for (const part of ['postgres', 'kafka', ...programNames]) follow(part, line => report.line(`${part} | ${line}`))
  } else {
    follow('backfill', line => { if (line.startsWith('info: backfill')) report.line(line.slice('info: '.length)) })
  }
}

/** @param historyMs what the fleet is sending of its past */
async function reportFirstAnswer (
  { options, environment, choice, dataDir, ports, logs, report, signal }: StackContext, parts: readonly Supervised[],
  historyMs: number
): Promise<void> {
  const token = splitList(environment.API_TOKENS ?? '')[0] ?? WELL_KNOWN_TOKEN
  const expectedCount = Math.min(historyMs, 3_600_000) / 1_000 * (Number(options.simulator.RATE ?? '1') || 0)
  const question = askAboutLastHour(ports.api, token, expectedCount, Date.now())
  const amiss = await waitForAnswer(question, signal)
  if (signal.aborted) return

  const where: Record<string, string> = {
    postgres: `${LOCAL_HOST}:${ports.postgres}/${DATABASE}`,
    kafka: `${LOCAL_HOST}:${ports.kafka}`,
    simulator: `http://${LOCAL_HOST}:${ports.simulator}/readyz`,
    processor: `http://${LOCAL_HOST}:${ports.processor}/readyz`,
    api: `http://${LOCAL_HOST}:${ports.api}/readyz`,
    issuer: `http://${LOCAL_HOST}:${ports.issuer}/.well-known/openid-configuration`
  }
  const rows: PartRow[] = parts.map(({ name, current: { pid } }) =>
    ({ part: name, where: where[name], pid, logFile: logs.pathOf(name) }))
  if (choice.kind === 'kafka' && choice.outside) rows.unshift({ part: 'kafka', where: choice.outside })
  if (isDatabaseOutside(environment)) rows.unshift({ part: 'postgres', where: 'as DATABASE_URL or POSTGRES_HOST says' })

  report.line(`Relay is up after ${(performance.now() / 1_000).toFixed(1)} s${amiss ? `, but ${amiss}` : ''}\n`)
  report.table(rows)
  report.line(`\n  ${curlOf(question)}\n\nCtrl-C stops all of it; the data stay in ${dataDir.path}`)
}
