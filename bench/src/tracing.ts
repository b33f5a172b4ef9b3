/**
 * What tracing costs: the same work with and without a collector, in turn. The processor reads a backlog in which one
 * device in a hundred is traced, as by default; the API is asked at a steady rate, and sent single events.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import { putLoad } from './api-load.ts'
import { headers, startApi, type ApiServer } from './api-server.ts'
import { createTopic, fillBacklog, makeBatches, START_MS, type Backlog } from './backlog.ts'
import { sendByHttp } from './ingest-load.ts'
import { readUsage } from './process-usage.ts'
import { runProcessor } from './relay-processor.ts'
import { readCircumstances, writeResults } from './results.ts'
import { spreadOf, type Spread } from './run.ts'
import { openServers, type BenchServers } from './servers.ts'

export interface TracingBenchOptions {
  readonly events: number
  readonly repeats: number
  readonly quick?: boolean
}

export interface TracingCase {
  readonly what: string
  readonly unit: string
  readonly off: Spread
  readonly on: Spread
  /** medians: with tracing over without */
  readonly ratio: number
}

export interface TracingResult {
  readonly cases: readonly TracingCase[]
  /** spans that arrived at the collector */
  readonly spans: number
}

const DEVICES = 1_000
const PARTITIONS = 8
const TRACED_SHARE = 0.01
const REQUESTS_PER_SECOND = 1_000
const CONNECTIONS = 10
const ASKED_S = 10
const SINGLE_EVENTS = 20_000

/** Figures of one run, by what they are of. */
type Figures = Readonly<Record<string, { readonly unit: string, readonly value: number }>>

/** Runs the benchmark, prints a table and stores it in `bench/results/tracing.json`. */
export async function benchTracing ({ events, repeats, quick = false }: TracingBenchOptions): Promise<void> {
  const circumstances = await readCircumstances(quick)
  await using servers = await openServers()
  await using collector = await openCollector()
  const backlog: Backlog = { topic: 'tracing', events, devices: DEVICES, partitions: PARTITIONS, traced: TRACED_SHARE }
  await createTopic(servers.admin, backlog, 'none')
  await fillBacklog(servers.eventLog, backlog)

  const runs = { off: [] as Figures[], on: [] as Figures[] }
  for (let n = -1; n < repeats; n++) { // the first round warms up
    for (const way of n % 2 === 0 ? ['off', 'on'] as const : ['on', 'off'] as const) {
      const environment: Record<string, string> = way === 'on' ? { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url } : {}
      const figures = await runOnce(servers, backlog, `${way}_${n + 1}`, environment)
      if (n >= 0) runs[way].push(figures)
    }
  }
  const cases = Object.entries(runs.off[0]).map(([what, { unit }]): TracingCase => {
    const spread = (of: readonly Figures[]) => spreadOf(of.map(it => it[what].value))
    const [off, on] = [spread(runs.off), spread(runs.on)]
    return { what, unit, off, on, ratio: on.median / off.median }
  })
  if (collector.spans === 0) throw new Error('no span arrived at the collector')
  console.table(cases.map(({ what, unit, off, on, ratio }) => ({
    what, unit, off: off.median.toPrecision(4), on: on.median.toPrecision(4), 'on/off': ratio.toFixed(3)
  })))
  await writeResults('tracing', circumstances, { cases, spans: collector.spans } satisfies TracingResult, {})
}

async function runOnce (
  servers: BenchServers, backlog: Backlog, name: string, environment: Record<string, string>
): Promise<Figures> {
  const processor = await runProcessor(servers, backlog, { name, environment })
  const bootstrapServers = servers.kafka.bootstrapServers
  await using api = await startApi(servers.postgres.url(name), {
    ...environment,
    EVENT_LOG: 'kafka',
    KAFKA_BOOTSTRAP_SERVERS: bootstrapServers,
    EVENTS_TOPIC: 'tracing-ingest',
    INGEST_BYTES_PER_MINUTE_MAX: String(2 ** 31 - 1)
  })
  return {
    'processor, a backlog: rate': { unit: 'events/s', value: processor.readingEventsPerSecond },
    'processor, a backlog: CPU': { unit: 'us/event', value: processor.readingCpuUsPerEvent },
    ...await ask(api, backlog),
    ...await send(servers, api)
  }
}

/** A device's hour, at a steady rate. */
async function ask (api: ApiServer, { events, devices }: Backlog): Promise<Figures> {
  const endMs = START_MS + Math.floor(events / devices) * 1_000
  const range = `startTime=${new Date(endMs - 3_600_000).toISOString()}&endTime=${new Date(endMs).toISOString()}`
  const paths = Array.from({ length: 100 }, (_, n) => `/api/events/device/device-${String(n).padStart(6, '0')}?${range}`)
  const load = { url: api.url, headers, paths, connections: CONNECTIONS, rate: REQUESTS_PER_SECOND }
  await putLoad({ ...load, seconds: 2 })
  const before = await readUsage(api.pid)
  const { p50Ms, p99Ms, errors } = await putLoad({ ...load, seconds: ASKED_S })
  const { cpuSeconds } = await readUsage(api.pid)
  if (errors > 0) throw new Error(`${errors} requests failed`)
  const cpuUs = (cpuSeconds - before.cpuSeconds) / (REQUESTS_PER_SECOND * ASKED_S) * 1e6
  return {
    'API, a device\'s hour: p50': { unit: 'ms', value: p50Ms },
    'API, a device\'s hour: p99': { unit: 'ms', value: p99Ms },
    'API, a device\'s hour: CPU': { unit: 'us/request', value: cpuUs }
  }
}

/** Single events, of which a hundredth is traced by the API itself. */
async function send ({ eventLog }: BenchServers, api: ApiServer): Promise<Figures> {
  const topic = 'tracing-ingest'
  await eventLog.ensureTopic({ name: topic, partitions: PARTITIONS, retentionMs: 86_400_000, replicationFactor: -1 })
  const [records] = makeBatches({
    topic, events: 1_000, devices: DEVICES, partitions: PARTITIONS, startMs: Date.now() - 10_000
  })
  const token = headers.authorization.replace('Bearer ', '')
  const bodies = records.slice(0, 100).map(it => it.value as string)
  const load = { url: api.url, token, contentType: 'application/json', bodies, connections: 50 }
  await sendByHttp({ ...load, amount: SINGLE_EVENTS / 10 })
  const before = await readUsage(api.pid)
  const seconds = await sendByHttp({ ...load, amount: SINGLE_EVENTS })
  const { cpuSeconds } = await readUsage(api.pid)
  return {
    'API, one event a body: rate': { unit: 'events/s', value: SINGLE_EVENTS / seconds },
    'API, one event a body: CPU': { unit: 'us/event', value: (cpuSeconds - before.cpuSeconds) / SINGLE_EVENTS * 1e6 }
  }
}

/** Takes spans, as a collector does, and only counts them. */
async function openCollector () {
  const collector = { url: '', spans: 0, [Symbol.asyncDispose]: async () => {} }
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    collector.spans += Buffer.concat(chunks).toString().split('"spanId"').length - 1
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  collector.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  collector[Symbol.asyncDispose] = async () => {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
  return collector
}
