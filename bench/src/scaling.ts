/**
 * Cost of an event as the work grows: with the number of devices, the values of a window, the age of the backlog, and
 * if each event opens a row or is late. Same processor, default settings, a topic and a database per case.
 */
import { availableParallelism } from 'node:os'

import { createTopic, fillBacklog, type Backlog } from './backlog.ts'
import { drawBars } from './chart.ts'
import { runProcessor, type ProcessorRun } from './relay-processor.ts'
import { readCircumstances, writeResults } from './results.ts'
import { spreadOf, type Spread } from './run.ts'
import { openServers, type BenchServers } from './servers.ts'

export interface ScalingOptions {
  readonly repeats: number
  /** a tenth of the events, one repeat; figures are stored elsewhere */
  readonly quick?: boolean
  /** only cases whose name contains this; figures are stored elsewhere */
  readonly only?: string
  /** folder for CPU profiles of the processor */
  readonly cpuProf?: string
}

interface Case extends Omit<Backlog, 'topic' | 'partitions'> {
  /** cases of one kind are compared with its first */
  readonly kind: 'devices' | 'values' | 'event time' | 'rows' | 'late'
  readonly name: string
  readonly intervalMs: number
  /** default: PARTITIONS */
  readonly partitions?: number
}

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS

const cases: readonly Case[] = [
  { kind: 'devices', name: '1,000 devices', events: 12_000_000, devices: 1_000, intervalMs: SECOND_MS },
  { kind: 'devices', name: '10,000 devices', events: 12_000_000, devices: 10_000, intervalMs: SECOND_MS },
  { kind: 'devices', name: '100,000 devices', events: 12_000_000, devices: 100_000, intervalMs: SECOND_MS },
  // always 16 devices: only the number of values per minute changes
  { kind: 'values', name: '60 values in a window', events: 3_200_000, devices: 16, intervalMs: SECOND_MS },
  { kind: 'values', name: '1,000 values in a window', events: 3_200_000, devices: 16, intervalMs: 60 },
  { kind: 'values', name: '100,000 values in a window', events: 3_200_000, devices: 16, intervalMs: 0.6 },
  // always 43,200 minutes of devices, and as many of groups: each device is alone in its zone. One device is in one
  // source partition, so all are: fetching from one of eight costs more
  {
    kind: 'event time',
    name: '1 hour of event time',
    events: 2_592_000,
    devices: 720,
    zones: 720,
    intervalMs: SECOND_MS,
    partitions: 1
  },
  {
    kind: 'event time',
    name: '30 days of event time',
    events: 2_592_000,
    devices: 1,
    intervalMs: SECOND_MS,
    partitions: 1
  },
  { kind: 'rows', name: '60 readings a minute', events: 1_000_000, devices: 1_000, intervalMs: SECOND_MS },
  { kind: 'rows', name: '1 reading a minute: each a row', events: 1_000_000, devices: 100_000, intervalMs: MINUTE_MS },
  { kind: 'late', name: 'none late', events: 2_000_000, devices: 1_000, intervalMs: SECOND_MS },
  {
    kind: 'late',
    name: '20 % late, as after outages',
    events: 2_000_000,
    devices: 1_000,
    intervalMs: SECOND_MS,
    late: { share: 0.2, as: 'outages' }
  },
  {
    kind: 'late',
    name: '20 % late, each alone in its minute',
    events: 2_000_000,
    devices: 1_000,
    intervalMs: SECOND_MS,
    late: { share: 0.2, as: 'strays' }
  }
]
const PARTITIONS = 8
const QUICK_SHARE = 0.1

export interface ScalingResult {
  readonly kind: Case['kind']
  readonly name: string
  readonly events: number
  readonly eventsPerSecond: Spread
  /** of the processor while it reads */
  readonly cpuUsPerEvent: Spread
  readonly postgresCpuUsPerEvent: Spread
  readonly rowsPerEvent: number
  readonly memoryMaxMb: number
  readonly coresBusy: ProcessorRun['coresBusy']
  readonly binds: string
  /** relative to the first case of its kind: CPU per event, and events/s */
  readonly relative: { readonly cpu: number, readonly rate: number }
}

/** Runs all cases, prints a table, and stores it with a chart as `scaling`. */
export async function benchScaling (options: ScalingOptions): Promise<void> {
  const { quick = false, only = '' } = options
  const circumstances = await readCircumstances(quick || only !== '')
  await using servers = await openServers()
  const chosen = cases.filter(it => `${it.kind} ${it.name}`.includes(only))
  const results: ScalingResult[] = []
  for (const ofKind of Object.values(Object.groupBy(chosen, it => it.kind))) {
    results.push(...await benchKind(ofKind, servers, options))
  }
  printResults(results)
  await writeResults('scaling', circumstances, { cases: results }, { 'scaling-cpu': await draw(results) })
}

/** Cases that are compared alternate, so that a slow phase of the machine affects all. */
async function benchKind (
  cases: readonly Case[], servers: BenchServers, { quick = false, repeats, cpuProf }: ScalingOptions
): Promise<ScalingResult[]> {
  const taken = cases.map((it, n) => {
    const events = quick ? Math.max(it.devices, it.events * QUICK_SHARE) : it.events
    const topic = `events-${it.kind.replace(' ', '-')}-${n}`
    return { backlog: { partitions: PARTITIONS, ...it, topic, events }, runs: [] as ProcessorRun[] }
  })
  for (const { backlog } of taken) {
    await createTopic(servers.admin, backlog, 'none')
    await fillBacklog(servers.eventLog, backlog)
  }
  for (let repeat = 0; repeat < (quick ? 1 : repeats); repeat++) {
    for (const { backlog, runs } of taken) {
      const name = `scaling_${backlog.topic.replaceAll('-', '_')}_${repeat}`
      runs.push(await runProcessor(servers, backlog, { name, cpuProf }))
    }
  }
  await servers.admin.deleteTopics({ topics: taken.map(it => it.backlog.topic) })

  const results: ScalingResult[] = []
  for (const { backlog, runs } of taken) {
    const result = describe(backlog, runs, results[0])
    results.push(result)
    console.log(`  ${result.name}: ${result.cpuUsPerEvent.median.toFixed(2)} us/event, ` +
      `${Math.round(result.eventsPerSecond.median).toLocaleString('en')} events/s`)
  }
  return results
}

function describe (it: Case, runs: readonly ProcessorRun[], first?: ScalingResult): ScalingResult {
  const eventsPerSecond = spreadOf(runs.map(run => run.readingEventsPerSecond))
  const cpuUsPerEvent = spreadOf(runs.map(run => run.readingCpuUsPerEvent))
  const [{ coresBusy, rows }] = runs
  return {
    kind: it.kind,
    name: it.name,
    events: it.events,
    eventsPerSecond,
    cpuUsPerEvent,
    postgresCpuUsPerEvent: spreadOf(runs.map(run => run.postgresCpuUsPerEvent)),
    rowsPerEvent: rows / it.events,
    memoryMaxMb: Math.max(...runs.map(run => run.memoryMaxMb)),
    coresBusy,
    binds: whatBinds(coresBusy),
    relative: {
      cpu: cpuUsPerEvent.median / (first ?? { cpuUsPerEvent }).cpuUsPerEvent.median,
      rate: eventsPerSecond.median / (first ?? { eventsPerSecond }).eventsPerSecond.median
    }
  }
}

/** From here on a thread, or the machine, counts as busy. */
const BUSY_SHARE = 0.85

/** Names the exhausted resource of a run. */
function whatBinds (cores: ProcessorRun['coresBusy']): string {
  const all = cores.processor + cores.postgres + cores.broker
  const said = (share: number) => `${share.toFixed(2)} cores`
  const [name, most] = Object.entries(cores).sort(([, a], [, b]) => b - a)[0]
  if (all >= BUSY_SHARE * availableParallelism()) {
    return `the machine (${said(all)}), most of it ${name} (${said(most)})`
  }
  return most >= BUSY_SHARE ? `${name} (${said(most)})` : `nobody is busy all the time: ${name} most (${said(most)})`
}

function printResults (results: readonly ScalingResult[]): void {
  console.table(results.map(it => ({
    case: it.name,
    'events/s': Math.round(it.eventsPerSecond.median).toLocaleString('en'),
    relative: it.relative.rate.toFixed(2),
    'CPU us/event': it.cpuUsPerEvent.median.toFixed(2),
    'relative ': it.relative.cpu.toFixed(2),
    PostgreSQL: it.postgresCpuUsPerEvent.median.toFixed(2),
    'rows/event': it.rowsPerEvent.toFixed(3),
    'peak MB': Math.round(it.memoryMaxMb),
    binds: it.binds
  })))
}

async function draw (results: readonly ScalingResult[]): Promise<string> {
  return await drawBars('CPU an event as the work grows', 'while reading; the processor, and PostgreSQL for its rows',
    'us/event', results.flatMap(it => [
      { label: it.name, group: 'relay-processor', value: it.cpuUsPerEvent.median },
      { label: it.name, group: 'PostgreSQL', value: it.postgresCpuUsPerEvent.median }
    ]), '.2f')
}
