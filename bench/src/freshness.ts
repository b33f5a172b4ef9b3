/**
 * From produce to visible, measured from outside: a steady load, and a few probe devices whose values are a counter.
 * The API is queried over HTTP for the highest value of each, which shows the readings that have arrived.
 *
 * Probes are sent by the clock, whatever happens to earlier ones, so a stall shows in all probes that it delays.
 */
import { setTimeout as delay } from 'node:timers/promises'

import getPort from 'get-port'
import type { EventProducer } from 'relay-event-log'

import { createTopic } from './backlog.ts'
import { colours, drawChart } from './chart.ts'
import { startProgram } from './program.ts'
import { processorEnvironment } from './relay-processor.ts'
import { readCircumstances, writeResults } from './results.ts'
import { openServers } from './servers.ts'

export interface FreshnessOptions {
  readonly rate: number
  readonly devices: number
  readonly seconds: number
  readonly quick?: boolean
}

export interface FreshnessResult {
  readonly rate: number
  readonly devices: number
  readonly seconds: number
  /** actual rate of the load */
  readonly sentPerSecond: number
  readonly probes: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** 503 answers of the API, when it is overloaded */
  readonly unavailable: number
  /** latency by percentile of the probes, in ms */
  readonly percentiles: readonly number[]
}

/** one client sends as many requests as hundreds would */
export const UNLIMITED = { RATE_LIMIT_ADDRESS_MAX: '1000000', RATE_LIMIT_PRINCIPAL_MAX: '1000000' }
export const TOPIC = 'iot-events'
const DATABASE = 'freshness'
export const TOKEN = 'bench'
const PARTITIONS = 8
const PROBES = 4
const PROBE_INTERVAL_MS = 100
/** an answer only shows that a reading arrived since the last one: the error is at most this, to our disadvantage */
const POLL_INTERVAL_MS = 20
const LOAD_INTERVAL_MS = 20
/** the first seconds are a cold start */
const WARM_UP_MS = 5_000
const ARRIVAL_LIMIT_MS = 60_000

/** Runs the benchmark, prints its figures, and stores them with a chart as `freshness`. */
export async function benchFreshness ({ rate, devices, seconds, quick = false }: FreshnessOptions): Promise<void> {
  const circumstances = await readCircumstances(quick)
  await using servers = await openServers()
  await createTopic(servers.admin, { topic: TOPIC, events: 0, devices, partitions: PARTITIONS }, 'none')
  const database = await servers.openDatabase(DATABASE)
  await database.close()
  const environment = processorEnvironment(servers, DATABASE, TOPIC)
  const port = await getPort({ host: '127.0.0.1' })
  await using processor = startProgram('processor', { environment })
  await using api = startProgram('api', {
    environment: { ...environment, ...UNLIMITED, API_PORT: String(port), METRICS_PORT: '0', API_TOKENS: TOKEN }
  })
  await Promise.all([processor.ready, api.ready])
  const producer = await servers.eventLog.openProducer()
  try {
    console.log(`${rate.toLocaleString('en')} events/s of ${devices.toLocaleString('en')} devices for ${seconds} s …`)
    const measuring = measure(producer, `http://127.0.0.1:${port}`, rate, devices, seconds * 1000)
    const { latenciesMs, sentPerSecond, unavailable } = await Promise.race([measuring, processor.failed, api.failed])
    const sorted = latenciesMs.toSorted((a, b) => a - b)
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
    const result: FreshnessResult = {
      rate,
      devices,
      seconds,
      sentPerSecond,
      probes: sorted.length,
      p50Ms: at(0.5),
      p90Ms: at(0.9),
      p99Ms: at(0.99),
      maxMs: sorted.at(-1)!,
      unavailable,
      percentiles: Array.from({ length: 101 }, (_, n) => at(n / 100))
    }
    const { percentiles, ...figures } = result
    console.table([Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Math.round(value)]))])
    await writeResults('freshness', circumstances, result, { freshness: await draw(result) })
  } finally {
    await producer.close()
  }
}

interface Probe {
  readonly id: string
  /** when each reading was passed to the producer, by value */
  readonly sentMs: number[]
  /** readings seen in an answer */
  seen: number
  readonly latenciesMs: number[]
  unavailable: number
}

async function measure (producer: EventProducer, api: string, rate: number, devices: number, measureMs: number) {
  const probes = Array.from({ length: PROBES }, (_, n): Probe =>
    ({ id: `probe-${n}`, sentMs: [], seen: 0, latenciesMs: [], unavailable: 0 }))
  const startedMs = performance.now()
  const untilMs = startedMs + WARM_UP_MS + measureMs
  const range = {
    startTime: new Date(Date.now() - 60_000).toISOString(),
    endTime: new Date(Date.now() + WARM_UP_MS + measureMs + ARRIVAL_LIMIT_MS).toISOString()
  }
  const load = sendLoad(producer, rate, devices, untilMs)
  await Promise.all([load, ...probes.flatMap((probe, n) => {
    const offsetMs = n / PROBES * PROBE_INTERVAL_MS // one after the other, not all at once
    return [sendProbes(producer, probe, startedMs + offsetMs, untilMs), poll(api, probe, range, untilMs)]
  })])
  const warm = (probe: Probe, n: number) => probe.sentMs[n] >= startedMs + WARM_UP_MS
  return {
    latenciesMs: probes.flatMap(probe => probe.latenciesMs.filter((_, n) => warm(probe, n))),
    unavailable: probes.reduce((sum, it) => sum + it.unavailable, 0),
    sentPerSecond: await load / (WARM_UP_MS + measureMs) * 1000
  }
}

/**
 * Sends readings of probe devices and queries them.
 * @returns their number, and the time of each from produce to visible, in ms
 */
export async function measureProbes (
  producer: EventProducer, api: string, measureMs: number
): Promise<number[]> {
  const probes = Array.from({ length: PROBES }, (_, n): Probe =>
    ({ id: `probe-${n}`, sentMs: [], seen: 0, latenciesMs: [], unavailable: 0 }))
  const startedMs = performance.now()
  const untilMs = startedMs + measureMs
  const range = {
    startTime: new Date(Date.now() - 60_000).toISOString(),
    endTime: new Date(Date.now() + measureMs + ARRIVAL_LIMIT_MS).toISOString()
  }
  await Promise.all(probes.flatMap((probe, n) => {
    const offsetMs = n / PROBES * PROBE_INTERVAL_MS
    return [sendProbes(producer, probe, startedMs + offsetMs, untilMs), poll(api, probe, range, untilMs)]
  }))
  return probes.flatMap(it => it.latenciesMs)
}

/** @returns the number of sent events */
async function sendLoad (producer: EventProducer, rate: number, devices: number, untilMs: number): Promise<number> {
  const startedMs = performance.now()
  const sending = new Set<Promise<void>>()
  let sent = 0
  for (let nowMs = startedMs; nowMs < untilMs; nowMs = performance.now()) {
    const due = Math.floor((nowMs - startedMs) / 1000 * rate)
    const timestamp = new Date().toISOString()
    const records = []
    for (; sent < due; sent++) {
      const n = sent % devices
      const value = Math.round(200 + 50 * Math.sin(sent / 1e6 + n)) / 10
      records.push(reading(`device-${String(n).padStart(6, '0')}`, n, value, timestamp))
    }
    const batch = producer.send(TOPIC, records).finally(() => sending.delete(batch))
    sending.add(batch)
    batch.catch(() => {}) // reported below
    await delay(LOAD_INTERVAL_MS)
  }
  await Promise.all(sending)
  return sent
}

function reading (deviceId: string, n: number, value: number, timestamp: string) {
  const zone = `Zone ${String.fromCharCode(65 + n % 10)}`
  return { key: deviceId, value: JSON.stringify({ deviceId, deviceType: 'THERMOSTAT', zone, value, timestamp }) }
}

async function sendProbes (producer: EventProducer, probe: Probe, startMs: number, untilMs: number): Promise<void> {
  const sending: Array<Promise<void>> = []
  for (let n = 0, dueMs = startMs; dueMs < untilMs; n++, dueMs = startMs + n * PROBE_INTERVAL_MS) {
    await delay(Math.max(0, dueMs - performance.now()))
    const record = reading(probe.id, 0, n, new Date().toISOString())
    probe.sentMs.push(performance.now())
    const sent = producer.send(TOPIC, [record])
    sent.catch(() => {}) // reported below
    sending.push(sent)
  }
  await Promise.all(sending)
}

/** Queries until all readings of a probe were seen. Values count from 0, so the highest one is their number. */
async function poll (
  api: string, probe: Probe, range: Readonly<Record<'startTime' | 'endTime', string>>, untilMs: number
): Promise<void> {
  const url = `${api}/api/events/device/${probe.id}?${new URLSearchParams(range)}`
  while (performance.now() < untilMs || probe.seen < probe.sentMs.length) {
    if (performance.now() > untilMs + ARRIVAL_LIMIT_MS) {
      const missing = probe.sentMs.length - probe.seen
      throw new Error(`${missing} readings of ${probe.id} did not arrive within ${ARRIVAL_LIMIT_MS} ms`)
    }
    const askedMs = performance.now()
    const answer = await fetch(url, { headers: { authorization: `Bearer ${TOKEN}` } })
    const body = await answer.json() as { maxValue: number, count: number }
    const nowMs = performance.now()
    if (answer.ok) {
      for (; probe.seen <= body.maxValue; probe.seen++) probe.latenciesMs.push(nowMs - probe.sentMs[probe.seen])
    } else if (answer.status === 503) { // nothing is visible then either: the clock continues
      probe.unavailable++
    } else if (answer.status !== 404) { // at first there is no data
      throw new Error(`the API answered ${answer.status}: ${JSON.stringify(body)}`)
    }
    await delay(Math.max(0, POLL_INTERVAL_MS - (performance.now() - askedMs)))
  }
}

function draw ({ percentiles, p50Ms, p99Ms, rate, probes }: FreshnessResult): Promise<string> {
  const marks = [{ ms: p50Ms, share: 0.5, name: 'p50' }, { ms: p99Ms, share: 0.99, name: 'p99' }]
    .map(it => ({ ...it, name: `${it.name} ${Math.round(it.ms)} ms` }))
  const atMark = { x: { field: 'ms', type: 'quantitative' }, y: { field: 'share', type: 'quantitative' } } as const
  const subtitle = `${rate.toLocaleString('en')} events/s; ${probes.toLocaleString('en')} readings of probe devices`
  return drawChart({
    title: { text: 'From produce to visible in the API', subtitle },
    width: 520,
    height: 220,
    layer: [
      {
        data: { values: percentiles.map((ms, n) => ({ ms, share: n / 100 })) },
        mark: { type: 'line', color: colours[0], interpolate: 'step-before' },
        encoding: {
          x: { field: 'ms', type: 'quantitative', title: 'ms, up to', scale: { zero: true } },
          y: { field: 'share', type: 'quantitative', title: 'share of the readings', axis: { format: '.0%' } }
        }
      },
      {
        data: { values: marks },
        mark: { type: 'point', color: colours[1], filled: true, size: 70 },
        encoding: atMark
      },
      {
        data: { values: marks },
        mark: { type: 'text', align: 'right', dx: -8, dy: -8 },
        encoding: { ...atMark, text: { field: 'name' } }
      }
    ]
  })
}
