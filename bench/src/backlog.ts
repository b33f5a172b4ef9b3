/** A backlog of events for the processor: the same bytes every time, for every reader. */
import type { Admin } from '@platformatic/kafka'
import type { EventLog, ProducedRecord } from 'relay-event-log'

export interface Backlog {
  readonly topic: string
  readonly events: number
  readonly devices: number
  readonly partitions: number
  /** event time between two readings of a device, in ms; default: a second */
  readonly intervalMs?: number
  /** event time of the first readings; default: the same for every backlog, so that runs have the same bytes */
  readonly startMs?: number
  /** number of the first device; default: 0 */
  readonly firstDevice?: number
  /** zones of the devices, in rotation; default: 10 */
  readonly zones?: number
  /** late readings, by up to `LATE_MAX_MS`; default: none */
  readonly late?: Late
  /** share of the devices whose records say that they are traced, as the API writes them; default: none */
  readonly traced?: number
}

export interface Late {
  /** of all readings */
  readonly share: number
  /**
   * `outages`: disconnected devices deliver their readings in order, among those of others; `strays`: any reading of
   * any device, each at another time
   */
  readonly as: 'outages' | 'strays'
}

/** compression of a topic's batches */
export const compressions = ['none', 'lz4', 'zstd', 'snappy', 'gzip'] as const
export type Compression = typeof compressions[number]

export const START_MS = Date.parse('2026-01-05T00:00:00Z')
const LATE_MAX_MS = 30 * 86_400_000
const RETENTION_MS = 30 * 86_400_000
const LETTERS = 26
const TYPES = ['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL']
/** records that are sent together; the share of a partition is a batch */
const BATCH = 20_000

/**
 * Creates a topic whose batches are compressed by the broker, so that events and batches are the same for every codec.
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

/** Fills a topic with the events of a fleet whose devices report at the same interval, in the order of sending. */
export async function fillBacklog (eventLog: EventLog, backlog: Backlog): Promise<void> {
  const { topic, partitions } = backlog
  await eventLog.ensureTopic({ name: topic, partitions, retentionMs: RETENTION_MS, replicationFactor: -1 })
  const producer = await eventLog.openProducer()
  try {
    let sending = Promise.resolve() // the next batch is created while one is being sent
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

/** The records of a backlog, in the order of sending, in batches. */
export function * makeBatches (backlog: Backlog): Generator<ProducedRecord[]> {
  const {
    events, devices, intervalMs = 1000, startMs = START_MS, firstDevice = 0, zones = 10, late, traced = 0
  } = backlog
  const fleet = Array.from({ length: devices }, (_, index) => {
    const n = firstDevice + index
    const id = `device-${String(n).padStart(6, '0')}`
    const zone = `Zone ${zones > LETTERS ? n % zones : String.fromCharCode(65 + n % zones)}`
    return { id, eventStart: `{"deviceId":"${id}","deviceType":"${TYPES[n % TYPES.length]}","zone":"${zone}","value":` }
  })
  const write = (device: number, valueMs: number, round: number, timestamp: string): ProducedRecord => {
    const { id, eventStart } = fleet[device]
    // two readings of one device in one millisecond differ: the same value would be a duplicate
    const value = Math.round(200 + 50 * Math.sin(valueMs / 300_000 + device) + (round + device) % 7) / 10
    const record = { key: id, value: `${eventStart}${value},"timestamp":"${timestamp}"}` }
    return device < traced * devices ? { ...record, headers: { traceparent: traceparentOf(round, device) } } : record
  }
  const outages = late?.as === 'outages' ? readOutages(devices, intervalMs, startMs) : undefined
  let records: ProducedRecord[] = []
  for (let round = 0, sent = 0; sent < events; round++) {
    const roundMs = startMs + Math.floor(round * intervalMs)
    const timestamp = new Date(roundMs).toISOString()
    for (let device = 0; device < devices && sent < events; sent++) {
      if (!isLate(sent, late?.share ?? 0)) {
        records.push(write(device++, roundMs, round, timestamp))
      } else if (outages === undefined) {
        records.push(write(device++, roundMs, round, new Date(roundMs - latenessMs(sent)).toISOString()))
      } else { // among those that others report at the same time
        const { device: back, timeMs, number } = outages.next().value
        records.push(write(back, timeMs, number, new Date(timeMs).toISOString()))
      }
      if (records.length < BATCH) continue
      yield records
      records = []
    }
  }
  if (records.length > 0) yield records
}

function traceparentOf (round: number, device: number): string {
  const hex = (n: number, digits: number) => n.toString(16).padStart(digits, '0')
  return `00-${hex(round + 1, 16)}${hex(device + 1, 16)}-${hex(device + 1, 16)}-01`
}

/** Evenly spread, by multiples of the golden ratio and similar numbers: without a pattern, and reproducible. */
const spread = (n: number, ratio: number) => (n * ratio) % 1
const GOLDEN = 0.6180339887498949
const PLASTIC = 0.7548776662466927
const PLASTIC_SQUARE = 0.5698402909980532
const isLate = (n: number, share: number) => share > 0 && spread(n, GOLDEN) < share
const latenessMs = (n: number) => Math.ceil(spread(n, PLASTIC) * LATE_MAX_MS)

/** Devices that reconnect at the same time: one in a hundred. */
const backAtOnce = (devices: number) => Math.ceil(devices / 100)
const OUTAGE_MIN_MS = 10 * 60_000
const OUTAGE_MAX_MS = 60 * 60_000
/** Each outage of a device has two hours, so that no reading appears twice. */
const SLOT_MS = 2 * OUTAGE_MAX_MS
const SLOTS = LATE_MAX_MS / SLOT_MS - 1
/** from one outage of a device to its next, in slots; has no common factor with SLOTS, which is 359 */
const SLOT_STEP = 197

interface LateReading {
  readonly device: number
  readonly timeMs: number
  /** index within its outage */
  readonly number: number
}

/** Readings of disconnected devices: 10 to 60 minutes each in order, some devices in rotation. */
function * readOutages (devices: number, intervalMs: number, startMs: number): Generator<LateReading, never> {
  let outages = 0
  const next = () => readOutage(outages++, devices, intervalMs, startMs)
  const back = Array.from({ length: backAtOnce(devices) }, next)
  for (let turn = 0; ; turn = (turn + 1) % back.length) {
    let reading = back[turn].next()
    if (reading.done) reading = (back[turn] = next()).next()
    yield reading.value!
  }
}

function * readOutage (
  n: number, devices: number, intervalMs: number, startMs: number
): Generator<LateReading, undefined> {
  const device = n % devices
  const slot = (Math.floor(spread(device, PLASTIC) * SLOTS) + Math.floor(n / devices) * SLOT_STEP) % SLOTS
  const sizeMs = OUTAGE_MIN_MS + spread(n, GOLDEN) * (OUTAGE_MAX_MS - OUTAGE_MIN_MS)
  // it ends at any time of its second hour, so that outages start and end within minutes and hours
  const firstMs = startMs - Math.ceil(slot * SLOT_MS + spread(n, PLASTIC_SQUARE) * OUTAGE_MAX_MS + sizeMs)
  for (let number = 0; number * intervalMs < sizeMs; number++) {
    yield { device, timeMs: firstMs + Math.floor(number * intervalMs), number }
  }
}

/** End of each partition of a topic. */
export async function readEnds (eventLog: EventLog, topic: string): Promise<ReadonlyMap<number, bigint>> {
  return new Map((await eventLog.readOffsets(topic)).map(it => [it.partition, it.endOffset]))
}
