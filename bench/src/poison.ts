/**
 * A flood of poison: a topic without a valid event, from the first claim of a processor to its last commit. Each record
 * becomes a dead letter, durable in Kafka before progress moves.
 */
import type { EventLog, ProducedRecord } from 'relay-event-log'

import { Fleet } from '../../relay-simulator/src/fleet.ts'
import { poisonAt, poisonKinds } from '../../relay-simulator/src/poison.ts'
import { readEnds } from './backlog.ts'
import { readUsage } from './process-usage.ts'
import { startProgram } from './program.ts'
import { watchProgress } from './progress-watch.ts'
import { processorEnvironment } from './relay-processor.ts'
import { readCircumstances, writeResults } from './results.ts'
import { openServers } from './servers.ts'

export interface PoisonBenchOptions {
  readonly records: number
  readonly quick?: boolean
  readonly cpuProf?: string
}

export interface PoisonResult {
  readonly records: number
  readonly kinds: number
  readonly recordsPerSecond: number
  /** of the processor while it reads */
  readonly cpuUsPerRecord: number
  readonly memoryMaxMb: number
}

const TOPIC = 'iot-events'
const DEAD_LETTERS_TOPIC = 'iot-events.dead-letters'
const BATCH = 20_000
/** larger kinds are rare, and would measure the disk instead of the processor */
const VALUE_BYTES_MAX = 4 * 1024

/** Runs the benchmark, prints its figures and stores them as `poison`. */
export async function benchPoison ({ records, quick, cpuProf }: PoisonBenchOptions): Promise<void> {
  const circumstances = await readCircumstances(quick ?? false)
  await using servers = await openServers()
  const kinds = await fillWithPoison(servers.eventLog, records)

  const database = await servers.openDatabase('poison')
  await using opened = new AsyncDisposableStack()
  opened.defer(() => database.close())
  const watch = opened.use(await watchProgress(database))
  const ended = watch.reached(await readEnds(servers.eventLog, TOPIC))
  const processor = opened.use(startProgram(
    'processor', { environment: processorEnvironment(servers, 'poison', TOPIC), cpuProf }
  ))

  const claimedMs = await Promise.race([processor.failed, watch.claimed])
  const atClaim = await readUsage(processor.pid)
  const endedMs = await Promise.race([processor.failed, ended])
  const atEnd = await readUsage(processor.pid)
  await processor.end()

  const [{ startOffset, endOffset }] = await servers.eventLog.readOffsets(DEAD_LETTERS_TOPIC)
  const letters = Number(endOffset - startOffset)
  if (letters !== records) throw new Error(`${records} records of poison became ${letters} dead letters`)
  const result: PoisonResult = {
    records,
    kinds,
    recordsPerSecond: records / (endedMs - claimedMs) * 1000,
    cpuUsPerRecord: (atEnd.cpuSeconds - atClaim.cpuSeconds) / records * 1e6,
    memoryMaxMb: atEnd.memoryMaxBytes / 2 ** 20
  }
  console.log(`${records.toLocaleString('en')} records of ${kinds} kinds of poison: ` +
    `${Math.round(result.recordsPerSecond).toLocaleString('en')} records/s, ` +
    `${result.cpuUsPerRecord.toFixed(2)} us of CPU a record, ${Math.round(result.memoryMaxMb)} MB`)
  await writeResults('poison', circumstances, result, {})
}

/** Fills a topic with poison of all kinds in rotation. @returns the number of kinds */
async function fillWithPoison (eventLog: EventLog, records: number): Promise<number> {
  await eventLog.ensureTopic({ name: TOPIC, partitions: 8, retentionMs: 86_400_000, replicationFactor: -1 })
  const { devices } = new Fleet({ devices: 100, zones: 10, rate: 1, seed: 1 })
  const nowMs = Date.now()
  const poison: ProducedRecord[][] = devices.map(device => poisonKinds
    .map((_, index) => poisonAt(device, nowMs, (index + 0.5) / poisonKinds.length))
    .filter(it => (it.value?.length ?? 0) <= VALUE_BYTES_MAX))
  const kinds = poison[0].length
  const producer = await eventLog.openProducer()
  try {
    for (let sent = 0; sent < records; sent += BATCH) {
      const length = Math.min(BATCH, records - sent)
      await producer.send(TOPIC, Array.from({ length }, (_, n) =>
        poison[(sent + n) % poison.length][Math.floor((sent + n) / poison.length) % kinds]))
    }
  } finally {
    await producer.close()
  }
  return kinds
}
