/** The servers of the programs: PostgreSQL and the event log, unless others are configured. */
import type { DatabaseLogin } from 'relay-access'
import { createLogger } from 'relay-common'

import type { StackContext } from './context.ts'
import { keepPasswords, loginSettings, ownerSettings, prepareDatabase } from './database.ts'
import { isKafkaOurs } from './event-log.ts'
import { startKafka } from './kafka.ts'
import { placePostgres } from './postgres-place.ts'
import { startPostgres } from './postgres.ts'
import { startTogether, supervise, type Supervised } from './supervise.ts'

/** Whether the environment names a PostgreSQL: then none is started. */
export const isDatabaseOutside = (environment: NodeJS.ProcessEnv) =>
  Boolean(environment.DATABASE_URL || environment.POSTGRES_HOST)

/**
 * Settings of a broker beside other programs: it releases unused memory, and does not wake up without work. Classes of
 * the archive stay where they were dumped, as pages of its file: moved ones are 35 MB of private memory. Versions of
 * Java without these options ignore them.
 */
const SPARING_JVM = [
  '-XX:+UseSerialGC', '-Xms16m', '-XX:MinHeapFreeRatio=10', '-XX:MaxHeapFreeRatio=20', '-XX:TieredStopAtLevel=1',
  '-Xss512k',
  '-Xmn8m', '-XX:-UsePerfData',
  '-XX:+IgnoreUnrecognizedVMOptions', '-XX:+UnlockDiagnosticVMOptions', '-XX:ArchiveRelocationMode=0',
  '-XX:TrimNativeHeapInterval=10000'
]
/**
 * Its cleaner would take 128 MB at the start, and each idle thread wakes up several times per second. A single
 * controller needs no records without content, by which others would notice that it is alive.
 */
const SPARING_KAFKA = [
  'log.cleaner.dedupe.buffer.size=4194304', 'num.network.threads=1', 'num.io.threads=2', 'background.threads=2',
  'group.coordinator.threads=1', 'num.recovery.threads.per.data.dir=1', 'metadata.max.idle.interval.ms=0',
  'broker.heartbeat.interval.ms=1000'
]
const SPARING_POSTGRES = ['shared_buffers=32MB']

export interface Servers {
  readonly parts: Supervised[]
  /** settings by which a program reaches the PostgreSQL of the stack; undefined: the environment names another */
  readonly databaseOf?: (login: DatabaseLogin) => NodeJS.ProcessEnv
  /** the same for its owner */
  readonly databaseOfOwner?: Record<string, string>
}

/** Starts PostgreSQL and the event log in parallel. The log is stopped first, because it may be in PostgreSQL. */
export async function startServers (
  { options, environment, choice, dataDir, ports, logs, report, signal }: StackContext, started: AsyncDisposableStack
): Promise<Servers> {
  let databaseOf: Servers['databaseOf']
  let databaseOfOwner: Servers['databaseOfOwner']
  const passwords = await keepPasswords(dataDir.passwords)
  const postgres = () => supervise({
    name: 'postgres',
    start: () => ports.bind(['postgres'], async () => {
      const data = await placePostgres(dataDir.postgres, report.line)
      const server = await startPostgres({
        dataDir: data,
        port: ports.of('postgres'),
        password: passwords.owner,
        logFile: logs.pathOf('postgres'),
        parameters: SPARING_POSTGRES,
        say: report.line,
        heldFd: dataDir.heldFd
      })
      await prepareDatabase(server, passwords, environment).catch(async error => {
        await server.close()
        throw error
      })
      databaseOf = login => loginSettings(server, passwords, login)
      databaseOfOwner = ownerSettings(server, passwords)
      return server
    })
  }, report)
  const kafka = () => supervise({
    name: 'kafka',
    start: () => ports.bind(['kafka', 'kafkaMetrics'], () => startKafka({
      cacheDir: options.kafkaCache,
      dataDir: dataDir.kafka,
      jvmArgs: SPARING_JVM,
      properties: SPARING_KAFKA,
      port: ports.of('kafka'),
      metricsPort: options.kafkaMetrics ? ports.of('kafkaMetrics') : undefined,
      logFile: logs.pathOf('kafka'),
      heldFd: dataDir.heldFd,
      log: createLogger('relay-stack', 'silent'), // the line above says it
      signal
    }))
  }, report)
  const parts = await startTogether([
    ...isDatabaseOutside(environment) ? [] : [postgres],
    ...isKafkaOurs(choice) ? [kafka] : []
  ], started)
  return { parts, databaseOf, databaseOfOwner }
}
