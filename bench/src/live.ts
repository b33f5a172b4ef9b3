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
import { setTimeout as delay } from 'node:timers/promises'

import getPort from 'get-port'
import type { Database } from 'relay-common'

import { createTopic, readEnds } from './backlog.ts'
import { checkCounts } from './check-counts.ts'
import { measureProbes, TOKEN, TOPIC, UNLIMITED } from './freshness.ts'
import { askLive, askRelay, NOT_ASKED } from './live-queries.ts'
import { measureLivePeer, startFleet, type LivePeer, type LivePeerName } from './live-peers.ts'
import { readTreeUsage, readUsage } from './process-usage.ts'
import { startProgram } from './program.ts'
import { processorEnvironment } from './relay-processor.ts'
import { readCircumstances, readResults, writeResults } from './results.ts'
import { openServers, type BenchServers } from './servers.ts'

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
  /** databases that the same fleet sends to afterwards, one after the other */
  readonly peers?: readonly LivePeerName[]
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
  /** Relay first, then those that it was measured beside, if any */
  readonly beside: readonly LivePeer[]
  readonly date: string
  readonly commit: string
}

export interface LiveResult {
  readonly cases: readonly LiveCase[]
}

/** Runs the benchmark, prints its figures, and stores them in `live`, beside those of other fleets. */
export async function benchLive (options: LiveOptions): Promise<void> {
  const { quick = false, peers = [] } = options
  const circumstances = await readCircumstances(quick)
  const { date, commit } = circumstances
  const { relay, ...measured } = await measureRelay(options)
  const beside = [relay]
  for (const name of peers) beside.push(await measureLivePeer(name, options))
  const result: LiveCase = { ...measured, beside: peers.length > 0 ? beside : [], date, commit }
  report(result)
  const others = (readResults<LiveResult>('live', quick)?.cases ?? []).filter(it => nameOf(it) !== nameOf(result))
  const cases = [...others, result].sort((a, b) => b.devices / b.intervalS - a.devices / a.intervalS || a.late - b.late)
  await writeResults('live', circumstances, { cases }, {})
}

type MeasuredCase = Omit<LiveCase, 'beside' | 'date' | 'commit'>

async function measureRelay (options: LiveOptions): Promise<MeasuredCase & { readonly relay: LivePeer }> {
  const { devices, intervalS, seconds, late, resent, warmUp, cpuProf, probeSeconds, peers = [] } = options
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
  const fleet = startFleet(options, { kind: 'kafka', bootstrapServers: servers.kafka.bootstrapServers, topic: TOPIC })
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
  const asked = peers.length === 0
    ? undefined
    : await Promise.race([askLive(askRelay(`http://127.0.0.1:${port}`), options), processor.failed, api.failed])
  const lagAfter = await readLag(servers, database)
  const fleetReport = await fleet.end()
  await drain(servers, database)
  const sorted = latenciesMs.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN
  const events = after.stored - before.stored
  const perEvent = (amount: (it: Look) => number) => (amount(after) - amount(before)) / events
  const usPerEvent = (cpuSeconds: (it: Look) => number) => perEvent(cpuSeconds) * 1e6
  const cpuUsPerEvent = {
    both: usPerEvent(it => it.processor + it.postgres),
    processor: usPerEvent(it => it.processor),
    postgres: usPerEvent(it => it.postgres),
    broker: usPerEvent(it => it.broker),
    fleet: usPerEvent(it => it.fleet)
  }
  const eventsPerSecond = events / (after.atMs - before.atMs) * 1000
  const sent = fleetReport.sent - fleetReport.resent
  const counted = await checkCounts(database, sent + latenciesMs.length)
  return {
    devices,
    intervalS,
    late,
    resent,
    seconds,
    eventsPerSecond,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    lagBefore,
    lagAfter,
    cpuUsPerEvent,
    walBytesPerEvent: perEvent(it => it.walBytes),
    rowsPerEvent: perEvent(it => it.rows),
    transactionsPerSecond: (after.commits - before.commits) / (after.atMs - before.atMs) * 1000,
    processorMemoryMb: after.memoryMb,
    journalMb: after.journalMb,
    fleetBehindMaxMs: fleetReport.behindMaxMs,
    counted,
    relay: {
      name: 'Relay',
      eventsPerSecond,
      cpuUsPerEvent: cpuUsPerEvent.both + cpuUsPerEvent.broker,
      writtenBytesPerEvent: perEvent(it => it.writtenBytes),
      ...asked ?? NOT_ASKED,
      sent: sent + latenciesMs.length,
      counted
    }
  }
}

function report ({ cpuUsPerEvent, beside, ...flat }: LiveCase): void {
  console.table([Object.fromEntries(Object.entries(cpuUsPerEvent).map(([name, us]) => [name, us.toFixed(2)]))])
  console.table(short(flat))
  if (beside.length > 0) console.table(beside.map(short))
}

/** Four digits of each number. */
function short (figures: object): object {
  return Object.fromEntries(Object.entries(figures).map(([name, it]) => [
    name, typeof it === 'number' ? Number(it.toPrecision(4)) : it
  ]))
}

/** Identifies the fleet. */
function nameOf ({ devices, intervalS, late, resent }: LiveCase): string {
  return [devices, intervalS, late, resent].join()
}

/** CPU time and written bytes up to a moment. */
interface Look {
  readonly atMs: number
  readonly processor: number
  readonly fleet: number
  readonly postgres: number
  readonly broker: number
  /** events in the rollups */
  readonly stored: number
  readonly walBytes: number
  /** by the processor, PostgreSQL and the broker */
  readonly writtenBytes: number
  /** inserted and updated, of any table */
  readonly rows: number
  readonly commits: number
  readonly memoryMb: number
  readonly journalMb: number
}

async function look (
  servers: BenchServers, database: Database, pids: Readonly<Record<'processor' | 'fleet', number>>
): Promise<Look> {
  const [processor, fleet, postgres, broker] = await Promise.all([
    readUsage(pids.processor), readUsage(pids.fleet), readTreeUsage(servers.postgres.pid), readUsage(servers.kafka.pid)
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
    postgres: postgres.cpuSeconds,
    broker: broker.cpuSeconds,
    stored: row.stored,
    walBytes: row.wal,
    writtenBytes: processor.writtenBytes + postgres.writtenBytes + broker.writtenBytes,
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
    'select coalesce(sum(next_offset), 0)::float8 as stored from progress where topic = $1', [TOPIC])
  return ends.values().reduce((sum, it) => sum + Number(it), 0) - stored
}

/** Waits until the rollups have all that the log has. @returns how long that took, in ms */
export async function drain (servers: BenchServers, database: Database): Promise<number> {
  const startedMs = performance.now()
  while (await readLag(servers, database) > 0) {
    if (performance.now() - startedMs > DRAIN_LIMIT_MS) {
      throw new Error('the processor does not come to the end of the log')
    }
    await delay(100)
  }
  return performance.now() - startedMs
}
