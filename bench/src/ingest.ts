/**
 * Ingest up to the durable acknowledgement: single events and 1,000 per body over HTTP, and MQTT with QoS 1, compared
 * with a bare Fastify that writes the same bytes to the same Kafka. Runs alternate. Every acknowledged event is counted
 * in the log.
 */
import getPort from 'get-port'
import type { EventLog } from 'relay-event-log'

import { makeBatches, readEnds } from './backlog.ts'
import { drawBars } from './chart.ts'
import { sendByHttp, sendByMqtt } from './ingest-load.ts'
import { readUsage } from './process-usage.ts'
import { startProgram, type BenchProgram } from './program.ts'
import { readCircumstances, writeResults } from './results.ts'
import { spreadOf, type Spread } from './run.ts'
import { openServers, type BenchServers } from './servers.ts'

export interface IngestBenchOptions {
  readonly repeats: number
  /** events over HTTP one by one, and over MQTT; ten times as many in bodies of 1,000 */
  readonly events: number
  readonly only?: string
  readonly quick?: boolean
  readonly cpuProf?: string
}

export type IngestWay = 'HTTP, one event a body' | 'HTTP, 1,000 events a body' | 'MQTT, QoS 1'

export interface IngestCase {
  readonly way: IngestWay
  /** the same bodies; MQTT is compared with one event per body */
  readonly relay: IngestFigures
  readonly bare: IngestFigures
  /** events/s over those of the bare server */
  readonly rateRatio: number
  /** CPU of the bare server over Relay's */
  readonly cpuRatio: number
}

export interface IngestFigures {
  readonly eventsPerSecond: Spread
  /** of the server, without the broker */
  readonly cpuUsPerEvent: Spread
  readonly brokerCpuUsPerEvent: Spread
}

export interface IngestResult {
  readonly events: number
  readonly eventBytes: number
  readonly cases: readonly IngestCase[]
}

const TOPIC = 'iot-events'
const TOKEN = 'token-of-the-benchmark'
const PARTITIONS = 8
const DEVICES = 1_000
const BODY_EVENTS = 1_000
const BODIES = 16
/** each connection prepares all of them */
const SINGLE_BODIES = 100
const CONNECTIONS = 50
/** as many events as in the other ways would wait in far more memory */
const BODY_CONNECTIONS = 8
const MQTT_CONNECTIONS = 20
/** One caller sends everything here. */
const UNLIMITED = String(2 ** 31 - 1)

interface Target {
  readonly program: BenchProgram
  readonly url: string
}

interface Run {
  readonly eventsPerSecond: number
  readonly cpuUsPerEvent: number
  readonly brokerCpuUsPerEvent: number
}

/** Sends a number of events to a server. @returns the time, in s */
type Send = (events: number) => Promise<number>

/** Runs the benchmark, prints a table and stores it in `bench/results/ingest.json`. */
export async function benchIngest (options: IngestBenchOptions): Promise<void> {
  const { events, repeats } = options
  const circumstances = await readCircumstances(options.quick === true || options.only !== undefined)
  await using servers = await openServers()
  await using opened = new AsyncDisposableStack()
  await servers.eventLog.ensureTopic({
    name: TOPIC, partitions: PARTITIONS, retentionMs: 86_400_000, replicationFactor: -1
  })
  const mqttPort = await getPort({ host: '127.0.0.1' })
  const api = await startTarget('api', servers, mqttPort, options.cpuProf)
  opened.use(api.program)
  const bare = await startTarget('bare-ingest', servers, mqttPort)
  opened.use(bare.program)

  const startMs = Math.floor(Date.now() / 1000) * 1000 - BODIES * 1000
  const [records] = makeBatches({
    topic: TOPIC, events: BODIES * BODY_EVENTS, devices: DEVICES, partitions: PARTITIONS, startMs
  })
  const lines = records.map(it => it.value as string)
  const bodies = Array.from(
    { length: BODIES }, (_, n) => lines.slice(n * BODY_EVENTS, (n + 1) * BODY_EVENTS).join('\n')
  )
  const one = ({ url }: Target): Send => amount =>
    sendByHttp({
      url,
      token: TOKEN,
      contentType: 'application/json',
      bodies: lines.slice(0, SINGLE_BODIES),
      amount,
      connections: CONNECTIONS
    })
  const many = ({ url }: Target): Send => amount => sendByHttp({
    url,
    token: TOKEN,
    contentType: 'application/x-ndjson',
    bodies,
    amount: amount / BODY_EVENTS,
    connections: BODY_CONNECTIONS
  })
  const byMqtt: Send = amount =>
    sendByMqtt({ port: mqttPort, token: TOKEN, topic: TOPIC, events: lines, amount, connections: MQTT_CONNECTIONS })

  const all: ReadonlyArray<{ way: IngestWay, events: number, relay: Send, bare: Send }> = [
    { way: 'HTTP, one event a body', events, relay: one(api), bare: one(bare) },
    { way: 'HTTP, 1,000 events a body', events: events * 10, relay: many(api), bare: many(bare) },
    { way: 'MQTT, QoS 1', events, relay: byMqtt, bare: one(bare) } // a bare server has no MQTT
  ]
  const ways = all.filter(it => !options.only || it.way.includes(options.only))
  const runs = new Map<string, Run[]>()
  for (let n = -1; n < repeats; n++) { // the first round warms up
    for (const it of ways) {
      const sends = [[`relay ${it.way}`, api, it.relay], [`bare ${it.way}`, bare, it.bare]] as const
      for (const [name, target, send] of n % 2 === 0 ? sends.toReversed() : sends) {
        const run = await measure(send, it.events, target, servers)
        if (n >= 0) runs.set(name, [...runs.get(name) ?? [], run])
      }
    }
  }
  const cases = ways.map(({ way }): IngestCase => {
    const ofRelay = figuresOf(runs.get(`relay ${way}`)!)
    const ofBare = figuresOf(runs.get(`bare ${way}`)!)
    return {
      way,
      relay: ofRelay,
      bare: ofBare,
      rateRatio: ofRelay.eventsPerSecond.median / ofBare.eventsPerSecond.median,
      cpuRatio: ofBare.cpuUsPerEvent.median / ofRelay.cpuUsPerEvent.median
    }
  })
  report(cases)
  const result: IngestResult = { events, eventBytes: Math.round(bodies[0].length / BODY_EVENTS), cases }
  await writeResults('ingest', circumstances, result, { ingest: await drawRatios(cases) })
}

async function startTarget (
  name: 'api' | 'bare-ingest', servers: BenchServers, mqttPort: number, cpuProf?: string
): Promise<Target> {
  const port = await getPort({ host: '127.0.0.1' })
  const database = await servers.openDatabase('ingest')
  await database.close()
  const program = startProgram(name, {
    cpuProf,
    environment: {
      HOST: '127.0.0.1',
      API_PORT: String(port),
      METRICS_PORT: '0',
      DATABASE_URL: servers.postgres.url('ingest'),
      EVENT_LOG: 'kafka',
      KAFKA_BOOTSTRAP_SERVERS: servers.kafka.bootstrapServers,
      EVENTS_TOPIC: TOPIC,
      MQTT_PORT: String(mqttPort),
      API_TOKENS: TOKEN,
      LOG_LEVEL: 'error',
      RATE_LIMIT_PRINCIPAL_MAX: UNLIMITED,
      INGEST_BYTES_PER_MINUTE_MAX: UNLIMITED,
      MQTT_MESSAGES_PER_SECOND_MAX: UNLIMITED,
      MQTT_BYTES_PER_SECOND_MAX: UNLIMITED
    }
  })
  await program.ready
  return { program, url: `http://127.0.0.1:${port}` }
}

async function measure (
  send: Send, events: number, { program }: Target, { kafka, eventLog }: BenchServers
): Promise<Run> {
  const loggedBefore = await countLogged(eventLog)
  const before = await readUsage(program.pid)
  const brokerBefore = await readUsage(kafka.pid)
  const seconds = await Promise.race([send(events), program.failed])
  const after = await readUsage(program.pid)
  const brokerAfter = await readUsage(kafka.pid)
  const logged = await countLogged(eventLog) - loggedBefore
  if (logged !== events) throw new Error(`${events} events were acknowledged, and ${logged} are in the log`)
  return {
    eventsPerSecond: events / seconds,
    cpuUsPerEvent: (after.cpuSeconds - before.cpuSeconds) / events * 1e6,
    brokerCpuUsPerEvent: (brokerAfter.cpuSeconds - brokerBefore.cpuSeconds) / events * 1e6
  }
}

async function countLogged (eventLog: EventLog): Promise<number> {
  return [...(await readEnds(eventLog, TOPIC)).values()].reduce((sum, it) => sum + Number(it), 0)
}

function figuresOf (runs: readonly Run[]): IngestFigures {
  return {
    eventsPerSecond: spreadOf(runs.map(it => it.eventsPerSecond)),
    cpuUsPerEvent: spreadOf(runs.map(it => it.cpuUsPerEvent)),
    brokerCpuUsPerEvent: spreadOf(runs.map(it => it.brokerCpuUsPerEvent))
  }
}

function report (cases: readonly IngestCase[]): void {
  console.table(cases.flatMap(({ way, relay, bare, rateRatio, cpuRatio }) => [
    ['Relay', relay] as const, ['bare', bare] as const
  ].map(([who, it]) => ({
    way,
    who,
    'events/s': Math.round(it.eventsPerSecond.median),
    'CPU us': it.cpuUsPerEvent.median.toFixed(1),
    'broker us': it.brokerCpuUsPerEvent.median.toFixed(1),
    'rate, of bare': who === 'Relay' ? rateRatio.toFixed(2) : '',
    'CPU, of bare': who === 'Relay' ? cpuRatio.toFixed(2) : ''
  }))))
}

function drawRatios (cases: readonly IngestCase[]): Promise<string> {
  return drawBars('Ingest: events a second, over those of a bare server', 'the same bytes into the same Kafka, ' +
    'acknowledged when durable',
  'ratio', cases.map(({ way, rateRatio }) => ({ label: way, value: rateRatio })), '.2f')
}
