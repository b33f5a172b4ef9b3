/**
 * A live fleet: what an event costs, and how fresh answers are, where each device has one new reading a second (or less).
 * All is on one machine: broker, fleet, processor, PostgreSQL, API and who asks.
 *
 * Freshness is seen from outside, by probe devices (freshness.ts). It ends with a count of all that was sent.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import getPort from 'get-port'
import type { Database } from 'relay-common'

import { createTopic, readEnds } from './backlog.ts'
import { checkCounts } from './check-counts.ts'
import { endWith } from './children.ts'
import { measureProbes, TOKEN, TOPIC, UNLIMITED } from './freshness.ts'
import { readUsage } from './process-usage.ts'
import { startProgram } from './program.ts'
import { processorEnvironment } from './relay-processor.ts'
import { readCircumstances, writeResults } from './results.ts'
import { openServers, readServersCpu, type BenchServers } from './servers.ts'

export interface LiveOptions {
  readonly devices: number
  /** between two readings of a device */
  readonly intervalS: number
  readonly seconds: number
  /** shares of all readings */
  readonly late: number
  readonly resent: number
  readonly quick?: boolean
  readonly probes?: boolean
  readonly warmUp: number
  /** folder for a CPU profile of the processor */
  readonly cpuProf?: string
}

/** What a fleet tells at its end. */
export interface FleetReport {
  sent: number
  resent: number
  late: number
  /** how late it was itself, at most: it has the same processors */
  behindMaxMs: number
}

const DATABASE = 'live'
const PARTITIONS = 8
const DRAIN_LIMIT_MS = 120_000

/** Runs the benchmark, prints its figures, and keeps them as `live`. */
export async function benchLive (options: LiveOptions): Promise<void> {
  const { devices, intervalS, seconds, late, resent, warmUp, cpuProf, quick = false, probes = true } = options
  const circumstances = await readCircumstances(quick)
  await using servers = await openServers()
  await createTopic(servers.admin, { topic: TOPIC, events: 0, devices, partitions: PARTITIONS }, 'none')
  const database = await servers.openDatabase(DATABASE)
  await using opened = new AsyncDisposableStack()
  opened.defer(() => database.close())
  const environment = processorEnvironment(servers, DATABASE, TOPIC)
  const port = await getPort({ host: '127.0.0.1' })
  const processor = opened.use(startProgram('processor', { environment, cpuProf }))
  const api = opened.use(startProgram('api', {
    environment: { ...environment, ...UNLIMITED, API_PORT: String(port), METRICS_PORT: '0', API_TOKENS: TOKEN }
  }))
  await Promise.all([processor.ready, api.ready])
  const producer = await servers.eventLog.openProducer()
  opened.defer(() => producer.close())
  console.log(`${devices.toLocaleString('en')} devices, a reading each ${intervalS} s, ${late * 100} % late, ` +
    `${resent * 100} % resent, for ${seconds} s …`)
  const fleet = startFleet(environment, { devices, intervalMs: intervalS * 1000, late, resent })
  await Promise.race([delay(warmUp * 1000), processor.failed, api.failed])

  const before = await look(servers, database, { processor: processor.pid, api: api.pid, fleet: fleet.pid })
  const latenciesMs = await Promise.race([
    probes
      ? measureProbes(producer, `http://127.0.0.1:${port}`, seconds * 1000)
      : delay(seconds * 1000).then(() => [0]),
    processor.failed, api.failed
  ])
  const after = await look(servers, database, { processor: processor.pid, api: api.pid, fleet: fleet.pid })
  const lag = await readLag(servers, database)
  const report = await fleet.end()
  const drainMs = await drain(servers, database)
  const sorted = latenciesMs.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
  const events = after.stored - before.stored
  const perEvent = (cpuSeconds: (it: Look) => number) => (cpuSeconds(after) - cpuSeconds(before)) / events * 1e6
  const processorCpu = perEvent(it => it.processor)
  const postgresCpu = perEvent(it => it.postgres)
  const result = {
    devices,
    intervalS,
    seconds,
    eventsPerSecond: events / (after.atMs - before.atMs) * 1000,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    lagAtEnd: lag,
    drainMs,
    cpuUsPerEvent: {
      both: processorCpu + postgresCpu,
      processor: processorCpu,
      postgres: postgresCpu,
      broker: perEvent(it => it.broker),
      api: perEvent(it => it.api),
      fleet: perEvent(it => it.fleet)
    },
    walBytesPerEvent: (after.walBytes - before.walBytes) / events,
    rowsPerEvent: (after.rows - before.rows) / events,
    transactionsPerSecond: (after.commits - before.commits) / (after.atMs - before.atMs) * 1000,
    processorMemoryMb: after.memoryMb,
    journalMb: after.journalMb,
    journalRows: after.journalRows,
    deadTuples: after.deadTuples,
    fleetBehindMaxMs: report.behindMaxMs,
    counted: await checkCounts(database, report.sent - report.resent + (probes ? latenciesMs.length : 0))
  }
  const { cpuUsPerEvent, ...flat } = result
  console.table([Object.fromEntries(Object.entries(cpuUsPerEvent).map(([name, us]) => [name, us.toFixed(2)]))])
  console.table(Object.fromEntries(Object.entries(flat).map(([name, it]) => [name, Number(it.toPrecision(4))])))
  await writeResults('live', circumstances, result, {})
}

function startFleet (environment: NodeJS.ProcessEnv, fleet: object) {
  const child = fork(fileURLToPath(new URL('./live-fleet.ts', import.meta.url)), {
    env: { ...process.env, ...environment, FLEET: JSON.stringify(fleet) }
  })
  const ending = endWith(child)
  return {
    pid: child.pid!,
    end: async (): Promise<FleetReport> => {
      child.send('end')
      const [report] = await once(child, 'message') as [FleetReport]
      ending[Symbol.dispose]()
      return report
    }
  }
}

/** What was used and written up to a moment. */
interface Look {
  readonly atMs: number
  readonly processor: number
  readonly api: number
  readonly fleet: number
  readonly postgres: number
  readonly broker: number
  /** events that are in the rollups */
  readonly stored: number
  readonly walBytes: number
  /** inserted and updated, of any table */
  readonly rows: number
  readonly commits: number
  readonly memoryMb: number
  readonly journalMb: number
  readonly journalRows: number
  readonly deadTuples: number
}

async function look (
  servers: BenchServers, database: Database, pids: Readonly<Record<'processor' | 'api' | 'fleet', number>>
): Promise<Look> {
  const [processor, api, fleet, cpu] = await Promise.all([
    readUsage(pids.processor), readUsage(pids.api), readUsage(pids.fleet), readServersCpu(servers)])
  type Column = 'stored' | 'wal' | 'rows' | 'commits' | 'journal_bytes' | 'journal_rows' | 'dead'
  const [row] = await database.query<Record<Column, number>>(`
    select (select sum(next_offset) from progress)::float8 as stored,
      (pg_current_wal_lsn() - '0/0')::float8 as wal,
      (select sum(n_tup_ins + n_tup_upd) from pg_stat_user_tables
        where relname ~ '^(rollups|journal|arrival|progress|series)')::float8 as rows,
      (select xact_commit from pg_stat_database where datname = current_database())::float8 as commits,
      pg_total_relation_size('journal')::float8 as journal_bytes,
      (select count(*) from journal)::float8 as journal_rows,
      (select sum(n_dead_tup) from pg_stat_user_tables)::float8 as dead`)
  return {
    atMs: performance.now(),
    processor: processor.cpuSeconds,
    api: api.cpuSeconds,
    fleet: fleet.cpuSeconds,
    postgres: cpu.postgres,
    broker: cpu.broker,
    stored: row.stored,
    walBytes: row.wal,
    rows: row.rows,
    commits: row.commits,
    memoryMb: processor.memoryMaxBytes / 2 ** 20,
    journalMb: row.journal_bytes / 2 ** 20,
    journalRows: row.journal_rows,
    deadTuples: row.dead
  }
}

/** Records that the log has and the rollups have not. */
async function readLag ({ eventLog }: BenchServers, database: Database): Promise<number> {
  const ends = await readEnds(eventLog, TOPIC)
  const [{ stored }] = await database.query<{ stored: number }>(
    'select sum(next_offset)::float8 as stored from progress')
  return ends.values().reduce((sum, it) => sum + Number(it), 0) - stored
}

async function drain (servers: BenchServers, database: Database): Promise<number> {
  const startedMs = performance.now()
  while (await readLag(servers, database) > 0) {
    if (performance.now() - startedMs > DRAIN_LIMIT_MS) throw new Error('the processor does not come to the end of the log')
    await delay(100)
  }
  return performance.now() - startedMs
}
