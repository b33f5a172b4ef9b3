/**
 * Relay beside databases that hold the same readings: the same history, the same last hour with resends and late
 * readings, the same queries. Each runs alone on the machine, and nothing is written during queries.
 * Every answer is compared with a plain computation over all readings, each counted once.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { DAY_MS } from 'relay-rollups'

import { computeAnswers, findFault } from './databases/expected.ts'
import type { DatabasePeer } from './databases/peer.ts'
import { openQuestDb } from './databases/questdb.ts'
import { createQueries, END_MS, type Answer, type BenchmarkQuery, type QueryGroup } from './databases/queries.ts'
import { createStored, tailReadings, type Stored, type StoredSettings } from './databases/readings.ts'
import { openRelay } from './databases/relay.ts'
import { openRows } from './databases/rows.ts'
import { questDbVersion } from './questdb.ts'
import { readCircumstances, readResults, writeResults } from './results.ts'
import { spreadOf, type Spread } from './run.ts'
import { openServers } from './servers.ts'

export interface DatabasesOptions {
  /** of the devices of each history */
  readonly size: number
  readonly only?: string
  /** queries of each kind */
  readonly queries: number
  readonly quick?: boolean
}

export interface DatabasesResult {
  readonly questDb: string
  readonly histories: readonly HistoryResult[]
}

export interface HistoryResult {
  readonly name: string
  readonly devices: number
  readonly readingMs: number
  readonly days: number
  readonly readings: number
  readonly peers: readonly PeerResult[]
  readonly date: string
  readonly commit: string
}

export interface PeerResult {
  readonly name: string
  readonly sizeBytes: number
  /** of the last hour, from the first one sent until answers show all */
  readonly tailEventsPerSecond: number
  readonly tailCpuUsPerEvent: number
  readonly queries: readonly QueryResult[]
}

export interface QueryResult {
  readonly name: string
  /** of queries that were not asked before */
  readonly ms: Spread
  readonly asked: number
  readonly wrong: number
  /** the first wrong answer, and its query */
  readonly fault?: string
}

interface History extends StoredSettings {
  readonly name: string
}

const ZONES = 10
/** After this time no more queries of a kind are sent. */
const GROUP_LIMIT_MS = 60_000

const openers: ReadonlyArray<(folder: string) => Promise<DatabasePeer>> = [openWithServers, openQuestDb, openRows]

async function openWithServers (): Promise<DatabasePeer> {
  const servers = await openServers()
  try {
    const relay = await openRelay(servers)
    return {
      ...relay,
      async [Symbol.asyncDispose] () {
        await relay[Symbol.asyncDispose]()
        await servers[Symbol.asyncDispose]()
      }
    }
  } catch (error) {
    await servers[Symbol.asyncDispose]()
    throw error
  }
}

/** Runs the benchmark, prints its figures and keeps them in `databases`. */
export async function benchDatabases (options: DatabasesOptions): Promise<void> {
  const { size, only, quick = false } = options
  const circumstances = await readCircumstances(quick)
  const scaled = (devices: number) => Math.max(Math.round(devices * size), ZONES)
  const common = { zones: ZONES, endMs: END_MS }
  const histories: History[] = [
    {
      ...common,
      name: 'every second, 3 days',
      devices: scaled(quick ? 20 : 1_000),
      readingMs: 1_000,
      days: quick ? 2 : 3
    },
    {
      ...common,
      name: 'every minute, 5 years',
      devices: scaled(quick ? 20 : 100),
      readingMs: 60_000,
      days: quick ? 40 : 1_826
    }
  ]
  for (const history of histories.filter(it => !only || it.name.includes(only))) {
    const { date, commit } = circumstances
    const result: HistoryResult = { ...await measureHistory(history, options), date, commit }
    const before = readResults<DatabasesResult>('databases', quick)?.histories ?? []
    const others = before.filter(it => it.name !== result.name)
    const order = (it: HistoryResult) => histories.findIndex(({ name }) => name === it.name)
    const all = [...others, result].sort((a, b) => order(a) - order(b))
    const kept: DatabasesResult = { questDb: questDbVersion, histories: all }
    await writeResults('databases', circumstances, kept, {})
  }
}

async function measureHistory (
  history: History, { queries }: DatabasesOptions
): Promise<Omit<HistoryResult, 'date' | 'commit'>> {
  const { name, devices, readingMs, days } = history
  const stored = createStored(history)
  const readings = devices * days * DAY_MS / readingMs
  const groups = createQueries(stored, queries)
  const [ofDevices, ofReadings] = [devices, readings].map(it => it.toLocaleString('en'))
  console.log(`${name}: ${ofDevices} devices, ${ofReadings} readings; computing the right answers …`)
  const expected = computeAnswers(stored, groups.flatMap(it => it.queries))
  const peers: PeerResult[] = []
  for (const open of openers) {
    const folder = await mkdtemp(join(tmpdir(), 'relay-bench-'))
    await chmod(folder, 0o755) // root runs PostgreSQL as another user
    try {
      peers.push(await measurePeer(await open(folder), stored, groups, expected))
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
  report(peers)
  return { name, devices, readingMs, days, readings, peers }
}

async function measurePeer (
  opened: DatabasePeer, stored: Stored, groups: readonly QueryGroup[], expected: ReadonlyMap<BenchmarkQuery, Answer>
): Promise<PeerResult> {
  await using peer = opened
  const startedMs = performance.now()
  await peer.fill(stored)
  console.log(`  ${peer.name}: history after ${Math.round((performance.now() - startedMs) / 1000)} s`)

  const tailEvents = tailReadings(stored).reduce(sum => sum + 1, 0)
  const before = await peer.readUsage()
  const tailStartedMs = performance.now()
  await peer.takeTail(stored)
  const tailMs = performance.now() - tailStartedMs
  const after = await peer.readUsage()

  const results: QueryResult[] = []
  for (const group of groups) {
    const result = await measureQuestions(peer, group, expected)
    results.push(result)
    const fault = result.fault ? `, ${result.wrong} wrong: ${result.fault}` : ''
    console.log(`    ${result.name.padEnd(40)} ${result.ms.median.toFixed(2)} ms${fault}`)
  }
  return {
    name: peer.name,
    sizeBytes: await peer.readSizeBytes(),
    tailEventsPerSecond: tailEvents / tailMs * 1000,
    tailCpuUsPerEvent: (after.cpuSeconds - before.cpuSeconds) / tailEvents * 1e6,
    queries: results
  }
}

async function measureQuestions (
  peer: DatabasePeer, { name, queries }: QueryGroup, expected: ReadonlyMap<BenchmarkQuery, Answer>
): Promise<QueryResult> {
  const timesMs: number[] = []
  const faults: string[] = []
  const startedMs = performance.now()
  for (const query of queries) {
    const askedMs = performance.now()
    const answer = await peer.ask(query)
    timesMs.push(performance.now() - askedMs)
    const fault = findFault(answer, expected.get(query)!)
    if (fault) faults.push(fault)
    if (performance.now() - startedMs > GROUP_LIMIT_MS) break
  }
  return { name, ms: spreadOf(timesMs), asked: timesMs.length, wrong: faults.length, fault: faults[0] }
}

function report (peers: readonly PeerResult[]): void {
  console.table(peers[0].queries.map(({ name }, n) => ({
    query: name,
    ...Object.fromEntries(peers.map(it => {
      const { ms, wrong } = it.queries[n]
      return [`${it.name}, ms`, ms.median.toFixed(2) + (wrong > 0 ? ' (wrong)' : '')]
    }))
  })))
  console.table(peers.map(it => ({
    who: it.name,
    GB: (it.sizeBytes / 1e9).toFixed(2),
    'last hour, events/s': Math.round(it.tailEventsPerSecond),
    'CPU us/event': it.tailCpuUsPerEvent.toFixed(2)
  })))
}
