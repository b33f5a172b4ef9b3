/** Relay's processor on a backlog: its own program with default settings, up to its last commit in PostgreSQL. */
import type { Database } from 'relay-common'

import { readEnds, type Backlog } from './backlog.ts'
import { checkCounts } from './check-counts.ts'
import { readUsage } from './process-usage.ts'
import { startProgram } from './program.ts'
import { watchProgress } from './progress-watch.ts'
import { describeRun, RELAY_PROCESSOR, type Run } from './run.ts'
import { readServersCpu, type BenchServers } from './servers.ts'

export interface ProcessorRun extends Run {
  /** of the process from its first claim, without the cost of the start */
  readonly readingCpuUsPerEvent: number
  /** busy cores while reading; a program with one thread has at most one */
  readonly coresBusy: { readonly processor: number, readonly postgres: number, readonly broker: number }
  /** rollup rows in the database at the end */
  readonly rows: number
}

export interface ProcessorRunSettings {
  /** a new name, for the consumer group and the database */
  readonly name: string
  /** settings of the processor other than its defaults */
  readonly environment?: NodeJS.ProcessEnv
  /** folder for a CPU profile */
  readonly cpuProf?: string
}

const RUN_LIMIT_MS = 600_000

export async function runProcessor (
  servers: BenchServers, { topic, events }: Backlog, { name, environment = {}, cpuProf }: ProcessorRunSettings
): Promise<ProcessorRun> {
  const database = await servers.openDatabase(name)
  try {
    using watch = await watchProgress(database)
    const ended = watch.reached(await readEnds(servers.eventLog, topic))
    const serversBefore = await readServersCpu(servers)
    const startedMs = performance.now()
    await using processor = startProgram('processor', {
      environment: { ...processorEnvironment(servers, name, topic), ...environment }, cpuProf
    })
    const { promise: late, reject } = Promise.withResolvers<never>()
    const limit = setTimeout(() => reject(
      new Error(`the processor did not come to the end within ${RUN_LIMIT_MS} ms`)), RUN_LIMIT_MS)
    using running = new DisposableStack()
    running.defer(() => clearTimeout(limit))

    const assignedMs = await Promise.race([processor.failed, late, watch.claimed])
    const [atClaim, serversAtClaim] = await Promise.all([readUsage(processor.pid), readServersCpu(servers)])
    const endedMs = await Promise.race([processor.failed, late, ended])
    const [atEnd, serversAfter] = await Promise.all([readUsage(processor.pid), readServersCpu(servers)])
    await processor.end()

    await checkCounts(database, events)
    const readingCpuSeconds = atEnd.cpuSeconds - atClaim.cpuSeconds
    const cores = (cpuSeconds: number) => cpuSeconds / (endedMs - assignedMs) * 1000
    return {
      ...describeRun(RELAY_PROCESSOR, {
        events, startedMs, assignedMs, endedMs, ...atEnd, serversBefore, serversAfter
      }),
      readingCpuUsPerEvent: readingCpuSeconds / events * 1e6,
      coresBusy: {
        processor: cores(readingCpuSeconds),
        postgres: cores(serversAfter.postgres - serversAtClaim.postgres),
        broker: cores(serversAfter.broker - serversAtClaim.broker)
      },
      rows: await countRows(database)
    }
  } finally {
    await database.close()
  }
}

/** Settings by which a program of Relay finds the servers of a benchmark. */
export function processorEnvironment (
  { kafka, postgres }: Pick<BenchServers, 'kafka' | 'postgres'>, name: string, topic: string
): NodeJS.ProcessEnv {
  return {
    DATABASE_URL: postgres.url(name),
    KAFKA_BOOTSTRAP_SERVERS: kafka.bootstrapServers,
    EVENTS_TOPIC: topic,
    CONSUMER_GROUP: name,
    HEALTH_PORT: '0',
    LOG_LEVEL: 'warn'
  }
}

/** Number of rollup rows. */
async function countRows (database: Database): Promise<number> {
  const [{ rows }] = await database.query<{ rows: number }>(`
    select ((select count(*) from rollups_minute) + (select count(*) from rollups_hour) + (select count(*) from rollups_day))::float8 as rows`)
  return rows
}
