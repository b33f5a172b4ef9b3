/**
 * A live fleet: the cost of an event, and the freshness of answers, with one new reading per device and second (or
 * less). Everything is on one machine: broker, fleet, processor, PostgreSQL, API and clients.
 *
 *
 *     warm up, until journaled readings become rows ──▶ CPU, WAL and rows of the fleet alone ──▶ freshness, by those who ask ──▶ count
 *
 * Freshness is measured from outside, by probe devices (freshness.ts), after the cost, so that queries are not part of
 * it. At the end all sent readings are counted.
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
import { readCircumstances, readResults, writeResults } from './results.ts'
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
  /** duration of the freshness measurement, s; 0: none */
  readonly probeSeconds: number
  readonly warmUp: number
  /** folder for a CPU profile of the processor */
  readonly cpuProf?: string
}

/** Report of a fleet at its end. */
export interface FleetReport {
  sent: number
  resent: number
  late: number
  /** its own largest delay, because it shares the cores */
  behindMaxMs: number
}

const DATABASE = 'live'
const PARTITIONS = 8
const DRAIN_LIMIT_MS = 120_000

/** Result for one fleet. */
export interface LiveCase {
  readonly devices: number
  readonly intervalS: number
  /** shares of all readings */
  readonly late: number
  readonly resent: number
  readonly seconds: number
  readonly eventsPerSecond: number
  /** without freshness: NaN */
  readonly p50Ms: number
  readonly p99Ms: number
  /** records in the log and not in the rollups, before and after */
  readonly lagBefore: number
  readonly lagAfter: number
  readonly cpuUsPerEvent: Readonly<Record<'both' | 'processor' | 'postgres' | 'broker' | 'fleet', number>>
  readonly walBytesPerEvent: number
  readonly rowsPerEvent: number
  readonly transactionsPerSecond: number
  readonly processorMemoryMb: number
  readonly journalMb: number
  readonly fleetBehindMaxMs: number
  /** readings found at the end, each once: everything that was sent */
  readonly counted: number
  readonly date: string
  readonly commit: string
}

export interface LiveResult {
  readonly cases: readonly LiveCase[]
}

/** Runs the benchmark, prints its figures, and stores them in `live`, beside those of other fleets. */
export async function benchLive (options: LiveOptions): Promise<void> {
  const { devices, intervalS, seconds, late, resent, warmUp, cpuProf, quick = false, probeSeconds } = options
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

  const before = await look(servers, database, { processor: processor.pid, fleet: fleet.pid })
  const lagBefore = await readLag(servers, database)
  await Promise.race([delay(seconds * 1000), processor.failed, api.failed])
  const after = await look(servers, database, { processor: processor.pid, fleet: fleet.pid })
  const latenciesMs = probeSeconds === 0
    ? []
    : await Promise.race([
      measureProbes(producer, `http://127.0.0.1:${port}`, probeSeconds * 1000), processor.failed, api.failed
    ])
  const lagAfter = await readLag(servers, database)
  const report = await fleet.end()
  await drain(servers, database)
  const sorted = latenciesMs.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN
  const events = after.stored - before.stored
  const perEvent = (cpuSeconds: (it: Look) => number) => (cpuSeconds(after) - cpuSeconds(before)) / events * 1e6
  const processorCpu = perEvent(it => it.processor)
  const postgresCpu = perEvent(it => it.postgres)
  const { date, commit } = circumstances
  const result: LiveCase = {
    devices,
    intervalS,
    late,
    resent,
    seconds,
    eventsPerSecond: events / (after.atMs - before.atMs) * 1000,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    lagBefore,
    lagAfter,
    cpuUsPerEvent: {
      both: processorCpu + postgresCpu,
      processor: processorCpu,
      postgres: postgresCpu,
      broker: perEvent(it => it.broker),
      fleet: perEvent(it => it.fleet)
    },
    walBytesPerEvent: (after.walBytes - before.walBytes) / events,
    rowsPerEvent: (after.rows - before.rows) / events,
    transactionsPerSecond: (after.commits - before.commits) / (after.atMs - before.atMs) * 1000,
    processorMemoryMb: after.memoryMb,
    journalMb: after.journalMb,
    fleetBehindMaxMs: report.behindMaxMs,
    counted: await checkCounts(database, report.sent - report.resent + latenciesMs.length),
    date,
    commit
  }
  const { cpuUsPerEvent, ...flat } = result
  console.table([Object.fromEntries(Object.entries(cpuUsPerEvent).map(([name, us]) => [name, us.toFixed(2)]))])
  console.table(Object.fromEntries(Object.entries(flat).map(([name, it]) => [
    name, typeof it === 'number' ? Number(it.toPrecision(4)) : it
  ])))
  const others = (readResults<LiveResult>('live', quick)?.cases ?? []).filter(it => nameOf(it) !== nameOf(result))
  const cases = [...others, result].sort((a, b) => b.devices / b.intervalS - a.devices / a.intervalS || a.late - b.late)
  await writeResults('live', circumstances, { cases }, {})
}

/** Identifies the fleet. */
function nameOf ({ devices, intervalS, late, resent }: LiveCase): string {
  return [devices, intervalS, late, resent].join()
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

/** Totals up to a moment. */
interface Look {
  readonly atMs: number
  readonly processor: number
  readonly fleet: number
  readonly postgres: number
  readonly broker: number
  /** events in the rollups */
  readonly stored: number
  readonly walBytes: number
  /** inserted and updated, of any table */
  readonly rows: number
  readonly commits: number
  readonly memoryMb: number
  readonly journalMb: number
}

async function look (
  servers: BenchServers, database: Database, pids: Readonly<Record<'processor' | 'fleet', number>>
): Promise<Look> {
  const [processor, fleet, cpu] = await Promise.all([
    readUsage(pids.processor), readUsage(pids.fleet), readServersCpu(servers)
  ])
  type Column = 'stored' | 'wal' | 'rows' | 'commits' | 'journal_bytes'
  const [row] = await database.query<Record<Column, number>>(`
    select (select sum(next_offset) from progress)::float8 as stored,
      (pg_current_wal_lsn() - '0/0')::float8 as wal,
      (select sum(n_tup_ins + n_tup_upd) from pg_stat_user_tables
        where relname ~ '^(rollups|journal|arrival|progress|series)')::float8 as rows,
      (select xact_commit from pg_stat_database where datname = current_database())::float8 as commits,
      pg_total_relation_size('journal')::float8 as journal_bytes`)
  return {
    atMs: performance.now(),
    processor: processor.cpuSeconds,
    fleet: fleet.cpuSeconds,
    postgres: cpu.postgres,
    broker: cpu.broker,
    stored: row.stored,
    walBytes: row.wal,
    rows: row.rows,
    commits: row.commits,
    memoryMb: processor.memoryMaxBytes / 2 ** 20,
    journalMb: row.journal_bytes / 2 ** 20
  }
}

/** Records in the log and not in the rollups. */
async function readLag ({ eventLog }: BenchServers, database: Database): Promise<number> {
  const ends = await readEnds(eventLog, TOPIC)
  const [{ stored }] = await database.query<{ stored: number }>(
    'select sum(next_offset)::float8 as stored from progress')
  return ends.values().reduce((sum, it) => sum + Number(it), 0) - stored
}

async function drain (servers: BenchServers, database: Database): Promise<number> {
  const startedMs = performance.now()
  while (await readLag(servers, database) > 0) {
    if (performance.now() - startedMs > DRAIN_LIMIT_MS) {
      throw new Error('the processor does not come to the end of the log')
    }
    await delay(100)
  }
  return performance.now() - startedMs
}
