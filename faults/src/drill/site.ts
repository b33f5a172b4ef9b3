/**
 * The site of a drill: a real Kafka and a PostgreSQL that commands of the page can back up and restore, under load.
 * Programs know the database by an address that can move to another host.
 *
 *     load ──▶ Kafka ──▶ processors ──▶ address of the database ──▶ database host, or replica host
 */
import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import getPort from 'get-port'
import { createLogger, openDatabase, splitList, type Database } from 'relay-common'
import { openKafkaEventLog, type ProducedRecord } from 'relay-event-log'

import { readProcessorConfig } from '../../../relay-processor/src/config.ts'
import { Chance } from 'relay-test-support/chance.ts'
import { openTcpProxy, type TcpProxy } from 'relay-test-support/tcp-proxy.ts'
import { until } from 'relay-test-support/until.ts'
import type { CheckedSite } from '../check.ts'
import { EventSource } from '../events.ts'
import { startKafkaCluster, type KafkaCluster } from '../kafka-cluster.ts'
import { Load } from '../load.ts'
import { Processors } from '../processors.ts'
import { readProgress } from '../site.ts'
import { openOperator, type Operator } from './operator.ts'
import { readPage } from './page.ts'
import { createDatabase, makeFolder, OWNER, PASSWORD, postgresHost, type PostgresHost } from './postgres-host.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const HOST = '127.0.0.1'
const TOPIC = 'iot-events'
const PARTITIONS = 8
const EVENTS_PER_SECOND = 500
const SEND_RECORDS = 500
/** events of the load are of the weeks around this range (events.ts) */
const RANGE = { FROM: '2025-11-01', TO: '2026-11-01' }

export interface DrillSettings {
  readonly folder: string
  readonly cacheDir: string
  readonly seed: number
  readonly say: (line: string) => void
}

export interface DrillSite extends CheckedSite {
  readonly folder: string
  readonly kafka: KafkaCluster
  readonly databaseHost: PostgresHost
  readonly replicaHost: PostgresHost
  /** where programs look for the database */
  readonly address: TcpProxy
  /** where the replica looks for its primary */
  readonly replication: TcpProxy
  /** folder of the passwords of programs */
  readonly passwords: string
  readonly processors: Processors
  readonly operator: Operator
  /** for looks that no drill is to break */
  readonly database: Database
  /** all that the fleet has sent, in this order */
  readonly sent: readonly ProducedRecord[]
  /** Devices send again what they remember: everything. */
  sendAgain (): Promise<void>
  /** Waits until readings of some thousand more events are committed. */
  moreCommits (events?: number): Promise<void>
  close (): Promise<void>
}

export async function openDrillSite ({ folder, cacheDir, seed, say }: DrillSettings): Promise<DrillSite> {
  await using started = new AsyncDisposableStack()
  await mkdir(join(folder, 'logs'), { recursive: true })
  const log = createLogger('faults', 'error')
  const kafka = started.adopt(await startKafkaCluster({ folder, cacheDir, brokers: 1, log }), it => it.close())

  const ports = [await getPort({ host: HOST }), await getPort({ host: HOST })]
  const replication = started.adopt(await openTcpProxy(ports[0]), it => it.close())
  const shared = {
    WAL_ARCHIVE: await makeFolder(join(folder, 'wal')),
    BACKUPS: await makeFolder(join(folder, 'backups')),
    PRIMARY: `host=${HOST} port=${replication.port} user=${OWNER} password=${PASSWORD}`
  }
  const databaseHost = postgresHost(join(folder, 'database-host'), ports[0], shared)
  const replicaHost = postgresHost(await makeFolder(join(folder, 'replica-host')), ports[1], shared)
  const servers = [databaseHost, replicaHost]
  const endWithUs = () => { for (const it of servers) it.end() }
  process.on('exit', endWithUs)
  started.defer(async () => {
    process.off('exit', endWithUs)
    await Promise.all(servers.map(it => it.kill()))
  })
  await createDatabase(databaseHost)

  const address = started.adopt(await openTcpProxy(ports[0]), it => it.close())
  const url = new URL(databaseHost.url)
  url.port = String(address.port)
  const asOwner = { DATABASE_URL: url.href, KAFKA_BOOTSTRAP_SERVERS: kafka.bootstrapServers }
  const passwords = join(folder, 'passwords')
  await run(process.execPath, ['relay-cli/src/main.ts', 'migrate', '--login', `processor=${passwords}/processor`],
    { cwd: ROOT, env: { ...process.env, ...asOwner } })

  const processors = started.adopt(startProcessors(folder, kafka, address, passwords), it => it.close())
  await processors.start()
  const cluster = { bootstrapServers: kafka.bootstrapServers.split(','), clientId: 'drill' }
  const eventLog = started.adopt(await openKafkaEventLog(cluster, log), it => it.close())
  const config = readProcessorConfig(asOwner)
  const silent = createLogger('faults', 'silent') // the server goes away here
  const database = started.adopt(await openDatabase(config, 'drill', silent), it => it.close())
  const sent: ProducedRecord[] = []
  const source = new RememberingSource(new Chance(seed), sent)
  const load = started.adopt(await Load.open({
    eventLog, topic: TOPIC, source, eventsPerSecond: EVENTS_PER_SECOND, log: silent
  }), it => it.close())
  const operator = started.adopt(await openOperator({
    page: readPage(),
    variables: {
      'database host': databaseHost.variables,
      'replica host': replicaHost.variables,
      'host with Relay': { ...asOwner, ...RANGE, PASSWORDS: passwords }
    },
    async restartProcessors (own) {
      for (const it of processors.all) await it.stop()
      for (const it of processors.all) await it.start(false, own)
    },
    say
  }), it => it.close())

  const running = started.move()
  return {
    folder,
    kafka,
    databaseHost,
    replicaHost,
    address,
    replication,
    passwords,
    processors,
    operator,
    database,
    load,
    eventLog,
    topic: TOPIC,
    deadLettersTopic: config.DEAD_LETTERS_TOPIC,
    rules: { deviceTypes: new Set(splitList(config.DEVICE_TYPES)), futureMaxMs: config.FUTURE_MAX_MS },
    sent,
    async sendAgain () {
      const producer = await eventLog.openProducer()
      for (let n = 0; n < sent.length; n += SEND_RECORDS) await producer.send(TOPIC, sent.slice(n, n + SEND_RECORDS))
      await producer.close()
    },
    async moreCommits (events = 2_000) {
      const committed = async () => [...(await readProgress({ database, topic: TOPIC })).values()]
        .reduce((sum, it) => sum + it.next_offset, 0n)
      const before = await committed()
      await until(`${events} more events to be committed`, async () => await committed() >= before + BigInt(events))
    },
    close: () => running.disposeAsync()
  }
}

class RememberingSource extends EventSource {
  readonly #sent: ProducedRecord[]

  constructor (chance: Chance, sent: ProducedRecord[]) {
    super(chance)
    this.#sent = sent
  }

  override next (): ProducedRecord {
    const record = super.next()
    this.#sent.push(record)
    return record
  }
}

/** As their own user of the database, which reads its password from a file. */
function startProcessors (folder: string, kafka: KafkaCluster, address: TcpProxy, passwords: string): Processors {
  return new Processors({
    folder,
    environment: {
      ...process.env,
      POSTGRES_HOST: HOST,
      POSTGRES_PORT: String(address.port),
      POSTGRES_DB: OWNER,
      POSTGRES_USER: 'relay_processor_login',
      POSTGRES_PASSWORD_FILE: join(passwords, 'processor'),
      KAFKA_BOOTSTRAP_SERVERS: kafka.bootstrapServers,
      EVENTS_TOPIC: TOPIC,
      EVENTS_PARTITIONS: String(PARTITIONS),
      EVENTS_REPLICATION_FACTOR: '1',
      CONSUMER_GROUP: 'drill',
      HEALTH_PORT: '0',
      JOURNAL_INTERVAL_S: '5',
      LOG_LEVEL: 'info'
    },
    count: 2,
    ended: () => {} // its supervisor starts it again
  })
}
