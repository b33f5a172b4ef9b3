/**
 * The processor on a backlog, compared with its peers: the distribution's consumer benchmark, which reads the same
 * records and drops them, and a Kafka Streams topology with the same windows, in its lightest form and exactly once.
 * One run, one broker, one topic per codec; repeats are interleaved in rotating order, so that nobody always comes
 * first.
 */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

import { compressions, createTopic, fillBacklog, type Backlog, type Compression } from './backlog.ts'
import { drawBars } from './chart.ts'
import { runConsumerBenchmark } from './consumer-benchmark.ts'
import { buildKafkaStreams, runKafkaStreams } from './kafka-streams.ts'
import { runProcessor } from './relay-processor.ts'
import { readCircumstances, writeResults } from './results.ts'
import {
  CONSUMER_BENCHMARK, KAFKA_STREAMS, KAFKA_STREAMS_EXACTLY_ONCE, RELAY_PROCESSOR, summarise, type Run, type RunSummary
} from './run.ts'
import { openServers, type BenchServers } from './servers.ts'

export interface ProcessorBenchOptions {
  readonly events: number
  readonly devices: number
  readonly partitions: number
  readonly repeats: number
  readonly compression: readonly Compression[]
  /** short: figures are a hint, and stored elsewhere */
  readonly quick?: boolean
  /** with Kafka Streams, which takes most of the time */
  readonly streams: boolean
  /** with the Kafka Streams that has the guarantee of Relay, too */
  readonly exactlyOnce: boolean
  readonly cpuProf?: string
}

/** All runs over one topic. */
export interface CompressionResult {
  readonly compression: Compression
  /** on disk, including keys and framing */
  readonly bytesPerEvent: number
  readonly summary: readonly RunSummary[]
  /** events/s of Relay relative to a peer, medians while reading, and from the start of the process */
  readonly ratios: { readonly [peer: string]: { readonly reading: number, readonly fromStart: number } }
  readonly runs: readonly Run[]
}

export interface ProcessorResult {
  readonly backlog: Omit<Backlog, 'topic'>
  readonly compressions: readonly CompressionResult[]
}

type Peer = (n: string) => Promise<Run>

/**
 * Runs the benchmark, prints its tables, and stores them with charts: `processor`, or `compression` for several codecs.
 */
export async function benchProcessor (options: ProcessorBenchOptions): Promise<void> {
  const circumstances = await readCircumstances(options.quick ?? false)
  const jars = options.streams ? await buildKafkaStreams() : undefined
  await using servers = await openServers()
  const { events, devices, partitions } = options
  const results: CompressionResult[] = []
  for (const compression of options.compression) {
    const backlog = { topic: `iot-events-${compression}`, events, devices, partitions }
    results.push(await runAll(servers, backlog, compression, options, jars))
    await servers.admin.deleteTopics({ topics: [backlog.topic] })
  }
  const result: ProcessorResult = { backlog: { events, devices, partitions }, compressions: results }
  const name = results.length === 1 ? 'processor' : 'compression'
  await writeResults(name, circumstances, result, await drawCharts(name, result))
}

async function runAll (
  servers: BenchServers, backlog: Backlog, compression: Compression, options: ProcessorBenchOptions, jars?: string
): Promise<CompressionResult> {
  const { cpuProf } = options
  console.log(`\nfilling ${backlog.topic} with ${whole(backlog.events)} events of ${whole(backlog.devices)} devices …`)
  await createTopic(servers.admin, backlog, compression)
  await fillBacklog(servers.eventLog, backlog)
  const bytes = await readTopicBytes(join(servers.folder, 'kafka', 'log'), backlog.topic)

  const peers: Peer[] = [
    n => runConsumerBenchmark(servers, backlog, `consumer-${compression}-${n}`),
    n => runProcessor(servers, backlog, { name: `relay_${compression}_${n}`, cpuProf })
  ]
  const runStreams = (n: string, guarantee: 'none' | 'exactly-once') =>
    runKafkaStreams(servers, backlog, `streams-${guarantee}-${compression}-${n}`, jars!, guarantee)
  if (jars) peers.push(n => runStreams(n, 'none'))
  if (jars && options.exactlyOnce) peers.push(n => runStreams(n, 'exactly-once'))
  await peers[0]('warm') // then the files are in memory, and the code of the broker is compiled

  const runs: Run[] = []
  for (let n = 0; n < options.repeats; n++) {
    for (let turn = 0; turn < peers.length; turn++) {
      const run = await peers[(n + turn) % peers.length](String(n))
      console.log(describe(run))
      runs.push(run)
    }
  }
  const summary = [CONSUMER_BENCHMARK, RELAY_PROCESSOR, KAFKA_STREAMS, KAFKA_STREAMS_EXACTLY_ONCE]
    .map(who => runs.filter(it => it.who === who)).filter(it => it.length > 0).map(summarise)
  const relay = summary.find(it => it.who === RELAY_PROCESSOR)!
  const ratios = Object.fromEntries(summary.filter(it => it !== relay).map(it => [it.who, {
    reading: relay.readingEventsPerSecond.median / it.readingEventsPerSecond.median,
    fromStart: relay.eventsPerSecond.median / it.eventsPerSecond.median
  }]))
  printSummary(summary, ratios)
  return { compression, bytesPerEvent: bytes / backlog.events, summary, ratios, runs }
}

/** Size of a topic's segments on disk: the broker's log folder has one folder per partition. */
async function readTopicBytes (logFolder: string, topic: string): Promise<number> {
  let bytes = 0
  for (const partition of (await readdir(logFolder)).filter(it => new RegExp(`^${topic}-\\d+$`).test(it))) {
    for (const file of (await readdir(join(logFolder, partition))).filter(it => it.endsWith('.log'))) {
      bytes += (await stat(join(logFolder, partition, file))).size
    }
  }
  return bytes
}

const whole = (value: number) => Math.round(value).toLocaleString('en')

function describe (run: Run): string {
  return `  ${run.who.padEnd(27)} ${whole(run.readingEventsPerSecond).padStart(10)} events/s reading, ` +
    `${whole(run.eventsPerSecond).padStart(10)} from its start; CPU us/event ${run.cpuUsPerEvent.toFixed(2)}, ` +
    `PostgreSQL ${run.postgresCpuUsPerEvent.toFixed(2)}, broker ${run.brokerCpuUsPerEvent.toFixed(2)}; ` +
    `${Math.round(run.memoryMaxMb)} MB`
}

function printSummary (summary: readonly RunSummary[], ratios: CompressionResult['ratios']): void {
  console.log(`\nmedian of ${summary[0].runs}`)
  console.table(summary.map(it => ({
    who: it.who,
    'events/s reading': whole(it.readingEventsPerSecond.median),
    spread: `${whole(it.readingEventsPerSecond.min)}-${whole(it.readingEventsPerSecond.max)}`,
    'from its start': whole(it.eventsPerSecond.median),
    'CPU us/event': it.cpuUsPerEvent.median.toFixed(2),
    PostgreSQL: it.postgresCpuUsPerEvent.median.toFixed(2),
    broker: it.brokerCpuUsPerEvent.median.toFixed(2),
    'peak MB': Math.round(it.memoryMaxMb.max)
  })))
  for (const [peer, { reading, fromStart }] of Object.entries(ratios)) {
    console.log(`ratio to ${peer}: ${reading.toFixed(2)} reading, ${fromStart.toFixed(2)} from its start`)
  }
}

async function drawCharts (name: string, { backlog, compressions }: ProcessorResult): Promise<Record<string, string>> {
  const subtitle =
    `${whole(backlog.events)} events of ${whole(backlog.devices)} devices; median, and spread of single runs`
  const isOne = compressions.length === 1
  const bars = (of: 'readingEventsPerSecond' | 'cpuUsPerEvent') => compressions.flatMap(({ compression, summary }) =>
    summary.map(it => ({
      label: isOne ? it.who : compression,
      group: isOne ? undefined : it.who,
      value: it[of].median,
      min: it[of].min,
      max: it[of].max
    })))
  return {
    [`${name}-rate`]: await drawBars(
      'A backlog, read to its end', subtitle, 'events/s while reading', bars('readingEventsPerSecond'), '.3~s'),
    [`${name}-cpu`]: await drawBars(
      'CPU of the reading process', subtitle, 'us/event, start-up included', bars('cpuUsPerEvent'), '.2f')
  }
}

/** `none,lz4` from the command line. @throws if one is unknown */
export function readCompressions (text: string): Compression[] {
  return text.split(',').map(it => {
    const known = compressions.find(name => name === it)
    if (!known) throw new Error(`compression is one of ${compressions.join(', ')}, not ${it}`)
    return known
  })
}
