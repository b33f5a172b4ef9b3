/** Servers of a benchmark: a new Kafka and a new PostgreSQL, removed at its end. */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Admin } from '@platformatic/kafka'
import getPort from 'get-port'
import { createLogger, migrate, openDatabase, type Database } from 'relay-common'
import { openKafkaEventLog, type EventLog } from 'relay-event-log'

import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { startKafka, type LocalKafka } from '../../relay-stack/src/kafka.ts'
import { ensureDatabase, startPostgres, type LocalPostgres } from '../../relay-stack/src/postgres.ts'
import { endOnSignal } from './children.ts'
import { readTreeUsage, readUsage } from './process-usage.ts'

export interface BenchServers extends AsyncDisposable {
  readonly kafka: LocalKafka
  readonly postgres: LocalPostgres
  readonly eventLog: EventLog
  readonly admin: Admin
  /** a temporary folder, removed with the servers */
  readonly folder: string
  /** A database with all tables of Relay, because a processor rarely creates them. */
  openDatabase (name: string): Promise<Database>
}

/** jars of Kafka, and what is built with them; kept between runs */
export const kafkaCacheDir = fileURLToPath(new URL('../../.relay/kafka', import.meta.url))

/** Starts the servers; a signal that ends the benchmark ends them too. */
export async function openServers (): Promise<BenchServers> {
  const log = createLogger('bench', 'error')
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'relay-bench-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755) // root runs PostgreSQL as another user
  const kafka = opened.adopt(await startKafka({
    cacheDir: kafkaCacheDir, dataDir: join(folder, 'kafka'), port: await getPort({ host: '127.0.0.1' }), log
  }), it => it.close())
  const postgres = opened.adopt(await startPostgres({
    dataDir: join(folder, 'postgres'), logFile: join(folder, 'postgres.log'), port: await getPort({ host: '127.0.0.1' })
  }), it => it.close())
  const eventLog = opened.adopt(await openKafkaEventLog(
    { bootstrapServers: [kafka.bootstrapServers], clientId: 'bench' }, log), it => it.close())
  const admin = opened.adopt(
    new Admin({ clientId: 'bench', bootstrapBrokers: [kafka.bootstrapServers] }), it => it.close())

  const all = opened.move()
  let closed: Promise<void> | undefined
  const close = () => (closed ??= all.disposeAsync())
  all.use(endOnSignal(close))
  return {
    kafka,
    postgres,
    eventLog,
    admin,
    folder,
    async openDatabase (name) {
      await ensureDatabase(postgres, name)
      const database = await openDatabase(readProcessorConfig({ DATABASE_URL: postgres.url(name) }), 'bench', log)
      await migrate(database, log)
      return database
    },
    [Symbol.asyncDispose]: close
  }
}

/** CPU of the servers so far, in seconds. */
export interface ServersCpu {
  readonly postgres: number
  readonly broker: number
}

export async function readServersCpu ({ kafka, postgres }: BenchServers): Promise<ServersCpu> {
  const [ofPostgres, ofBroker] = await Promise.all([readTreeUsage(postgres.pid), readUsage(kafka.pid)])
  return { postgres: ofPostgres.cpuSeconds, broker: ofBroker.cpuSeconds }
}
