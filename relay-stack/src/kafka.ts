/**
 * A real Apache Kafka on this machine: one process as broker and controller (KRaft), for local runs, tests and
 * benchmarks. Its jars come once from Maven Central by `kafka/pom.xml`, into a cache folder; it needs Java 17.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as delay } from 'node:timers/promises'

import getPort from 'get-port'
import { RelayError, type Logger } from 'relay-common'

import { openClassArchive } from './class-archive.ts'
import { installKafka, installKafkaExporter, javaEnvironment, kafkaTool, run } from './kafka-install.ts'
import { isFree } from './ports.ts'
import { stopLeftOver, type Trace } from './process-table.ts'

export { findJava, installKafka, kafkaTool } from './kafka-install.ts'
export type { FoundJava } from './kafka-install.ts'

export interface LocalKafka {
  /** `host:port` */
  readonly bootstrapServers: string
  readonly pid: number
  /** log of the JVM; that of the previous run stays beside it, as `.before` */
  readonly logFile: string
  /** resolves when the process ends, expected or not */
  readonly exited: Promise<void>
  close (): Promise<void>
}

export interface LocalKafkaSettings {
  /** folder of the jars; filled if empty */
  readonly cacheDir: string
  /** created and formatted if missing; otherwise used unchanged, also after a kill -9 */
  readonly dataDir: string
  readonly port: number
  readonly log: Logger
  /** largest Java heap; a local broker needs little, because it serves from the page cache */
  readonly heapMb?: number
  /** further JVM arguments */
  readonly jvmArgs?: readonly string[]
  /** `name=value` settings of the broker; they take precedence over Relay's own */
  readonly properties?: readonly string[]
  /** brokers of one cluster share one id, 16 bytes in base64url; default: a new cluster */
  readonly clusterId?: string
  /** log of the JVM; default: `logs/kafka.log` in the data folder */
  readonly logFile?: string
  /**
   * port of its own metrics for Prometheus, at `/metrics`; undefined: nothing of that is fetched or started. It costs
   * the broker some 100 MB of memory
   */
  readonly metricsPort?: number | undefined
  /** an open file that the broker keeps open as long as it lives */
  readonly heldFd?: number | undefined
  /** when a missing archive of classes is made, after the start; default: 15 s */
  readonly archiveAfterMs?: number
  /** ends the download of jars */
  readonly signal?: AbortSignal
}

const HOST = '127.0.0.1'
/** what of them is reported, and by which name */
const METRICS_RULES = fileURLToPath(new URL('../../deploy/monitoring/kafka/jmx.yml', import.meta.url))
const HEAP_MB_DEFAULT = 384
const START_TIMEOUT_MS = 60_000 // recovery after a kill -9 reads the segments first
const STOP_TIMEOUT_MS = 20_000
const ANSWER_TIMEOUT_MS = 2_000
const CONTROLLER_PORTS_MAX = 3

/**
 * Starts Kafka on a data folder and waits until it answers.
 * @throws RelayError RELAY_PORT_IN_USE; RELAY_CONFIG_INVALID if Java or Maven is missing or fails, or the data folder
 *   can't be created; RELAY_EVENT_LOG_UNREACHABLE if the JVM ends or stays silent, with its last lines
 */
export async function startKafka (settings: LocalKafkaSettings): Promise<LocalKafka> {
  const { cacheDir, dataDir, port, log } = settings
  await installKafka(cacheDir, log, settings.signal)
  await stopLeftOver(kafkaTrace(dataDir), STOP_TIMEOUT_MS)
  if (!await isFree(port)) throw portInUse(port)

  const logFile = settings.logFile ?? join(dataDir, 'logs', 'kafka.log')
  await Promise.all([dataDir, dirname(logFile)].map(folder => mkdir(folder, { recursive: true, mode: 0o700 })))
  const properties = await writeProperties(settings)
  await format(cacheDir, dataDir, properties, settings.clusterId ?? createClusterId())

  await rename(logFile, `${logFile}.before`).catch(() => {}) // the first run has none
  // with an agent its classes would be those of the agent too
  const archive = openClassArchive(cacheDir, settings.metricsPort === undefined ? join(dataDir, 'classes') : undefined,
    settings.archiveAfterMs)
  const { command, args } = kafkaTool(cacheDir, 'kafka.Kafka', [properties], [
    `-Xmx${settings.heapMb ?? HEAP_MB_DEFAULT}m`,
    ...settings.jvmArgs ?? [],
    ...await exporterArgs(settings),
    '-Djava.awt.headless=true',
    `-Dlog4j2.configurationFile=${join(dataDir, 'log4j2.properties')}`,
    ...archive.jvmArgs
  ])
  const pidFile = join(dataDir, 'kafka.pid')
  const { broker, exited } = await startBroker(command, args, settings, logFile, pidFile)
  archive.makeLater()
  const archiveClosed = exited.then(() => archive.close())

  let closed: Promise<void> | undefined
  return {
    bootstrapServers: `${HOST}:${port}`,
    pid: broker.pid!,
    logFile,
    exited,
    close: () => (closed ??= stop(broker, exited).then(() => archiveClosed).then(() => rm(pidFile, { force: true })))
  }
}

/** The exporter runs within the broker: read-only, by HTTP. (JMX by itself would let its callers change things.) */
async function exporterArgs ({ cacheDir, metricsPort, signal }: LocalKafkaSettings): Promise<string[]> {
  if (metricsPort === undefined) return []
  if (!await isFree(metricsPort)) throw metricsPortInUse(metricsPort)
  const jar = await installKafkaExporter(cacheDir, signal)
  return [`-javaagent:${jar}=${HOST}:${metricsPort}:${METRICS_RULES}`]
}

interface StartedBroker { readonly broker: ChildProcess, readonly exited: Promise<void> }

/** Starts the JVM and waits until it answers. If somebody took the controller's port meanwhile, it gets another one. */
async function startBroker (
  command: string, args: readonly string[], settings: LocalKafkaSettings, logFile: string, pidFile: string
): Promise<StartedBroker> {
  const { dataDir, port } = settings
  for (let tries = 1; ; tries++) {
    const output = await open(logFile, 'a', 0o600)
    // a separate process group, because Ctrl-C in a terminal must reach the programs first
    const broker = spawn(command, args, {
      detached: true,
      stdio: ['ignore', output.fd, output.fd, ...settings.heldFd === undefined ? [] : [settings.heldFd]],
      cwd: dataDir,
      env: javaEnvironment()
    })
    const exited = new Promise<void>(resolve => broker.once('close', () => resolve()).once('error', () => resolve()))
    await output.close()
    try {
      await writeFile(pidFile, String(broker.pid))
      await waitUntilItAnswers(broker, port, logFile)
      return { broker, exited }
    } catch (error) {
      broker.kill('SIGKILL')
      await exited
      const isOfController = error instanceof RelayError && error.code === 'RELAY_PORT_IN_USE' && await isFree(port)
      if (!isOfController || tries === CONTROLLER_PORTS_MAX) throw error
      await writeProperties(settings)
    }
  }
}

const portInUse = (port: number) =>
  new RelayError('RELAY_PORT_IN_USE', `port ${port} is in use; use another for Kafka with --kafka-port`)

const metricsPortInUse = (port: number) => new RelayError(
  'RELAY_PORT_IN_USE', `port ${port} is in use; use another for Kafka's metrics with --kafka-metrics-port`
)

/**
 * Writes the broker's settings at every start, because ports may change, and newer versions of Relay may have better
 * ones.
 */
async function writeProperties ({ dataDir, port, properties = [] }: LocalKafkaSettings): Promise<string> {
  const controllerPort = await getPort({ host: HOST, exclude: [port] })
  const path = join(dataDir, 'server.properties')
  await writeFile(path, [
    'process.roles=broker,controller',
    'node.id=1',
    `controller.quorum.voters=1@${HOST}:${controllerPort}`,
    `listeners=PLAINTEXT://${HOST}:${port},CONTROLLER://${HOST}:${controllerPort}`,
    `advertised.listeners=PLAINTEXT://${HOST}:${port}`,
    'controller.listener.names=CONTROLLER',
    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    `log.dirs=${escapeProperty(join(dataDir, 'log'))}`,
    'auto.create.topics.enable=false',
    // one broker: no replication, and few partitions suffice for Kafka's own topics
    'default.replication.factor=1',
    'offsets.topic.replication.factor=1',
    'offsets.topic.num.partitions=4',
    'transaction.state.log.replication.factor=1',
    'transaction.state.log.min.isr=1',
    'transaction.state.log.num.partitions=4',
    'share.coordinator.state.topic.replication.factor=1',
    'share.coordinator.state.topic.min.isr=1',
    'group.initial.rebalance.delay.ms=0',
    // a group may use a short session (the broker's default minimum is 45 s), so a local kill is noticed in seconds
    'group.consumer.min.session.timeout.ms=1000',
    'group.consumer.min.heartbeat.interval.ms=100',
    // assignments are computed at once; the wait to combine several is for groups of hundreds
    'group.consumer.assignment.interval.ms=0',
    // after a kill -9 the broker may rejoin when its old session times out: by default that takes 9 s
    'broker.session.timeout.ms=3000',
    'broker.heartbeat.interval.ms=500',
    ...properties,
    ''
  ].join('\n'))
  await writeFile(join(dataDir, 'log4j2.properties'), [
    'rootLogger.level=warn',
    'rootLogger.appenderRef.stdout.ref=stdout',
    'logger.server.name=kafka.server',
    'logger.server.level=info',
    'appender.stdout.type=Console',
    'appender.stdout.name=stdout',
    'appender.stdout.layout.type=PatternLayout',
    'appender.stdout.layout.pattern=%d{yyyy-MM-dd HH:mm:ss.SSS}{UTC} %p %m (%c)%n',
    ''
  ].join('\n'))
  return path
}

/** Files of properties are in Latin-1, whatever the locale. */
function escapeProperty (text: string): string {
  return text.replaceAll('\\', '\\\\')
    .replace(/[^ -~]/g, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** An id for a new cluster, in Kafka's format. */
export function createClusterId (): string {
  return Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url')
}

/**
 * Formats a new log folder, once. It needs a second JVM, but is the only supported way to enable the features of this
 * version (new group protocol, transactions).
 */
async function format (cacheDir: string, dataDir: string, properties: string, clusterId: string): Promise<void> {
  if (await stat(join(dataDir, 'log', 'meta.properties')).catch(() => undefined)) return
  const { command, args } = kafkaTool(cacheDir, 'kafka.tools.StorageTool',
    // with `=`: an id may start with a dash, like an option
    ['format', `--cluster-id=${clusterId}`, `--config=${properties}`, '--ignore-formatted'], QUICK_JVM)
  try {
    await run(command, args)
  } catch (cause) {
    const said = (cause as { stderr?: string }).stderr?.trim() || String(cause)
    throw new RelayError(
      'RELAY_CONFIG_INVALID', `Kafka could not create its data folder ${dataDir}: ${said}`, { cause }
    )
  }
}

/** A short-lived tool gains nothing from the optimising compiler. */
const QUICK_JVM = ['-XX:TieredStopAtLevel=1', '-Xshare:auto']

/** How to find and stop a broker on this data. */
export function kafkaTrace (dataDir: string): Trace {
  return {
    pidFile: join(dataDir, 'kafka.pid'),
    mark: `kafka.Kafka ${join(dataDir, 'server.properties')}`,
    stopSignal: 'SIGTERM',
    killSignal: 'SIGKILL'
  }
}

async function waitUntilItAnswers (broker: ChildProcess, port: number, logFile: string): Promise<void> {
  let failure: Error | undefined
  broker.once('error', error => { failure = error })
  for (const deadline = Date.now() + START_TIMEOUT_MS; ;) {
    if (failure || broker.exitCode !== null || broker.signalCode !== null || Date.now() > deadline) {
      const said = (await readFile(logFile, 'utf8').catch(() => '')).split('\n').slice(-15).join('\n')
      if (/Address already in use/.test(said)) throw portInUse(port)
      const what = Date.now() > deadline ? `did not answer within ${START_TIMEOUT_MS / 1_000} s` : 'did not start'
      const lines = said.trim() || failure?.message || 'none'
      throw new RelayError('RELAY_EVENT_LOG_UNREACHABLE',
        `Kafka ${what}; its last lines (all in ${logFile}):\n${lines}`, { cause: failure })
    }
    if (await answers(port)) return
    await delay(25)
  }
}

/** ApiVersions, version 0, correlation id 1, without a client id: every broker answers it. */
const apiVersionsRequest = Buffer.from('0000000a' + '0012' + '0000' + '00000001' + 'ffff', 'hex')

/** Whether a broker at the port answers requests: it listens slightly earlier. */
async function answers (port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host: HOST, port, timeout: ANSWER_TIMEOUT_MS })
    const end = (isThere: boolean) => { socket.destroy(); resolve(isThere) }
    let heard = Buffer.alloc(0)
    socket.on('data', chunk => {
      heard = Buffer.concat([heard, chunk])
      // size, correlation id, error code 0
      if (heard.length >= 10) end(heard.readInt32BE(4) === 1 && heard.readInt16BE(8) === 0)
    })
    socket.once('connect', () => socket.write(apiVersionsRequest))
    socket.once('timeout', () => end(false)).once('error', () => end(false)).once('close', () => resolve(false))
  })
}

/** SIGTERM lets Kafka close its segments, so that the next start needs no recovery. */
async function stop (broker: ChildProcess, exited: Promise<void>): Promise<void> {
  if (broker.exitCode !== null || broker.signalCode !== null) return
  broker.kill('SIGTERM')
  const timer = setTimeout(() => broker.kill('SIGKILL'), STOP_TIMEOUT_MS)
  await exited
  clearTimeout(timer)
}
