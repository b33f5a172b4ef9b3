/**
 * A whole site on this machine, each part a process of its own, and a Prometheus that watches it:
 *
 *     devices, questions ──▶ way ──▶ API ──▶ event log ──▶ processor ──▶ PostgreSQL
 *     probe ─────────────────┘        │                        │           └── exporter, where there is one
 *                                     └──────▶ collector ◀─────┘
 *
 * If the event log is Kafka, a way leads there as well. The disks of both servers are small, if asked for.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import getPort from 'get-port'
import { createLogger, openDatabase } from 'relay-common'
import { openEventLog } from 'relay-event-log'

import { openOwnKafka, type OwnKafka } from 'relay-test-support/local-kafka.ts'
import { TOKEN } from '../../../relay-api/test/support/ask.ts'
import { authorization, eventOf, poster } from '../../../relay-api/test/support/ingest-site.ts'
import { readProcessorConfig } from '../../../relay-processor/src/config.ts'
import type { LocalPostgres } from '../../../relay-stack/src/postgres.ts'
import { startProgram, type ProgramName, type RunningProgram } from '../../../relay-stack/src/program-process.ts'
import { endProgram, skipWithout } from 'relay-test-support/debian-tool.ts'
import { openOtlpReceiver } from 'relay-test-support/otlp-receiver.ts'
import { openOwnServers, type OwnServers } from 'relay-test-support/own-servers.ts'
import { openSmallDisk, type SmallDisk } from 'relay-test-support/small-disk.ts'
import { openTcpProxy, type TcpProxy } from 'relay-test-support/tcp-proxy.ts'
import { until } from 'relay-test-support/until.ts'
import { startPrometheus, type Prometheus, type PrometheusSettings } from './prometheus.ts'

const host = '127.0.0.1'
const LOAD_EVERY_MS = 100
/** for a new cluster, its WAL, and some copies of it; and for segments and their indexes */
const DATABASE_DISK_BYTES = 1024 * 2 ** 20
const KAFKA_DISK_BYTES = 512 * 2 ** 20
const relay = fileURLToPath(new URL('../../../relay-cli/src/main.ts', import.meta.url))
const EXPORTER = 'prometheus-postgres-exporter'
const exporterQueries = fileURLToPath(new URL('../../monitoring/postgres-queries.yml', import.meta.url))

export interface WatchedSiteSettings {
  readonly eventLog?: 'postgres' | 'kafka'
  /** settings of all programs, beyond those that they need */
  readonly environment?: Readonly<Record<string, string>>
  /** the database archives its WAL, and has a base backup and a replica, which APIs use */
  readonly isBackedUp?: boolean
  /** PostgreSQL and Kafka have small disks */
  readonly hasSmallDisks?: boolean
  /** a fleet of some devices as well */
  readonly isSimulated?: boolean
  readonly watch: Pick<PrometheusSettings, 'intervalMs' | 'scale' | 'budgetScale'>
}

/** A program that can be ended, started again and made to hang. */
export interface Part {
  readonly pid: number
  /** Waits until it is ready. */
  start (): Promise<void>
  /** SIGTERM, until it has ended. */
  stop (): Promise<void>
}

export interface WatchedSite extends AsyncDisposable {
  readonly prometheus: Prometheus
  /** Puts another Prometheus in the place of that, which knows nothing of what was before. */
  watchAnew (): Promise<void>
  readonly api: Part
  readonly processor: Part
  readonly probe: Pick<Part, 'start' | 'stop'>
  readonly servers: OwnServers
  readonly database: LocalPostgres
  /** Stops PostgreSQL, and starts it again when something was done meanwhile. */
  restartDatabase (meanwhile: () => Promise<void>): Promise<void>
  /** undefined: the event log is in PostgreSQL */
  readonly kafka: OwnKafka | undefined
  /** to Kafka, if there is one */
  readonly wayToKafka: TcpProxy | undefined
  /** to the collector of traces */
  readonly wayToCollector: TcpProxy
  /** undefined: they were not asked for */
  readonly disks: { readonly database: SmallDisk, readonly kafka: SmallDisk } | undefined
  /** from clients to the API */
  readonly way: TcpProxy
  /** without that way */
  post (body: string): Promise<{ status: number }>
  /** Records of the events topic, by no API. */
  sendRaw (records: readonly { key: string, value: string }[]): Promise<void>
  /** that processors have counted since their start */
  countReadings (): Promise<number>
}

/** @returns undefined where the machine can't run such an event log: then the test is skipped */
export async function openWatchedSite (
  t: TestContext, settings: WatchedSiteSettings
): Promise<WatchedSite | undefined> {
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'relay-watched-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755)
  const disks = settings.hasSmallDisks
    ? { database: await openSmallDisk(DATABASE_DISK_BYTES), kafka: await openSmallDisk(KAFKA_DISK_BYTES) }
    : undefined
  const found = settings.eventLog === 'kafka' ? await openKafkaBehind(t, opened, disks?.kafka.path) : undefined
  const servers = await openOwnServers(t, disks?.database.path)
  t.after(async () => { // hooks run in their order: both servers have ended by now
    await disks?.database.close()
    await disks?.kafka.close()
  })
  if (settings.eventLog === 'kafka' && !found) return undefined
  const { kafka, wayToKafka } = found ?? {}
  const collector = await openOtlpReceiver(t)
  const wayToCollector = opened.adopt(await openTcpProxy(Number(new URL(collector.url).port)), it => it.close())
  const databasePort = await getPort({ host })
  const parameters = settings.isBackedUp ? servers.archiving : []
  let database = await servers.start('watched', databasePort, parameters)
  const replica = settings.isBackedUp ? await startReplica(servers, database) : undefined
  const ports = { api: await getPort({ host }), metrics: await getPort({ host }), processor: await getPort({ host }) }
  const environment = {
    ...process.env,
    DATABASE_URL: database.url('postgres'),
    EVENT_LOG: kafka ? 'kafka' : 'postgres',
    KAFKA_BOOTSTRAP_SERVERS: wayToKafka ? `${host}:${wayToKafka.port}` : '',
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://${host}:${wayToCollector.port}`,
    TRACE_RATIO: '1',
    EVENTS_PARTITIONS: '4',
    API_TOKENS: TOKEN,
    LOG_LEVEL: 'warn',
    ...replica ? { DATABASE_REPLICA_URL: replica.url('postgres') } : {},
    ...settings.environment
  }
  const startPart = async (name: ProgramName, own: Record<string, string>): Promise<Part> => {
    let running: RunningProgram
    const start = async () => {
      running = await startProgram({
        name, environment: { ...environment, ...own }, logFile: join(folder, `${name}.log`), pids: folder, signal: t.signal
      })
    }
    await start()
    opened.defer(() => running.close())
    return { get pid () { return running.pid }, start, stop: () => running.close() }
  }
  const jobs: Record<string, number> = { 'relay-api': ports.metrics, 'relay-processor': ports.processor }
  const api = await startPart('api', { API_PORT: String(ports.api), METRICS_PORT: String(ports.metrics) })
  const processor = await startPart(
    'processor', { HEALTH_PORT: String(ports.processor), CONSUMER_INSTANCE_ID: 'watched' }
  )
  if (settings.isSimulated) {
    jobs['relay-simulator'] = await getPort({ host })
    await startPart('simulator', { HEALTH_PORT: String(jobs['relay-simulator']), BACKFILL: '0', RATE: '20' })
  }
  const way = opened.adopt(await openTcpProxy(ports.api), it => it.close())
  opened.adopt(startLoad(`http://${host}:${ports.api}`), it => it.close())
  jobs['relay-probe'] = await getPort({ host })
  const probe = createProbe(`http://${host}:${way.port}`, jobs['relay-probe'])
  await probe.start()
  opened.defer(probe.stop)
  const exporterPort = await startExporter(opened, database)
  if (exporterPort !== undefined) jobs.postgres = exporterPort
  const config = readProcessorConfig(environment)
  const log = createLogger('test', 'silent')
  const connected = opened.adopt(await openDatabase(config, 'test', log), it => it.close())
  const eventLog = opened.adopt(await openEventLog(config, connected, log), it => it.close())
  const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
  const watch = async () => {
    const started = await startPrometheus({ ...settings.watch, jobs })
    await until(
      'all targets to be up', async () => (await started.query('up == 1')).length === Object.keys(jobs).length
    )
    return started
  }
  let prometheus = await watch()
  opened.defer(() => prometheus[Symbol.asyncDispose]())
  const running = opened.move()
  return {
    get prometheus () { return prometheus },
    async watchAnew () {
      await prometheus[Symbol.asyncDispose]()
      prometheus = await watch()
    },
    api,
    processor,
    servers,
    get database () { return database },
    async restartDatabase (meanwhile) {
      await database.close()
      await meanwhile()
      database = await servers.start('watched', databasePort, parameters)
    },
    kafka,
    wayToKafka,
    wayToCollector,
    disks,
    way,
    post: poster(`http://${host}:${ports.api}`),
    sendRaw: async records => { await producer.send(config.EVENTS_TOPIC, records) },
    async countReadings () {
      const text = await (await fetch(`http://${host}:${ports.processor}/metrics`)).text()
      return Number(/^relay_readings_total\S* (\d+)$/m.exec(text)![1])
    },
    probe,
    [Symbol.asyncDispose]: () => running.disposeAsync()
  }
}

/** `relay probe`, a round per second. @param port of its metrics */
function createProbe (url: string, port: number): Pick<Part, 'start' | 'stop'> {
  let probe: ChildProcess
  return {
    async start () {
      probe = spawn(
        process.execPath, [relay, 'probe', '--every', '1s', '--within', '5s', '--metrics-port', String(port)],
        { env: { ...process.env, RELAY_URL: url, RELAY_TOKEN: TOKEN, API_TOKENS: '' }, stdio: 'ignore' }
      )
    },
    stop: () => endProgram(probe)
  }
}

/** A broker whose clients go through a proxy. */
async function openKafkaBehind (
  t: TestContext, opened: AsyncDisposableStack, place: string | undefined
): Promise<{ kafka: OwnKafka, wayToKafka: TcpProxy } | undefined> {
  const port = await getPort({ host })
  const wayToKafka = opened.adopt(await openTcpProxy(port), it => it.close())
  const properties = [`advertised.listeners=PLAINTEXT://${host}:${wayToKafka.port}`]
  const kafka = await openOwnKafka(t, { port, properties, place })
  return kafka && { kafka, wayToKafka }
}

async function startReplica (servers: OwnServers, database: LocalPostgres): Promise<LocalPostgres> {
  await servers.backUp('watched', database, 'replica')
  return await servers.startStandby('replica', await getPort({ host }), database)
}

/** The exporter of PostgreSQL. @returns its port; undefined: this machine has none */
async function startExporter (opened: AsyncDisposableStack, database: LocalPostgres): Promise<number | undefined> {
  if (skipWithout(EXPORTER)) return undefined
  const port = await getPort({ host })
  const env = {
    ...process.env,
    DATA_SOURCE_NAME: `${database.url('postgres')}?sslmode=disable`,
    PG_EXPORTER_EXTEND_QUERY_PATH: exporterQueries
  }
  const exporter = spawn(EXPORTER, [`--web.listen-address=${host}:${port}`], { env, stdio: 'ignore' })
  opened.defer(() => endProgram(exporter))
  return port
}

/** Questions that need the database, and events of now: what devices and dashboards do. */
function startLoad (url: string): { close (): Promise<void> } {
  const over = new AbortController()
  const post = poster(url)
  const send = async (n: number) => {
    const now = new Date().toISOString()
    await Promise.allSettled([
      post(JSON.stringify([eventOf(n, { timestamp: now })])),
      fetch(`${url}/api/v1/aggregates?start=-${1 + n % 60}m`, { headers: { authorization } }).then(it => it.text())
    ])
  }
  const done = (async () => {
    for (let n = 0; !over.signal.aborted; n++) {
      await Promise.race([send(n), delay(LOAD_EVERY_MS)])
      await delay(LOAD_EVERY_MS, undefined, { signal: over.signal }).catch(() => {})
    }
  })()
  return {
    close: async () => {
      over.abort()
      await done
    }
  }
}
