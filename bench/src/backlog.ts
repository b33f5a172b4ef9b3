/** A backlog of events for the processor to work off: the same bytes every time, whoever reads them. */
import type { Admin } from '@platformatic/kafka'
import type { EventLog, ProducedRecord } from 'relay-common'

export interface Backlog {
  readonly topic: string
  readonly events: number
  readonly devices: number
  readonly partitions: number
  /** event time between two readings of a device, in ms; default: a second */
  readonly intervalMs?: number
  /** event time of the first readings; default: the same for every backlog, so that every run has the same bytes */
  readonly startMs?: number
  /** number of the first device; default: 0 */
  readonly firstDevice?: number
  /** share of the readings that come late, by anything up to `LATE_MAX_MS`; default: none */
  readonly lateShare?: number
}

/** what a topic's batches are compressed with */
export const compressions = ['none', 'lz4', 'zstd', 'snappy', 'gzip'] as const
export type Compression = typeof compressions[number]

export const START_MS = Date.parse('2026-01-05T00:00:00Z')
const LATE_MAX_MS = 30 * 86_400_000
const RETENTION_MS = 30 * 86_400_000
const TYPES = ['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL']
/** records that are sent together; a partition's share of them is a batch */
const BATCH = 20_000

/**
 * Makes a topic whose batches lie compressed at the broker: it takes them as they come and compresses them itself, so
 * that the events, and the batches that they share, are the same for every codec.
 */
export async function createTopic (
  admin: Admin, { topic, partitions }: Backlog, compression: Compression
): Promise<void> {
  await admin.createTopics({
    topics: [topic],
    partitions,
    replicas: 1,
    configs: [
      { name: 'compression.type', value: compression === 'none' ? 'uncompressed' : compression },
      { name: 'retention.ms', value: String(RETENTION_MS) }
    ]
  })
}

/** Fills a topic with what a fleet sends whose devices all report at the same pace, in the order of sending. */
export async function fillBacklog (eventLog: EventLog, backlog: Backlog): Promise<void> {
  const { topic, partitions } = backlog
  await eventLog.ensureTopic({ name: topic, partitions, retentionMs: RETENTION_MS, replicationFactor: -1 })
  const producer = await eventLog.openProducer()
  try {
    let sending = Promise.resolve() // the next batch is made while one is on its way
    for (const records of makeBatches(backlog)) {
      await sending
      sending = producer.send(topic, records)
      sending.catch(() => {}) // awaited above, or below
    }
    await sending
  } finally {
    await producer.close()
  }
}

/** The records of a backlog, in the order of sending, as many together as are sent together. */
export function * makeBatches (backlog: Backlog): Generator<ProducedRecord[]> {
  const { events, devices, intervalMs = 1000, startMs = START_MS, firstDevice = 0, lateShare = 0 } = backlog
  const fleet = Array.from({ length: devices }, (_, index) => {
    const n = firstDevice + index
    const id = `device-${String(n).padStart(6, '0')}`
    const zone = `Zone ${String.fromCharCode(65 + n % 10)}`
    return { id, eventStart: `{"deviceId":"${id}","deviceType":"${TYPES[n % TYPES.length]}","zone":"${zone}","value":` }
  })
  let records: ProducedRecord[] = []
  for (let round = 0, sent = 0; sent < events; round++) {
    const roundMs = startMs + Math.floor(round * intervalMs)
    const timestamp = new Date(roundMs).toISOString()
    for (let n = 0; n < devices && sent < events; n++, sent++) {
      const { id, eventStart } = fleet[n]
      // two readings of one device in one millisecond differ: the same value would be a resend
      const value = Math.round(200 + 50 * Math.sin(roundMs / 300_000 + n) + (round + n) % 7) / 10
      const time = isLate(sent, lateShare) ? new Date(roundMs - latenessMs(sent)).toISOString() : timestamp
      records.push({ key: id, value: `${eventStart}${value},"timestamp":"${time}"}` })
      if (records.length === BATCH) {
        yield records
        records = []
      }
    }
  }
  if (records.length > 0) yield records
}

/** Spread evenly, by the fractions of multiples of the golden ratio: without a pattern, and the same every time. */
const spread = (n: number, ratio: number) => (n * ratio) % 1
const isLate = (n: number, share: number) => share > 0 && spread(n, 0.6180339887498949) < share
const latenessMs = (n: number) => Math.ceil(spread(n, 0.7548776662466927) * LATE_MAX_MS)

/** Where each partition of a topic ends. */
export async function readEnds (eventLog: EventLog, topic: string): Promise<ReadonlyMap<number, bigint>> {
  return new Map((await eventLog.readOffsets(topic)).map(it => [it.partition, it.endOffset]))
}
