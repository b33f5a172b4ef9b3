/**
 * Writes the figures in `docs/performance.md` from `bench/results/*.json`, so that none is copied by hand:
 *
 *     npm exec -- node docs/performance.ts
 *
 * A section of the page between `<!-- figures: name -->` and `<!-- end -->` is what `sections[name]` renders.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

import type { AccessCase, AccessResult } from '../bench/src/access.ts'
import type { AccuracyResult } from '../bench/src/accuracy.ts'
import type { ApiResult, Measured } from '../bench/src/api.ts'
import type { DatabasesResult, HistoryResult } from '../bench/src/databases.ts'
import type { FreshnessResult } from '../bench/src/freshness.ts'
import type { IngestResult, IngestWay } from '../bench/src/ingest.ts'
import type { LiveResult } from '../bench/src/live.ts'
import type { MemoryResult } from '../bench/src/memory.ts'
import type { PoisonResult } from '../bench/src/poison.ts'
import type { CompressionResult, ProcessorResult } from '../bench/src/processor.ts'
import type { Circumstances } from '../bench/src/results.ts'
import {
  CONSUMER_BENCHMARK, KAFKA_STREAMS, KAFKA_STREAMS_EXACTLY_ONCE, RELAY_PROCESSOR, type RunSummary, type Spread
} from '../bench/src/run.ts'
import type { ScalingResult } from '../bench/src/scaling.ts'
import type { TracingResult } from '../bench/src/tracing.ts'

export const WRITE_COMMAND = 'npm exec -- node docs/performance.ts'

const page = new URL('performance.md', import.meta.url)
const results = new URL('../bench/results/', import.meta.url)

interface Results {
  live: LiveResult
  processor: ProcessorResult
  compression: ProcessorResult
  scaling: { readonly cases: readonly ScalingResult[] }
  memory: MemoryResult
  freshness: FreshnessResult
  poison: PoisonResult
  api: ApiResult
  databases: DatabasesResult
  accuracy: AccuracyResult
  access: AccessResult
  ingest: IngestResult
  tracing: TracingResult
}

function read<N extends keyof Results> (name: N): Results[N] & Circumstances | undefined {
  const file = new URL(`${name}.json`, results)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
}

const sections: Readonly<Record<string, () => string>> = {
  targets: renderTargets,
  live: () => render('live', it => [
    table([
      'devices', 'late', 'events/s', 'CPU us/event, both', 'processor', 'PostgreSQL', 'broker', 'WAL bytes/event',
      'rows/event',
      'visible after, p50', 'p99', 'lag before', 'lag after', 'processor MB', 'journal MB', 'measured'
    ], it.cases.map(row => [
      `${whole(row.devices)}, each ${row.intervalS} s`, `${row.late * 100} %`, whole(row.eventsPerSecond),
      ...[
        row.cpuUsPerEvent.both, row.cpuUsPerEvent.processor, row.cpuUsPerEvent.postgres, row.cpuUsPerEvent.broker
      ].map(us => us.toFixed(1)),
      whole(row.walBytesPerEvent), row.rowsPerEvent.toFixed(3), ...[row.p50Ms, row.p99Ms].map(ms => `${whole(ms)} ms`),
      whole(row.lagBefore), whole(row.lagAfter), whole(row.processorMemoryMb), whole(row.journalMb),
      `${row.date.slice(0, 10)}, ${row.commit}`
    ]))
  ]),
  livePeers: () => render(withPeers().length === 0 ? undefined : 'live', () => withPeers().flatMap(row => [
    `${whole(row.devices)} devices, each ${row.intervalS} s, ${row.late * 100} % late, ${row.resent * 100} % resent:`,
    table([
      'who', 'events/s', 'CPU us/event', 'of Relay', 'bytes written/event', 'of Relay', 'a device\'s last hour, p50',
      'p99', 'of Relay, p50', 'visible after, p50', 'p99', 'counts'
    ], row.beside.map(peer => {
      const relay = row.beside[0]
      return [
        peer.name, whole(peer.eventsPerSecond),
        peer.cpuUsPerEvent.toFixed(1), ratio(peer.cpuUsPerEvent / relay.cpuUsPerEvent),
        whole(peer.writtenBytesPerEvent), ratio(peer.writtenBytesPerEvent / relay.writtenBytesPerEvent),
        ...[peer.questionP50Ms, peer.questionP99Ms].map(ms => `${ms.toFixed(1)} ms`),
        ratio(peer.questionP50Ms / relay.questionP50Ms),
        ...[peer.freshP50Ms, peer.freshP99Ms].map(ms => `${whole(ms)} ms`),
        peer.counted === peer.sent ? 'right' : `**${whole(peer.counted)} for ${whole(peer.sent)}**`
      ]
    }))
  ])),
  processor: () => render('processor', it => [
    table(runHead, it.compressions[0].summary.map(runRow)),
    ratioTable(it.compressions[0]),
    chart('processor-rate', 'events per second of each, while reading'),
    chart('processor-cpu', 'CPU of each, per event')
  ]),
  compression: () => render('compression', it => [
    table(['compression', 'bytes/event', ...runHead], it.compressions.flatMap(compressionRows)),
    table(
      ['compression', `Relay / ${CONSUMER_BENCHMARK}, reading`, 'from its start', `Relay / ${KAFKA_STREAMS}, reading`],
      it.compressions.map(({ compression, ratios }) => [
        compression, ratio(ratios[CONSUMER_BENCHMARK]?.reading), ratio(ratios[CONSUMER_BENCHMARK]?.fromStart),
        ratio(ratios[KAFKA_STREAMS]?.reading)
      ])),
    chart('compression-rate', 'events per second of each, while reading, by codec')
  ]),
  scaling: () => render('scaling', it => [
    table([
      'case', 'events', 'events/s', 'relative', 'CPU us/event', 'relative', 'PostgreSQL us/event', 'rows/event',
      'peak MB', 'what binds'
    ], it.cases.map(row => [
      row.name, whole(row.events), whole(row.eventsPerSecond.median), ratio(row.relative.rate),
      row.cpuUsPerEvent.median.toFixed(2), ratio(row.relative.cpu), row.postgresCpuUsPerEvent.median.toFixed(2),
      row.rowsPerEvent.toFixed(3), whole(row.memoryMaxMb), row.binds
    ])),
    chart('scaling-cpu', 'CPU of the processor and of PostgreSQL, per event, by case')
  ]),
  memory: () => render('memory', it => [
    table(['series', 'hot, heap MB', 'resident MB', 'idle, heap MB', 'resident MB'],
      it.loaded.map(({ series, hot, idle }) => [
        whole(series), ...[hot, idle].flatMap(state => [megabytes(state.heapBytes), megabytes(state.residentBytes)])
      ])),
    `A series takes **${whole(it.hotBytesPerSeries)} bytes** hot and **${whole(it.idleBytesPerSeries)}** idle, ` +
    `over a base of ${megabytes(it.baseBytes)} MB. With ${whole(it.bounded.series)} series and SERIES_IN_MEMORY_MAX=` +
    `${it.bounded.seriesInMemoryMax}: ${megabytes(it.bounded.state.heapBytes)} MB of heap.`
  ]),
  freshness: () => render('freshness', it => [
    table(['events/s', 'readings followed', 'p50', 'p90', 'p99', 'slowest', 'answers 503'],
      [[
        whole(it.sentPerSecond), whole(it.probes),
        ...[it.p50Ms, it.p90Ms, it.p99Ms, it.maxMs].map(ms => `${whole(ms)} ms`), whole(it.unavailable)
      ]]),
    chart('freshness', 'share of the readings that are visible after so many milliseconds')
  ]),
  tracing: () => render('tracing', it => [
    table(['what', 'unit', 'off', 'on', 'on / off'], it.cases.map(({ what, unit, off, on, ratio: onOverOff }) => [
      what, unit, ...[off, on].map(({ median }) => median < 100 ? median.toPrecision(3) : whole(median)),
      onOverOff.toFixed(3)
    ]))
  ]),
  poison: () => render('poison', it => [
    table(['records', 'kinds', 'records/s', 'CPU us/record', 'peak MB'], [[
      whole(it.records), whole(it.kinds), whole(it.recordsPerSecond), it.cpuUsPerRecord.toFixed(2),
      whole(it.memoryMaxMb)
    ]])
  ]),
  api: () => render('api', it => [
    table([
      'question', 'requests/s', 'bare', 'ratio', 'CPU us', 'alone, p50', 'first, p50', 'at 70 %, p50', 'p99', 'errors'
    ], it.measured.map(row => [
      row.scenario, whole(row.requestsPerSecond), whole(row.bareRequestsPerSecond), ratio(row.ratio),
      whole(row.cpuUsPerRequest),
      ...[row.aloneP50Ms, row.firstP50Ms, row.steadyP50Ms, row.steadyP99Ms].map(ms => `${ms.toFixed(2)} ms`),
      whole(row.errors)
    ])),
    chart('api', 'requests per second of each question over those of a bare server'),
    'Memory of the API under a mix of all, at 70 %:',
    table(['after, s', 'resident, MB'], it.memory.map(({ second, residentMb }) => [whole(second), whole(residentMb)]))
  ]),
  databases: () => render('databases', it => [`QuestDB ${it.questDb}.`, ...it.histories.flatMap(renderHistory)]),
  accuracy: () => render('accuracy', it => [
    `${whole(it.readings)} readings of a zone, of a year:`,
    table(['statistic', 'answer', 'stated bound', 'of the sorted readings', 'off by'], it.found.map(row =>
      [row.name, ...[row.value, row.bound, row.exact, row.offBy].map(it => String(Number(it.toPrecision(4))))]))
  ]),
  access: () => render('access', it => [
    table(['credential', 'CPU us', 'spread'], it.cases.map(({ name, cpuUs }) =>
      [name, cpuUs.median.toFixed(1), `${cpuUs.min.toFixed(1)}-${cpuUs.max.toFixed(1)}`])),
    chart('access', 'CPU of the API to know who asks, by credential')
  ]),
  ingest: () => render('ingest', it => [
    table([
      'way', 'events/s', 'of bare', 'CPU us/event', 'of bare', 'broker us/event'
    ], it.cases.map(({ way, relay, bare }) => [
      way, whole(relay.eventsPerSecond.median), whole(bare.eventsPerSecond.median),
      relay.cpuUsPerEvent.median.toFixed(1),
      bare.cpuUsPerEvent.median.toFixed(1), relay.brokerCpuUsPerEvent.median.toFixed(1)
    ])),
    chart('ingest', 'events per second of the API, over those of a bare server')
  ])
}

const NOT_MEASURED = 'Not measured yet.'

/** Fleets that were also sent to databases; older figures have none. */
const withPeers = () => (read('live')?.cases ?? []).filter(it => it.beside?.length > 0)

function render<N extends keyof Results> (
  name: N | undefined, parts: (it: Results[N] & Circumstances) => string[]
): string {
  const it = name && read(name)
  return it ? [circumstances(it), ...parts(it)].join('\n\n') : NOT_MEASURED
}

function circumstances ({ date, commit, machine, versions, isQuick }: Circumstances): string {
  return `${date.slice(0, 10)}, commit ${commit}, ${machine.processors}, ${machine.memoryGb} GB, ${machine.system}, ` +
    `load before the start ${machine.loadBefore}; Node.js ${versions.node}, Java ${versions.java}, ` +
    `Kafka ${versions.kafka}, PostgreSQL ${versions.postgres}` +
    (isQuick ? '. **A quick run: no more than a hint.**' : '.')
}

/** Times relative to those of Relay. Faster peers come first. */
function renderHistory ({ name, devices, readings, peers, date, commit }: HistoryResult): string[] {
  const [relay, ...others] = peers
  const timeRatio = (peer: typeof relay, n: number) => peer.queries[n].ms.median / relay.queries[n].ms.median
  const wins = relay.queries.flatMap((query, n) => others
    .filter(peer => timeRatio(peer, n) < 1)
    .map(peer => `${query.name}: ${peer.name} takes ${ratio(timeRatio(peer, n))} of Relay's time`))
  const smaller = others.filter(it => it.sizeBytes < relay.sizeBytes).map(it => `${it.name} takes less disk`)
  const answer = (peer: typeof relay, n: number) => {
    const { ms, wrong, asked } = peer.queries[n]
    const beside = peer === relay ? '' : `, ${ratio(timeRatio(peer, n))}`
    return `${ms.median.toFixed(1)} ms${beside}` + (wrong > 0 ? `, **${wrong} of ${asked} wrong**` : '')
  }
  return [
    `### ${name}: ${whole(devices)} devices, ${whole(readings)} readings (${date.slice(0, 10)}, commit ${commit})`,
    'Where a peer wins: ' + ([...wins, ...smaller].join('; ') || 'nowhere here') + '.',
    table(['question, p50', ...peers.map(it => it === relay ? it.name : `${it.name}, of Relay's time`)],
      relay.queries.map(({ name }, n) => [name, ...peers.map(it => answer(it, n))])),
    table(['who', 'on disk, GB', 'of Relay', 'last hour, events/s', 'CPU us/event'], peers.map(it => [
      it.name, (it.sizeBytes / 1e9).toFixed(2), ratio(it.sizeBytes / relay.sizeBytes),
      whole(it.tailEventsPerSecond), it.tailCpuUsPerEvent.toFixed(1)
    ]))
  ]
}

const runHead = [
  'who', 'events/s reading', 'spread', 'events/s from its start', 'CPU us/event', 'PostgreSQL us/event',
  'broker us/event', 'peak MB'
]

function runRow (it: RunSummary): string[] {
  return [
    it.who, whole(it.readingEventsPerSecond.median), spread(it.readingEventsPerSecond),
    whole(it.eventsPerSecond.median),
    it.cpuUsPerEvent.median.toFixed(2), it.who === RELAY_PROCESSOR ? it.postgresCpuUsPerEvent.median.toFixed(2) : '-',
    it.brokerCpuUsPerEvent.median.toFixed(2), whole(it.memoryMaxMb.max)
  ]
}

/** Only the first row of a codec names it and its size. */
function compressionRows ({ compression, bytesPerEvent, summary }: CompressionResult): string[][] {
  return summary.map((run, n) => [...(n === 0 ? [compression, whole(bytesPerEvent)] : ['', '']), ...runRow(run)])
}

function ratioTable ({ ratios }: CompressionResult): string {
  return table(['Relay compared with', 'events/s, reading', 'events/s, from its start'],
    Object.entries(ratios).map(([peer, { reading, fromStart }]) => [peer, `**${ratio(reading)}**`, ratio(fromStart)]))
}

const ingestWays: readonly IngestWay[] = ['HTTP, one event a body', 'HTTP, 1,000 events a body', 'MQTT, QoS 1']

/** The aims and the measured values. */
function renderTargets (): string {
  const plain = read('processor')?.compressions[0]
  const relay = plain?.summary.find(it => it.who === RELAY_PROCESSOR)
  const ratios = (peer: string) => plain?.ratios[peer]
  const cases = read('scaling')?.cases
  const caseNamed = (start: string) => cases?.find(it => it.name.startsWith(start))
  const cpu = (start: string) => caseNamed(start)?.relative.cpu
  const rate = (start: string) => caseNamed(start)?.relative.rate
  const memory = read('memory')
  const freshness = read('freshness')
  const live = (devices: number) =>
    read('live')?.cases.find(it => it.devices === devices && it.intervalS === 1 && it.late + it.resent === 0)
  const poison = read('poison')
  const asked = read('api')?.measured
  const ofScenario = (name: string) => asked?.find(it => it.scenario === name)
  const worst = (of: (it: Measured) => number | undefined) => asked && Math.max(...asked.map(it => of(it) ?? 0))
  const access = (name: AccessCase) => read('access')?.cases.find(it => it.name === name)?.cpuUs.median
  const rows = [
    target(
      'live, 10,000 devices at 1 Hz: CPU of processor and PostgreSQL, us/event', '<=', 4,
      live(10_000)?.cpuUsPerEvent.both
    ),
    target('the same, WAL bytes/event', '<=', 60, live(10_000)?.walBytesPerEvent),
    target('the same, from produce to visible, p50, ms', '<=', 300, live(10_000)?.p50Ms),
    target('the same, p99, ms', '<=', 600, live(10_000)?.p99Ms),
    target(
      'live, 100,000 devices at 1 Hz: CPU of processor and PostgreSQL, us/event', '<=', 2,
      live(100_000)?.cpuUsPerEvent.both
    ),
    target('the same, WAL bytes/event', '<=', 30, live(100_000)?.walBytesPerEvent),
    target('the same, from produce to visible, p50, ms', '<=', 600, live(100_000)?.p50Ms),
    target('the same, p99, ms', '<=', 1500, live(100_000)?.p99Ms),
    target('events/s over the consumer benchmark, from the start to the last commit', '>=', 0.9,
      ratios(CONSUMER_BENCHMARK)?.fromStart),
    target(
      'events/s over Kafka Streams exactly once, while reading', '>=', 10, ratios(KAFKA_STREAMS_EXACTLY_ONCE)?.reading
    ),
    target('the same over Kafka Streams in memory alone', '>=', 10, ratios(KAFKA_STREAMS)?.reading),
    target('CPU of the processor, us/event', '<=', 1.5, relay?.cpuUsPerEvent.median),
    target('CPU/event of 100,000 devices over 1,000', '<=', 2, cpu('100,000 devices')),
    target('CPU/event of windows of 100,000 values over 60', '<=', 1.1, cpu('100,000 values')),
    target('CPU/event of 30 days of event time over an hour', '<=', 1.1, cpu('30 days')),
    target('events/s if each event opens a row', '>=', 40_000, caseNamed('1 reading a minute')?.eventsPerSecond.median),
    target('events/s with 20 % late, as after outages, over none late', '>=', 0.5, rate('20 % late, as after outages')),
    target('the same, each late reading alone in its minute', '>=', 0.5, rate('20 % late, each alone')),
    target('bytes of a series, idle', '<=', 1024, memory?.idleBytesPerSeries),
    target('bytes of a series, hot', '<=', 2048, memory?.hotBytesPerSeries),
    target('memory without series, MB', '<=', 200, memory && memory.baseBytes / 2 ** 20),
    target('from produce to visible at 10,000 events/s, p50, ms', '<=', 300, freshness?.p50Ms),
    target('the same, p99, ms', '<=', 1000, freshness?.p99Ms),
    target('records/s if all are invalid', '>=', 50_000, poison?.recordsPerSecond),
    target('queries of a device and a day, relative to a bare server', '>=', 0.5, ofScenario('a device, a day')?.ratio),
    ...['a zone', 'a type', 'a zone and type'].map(it =>
      target(`the same of ${it} and 30 days`, '>=', 0.3, ofScenario(`${it}, 30 days`)?.ratio)),
    target('time for 365 days over a day, slowest kind', '<=', 3, worst(it => {
      const day = ofScenario(it.scenario.replace(', 365 days', ', a day'))
      return it.scenario.endsWith(', 365 days') && day ? it.aloneP50Ms / day.aloneP50Ms : undefined
    })),
    target('p99 over p50 at 70 % of the peak, worst kind', '<=', 5, worst(it => it.steadyP99Ms / it.steadyP50Ms)),
    target('queries without an answer', '<=', 0, asked?.reduce((sum, it) => sum + it.errors, 0)),
    target('CPU to check a cached access token, us', '<=', 60, access('access token, seen before')),
    target('CPU to check an API key, us', '<=', 60, access('API key, in memory')),
    ...ingestWays.map(way => target(`events/s by ${way}, relative to a bare server`, '>=', 0.6,
      read('ingest')?.cases.find(it => it.way === way)?.rateRatio))
  ]
  return table(['what', 'aim', 'measured', 'reached'], rows)
}

function target (what: string, sign: '>=' | '<=', aim: number, measured: number | undefined): string[] {
  const wanted = `${sign} ${aim.toLocaleString('en')}`
  if (measured === undefined) return [what, wanted, '', '']
  const isReached = sign === '>=' ? measured >= aim : measured <= aim
  return [what, wanted, aim < 100 ? ratio(measured) : whole(measured), isReached ? 'yes' : '**no**']
}

const whole = (value: number) => Math.round(value).toLocaleString('en')
const ratio = (value?: number) => value === undefined ? '' : value.toFixed(2)
const megabytes = (bytes: number) => whole(bytes / 2 ** 20)
const spread = ({ min, max }: Spread) => `${whole(min)}-${whole(max)}`

function chart (name: string, what: string): string {
  return `![${what}](../bench/results/${name}.svg)`
}

function table (head: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** The whole page with the current figures. */
export function renderPerformance (): string {
  return readFileSync(page, 'utf8').replace(/(<!-- figures: (\w+) -->\n)[^]*?(<!-- end -->)/g,
    (_, begin: string, name: string, end: string) => `${begin}\n${sections[name]()}\n\n${end}`)
}

if (import.meta.main) writeFileSync(page, renderPerformance())
