/**
 * The peer of ingest: a Fastify that checks the fields of each line of a body, as a schema can, and writes it to the
 * same Kafka, keyed by its device. It uses Relay's producer and combines waiting sends, so the difference is the rest:
 * login, grants, budgets, refusals by event, dead letters, metrics.
 */
import { fastify } from 'fastify'
import { createLogger } from 'relay-common'
import { openKafkaEventLog, type ProducedRecord } from 'relay-event-log'
import { Type } from 'typebox'
import { Compile } from 'typebox/compile'

const LINE_FEED = 0x0a
const UNDER_WAY_MAX = 8
const Name = Type.String({ minLength: 1, maxLength: 128 })
const event = Compile(Type.Object({
  deviceId: Name,
  deviceType: Type.Enum(['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL']),
  zone: Name,
  value: Type.Number(),
  timestamp: Type.String({ format: 'date-time' })
}))

const log = createLogger('bench', 'error')
const eventLog = await openKafkaEventLog(
  { bootstrapServers: [process.env.KAFKA_BOOTSTRAP_SERVERS!], clientId: 'bare-ingest' }, log)
const producer = await eventLog.openProducer()
const topic = process.env.EVENTS_TOPIC!

interface Waiting {
  readonly records: readonly ProducedRecord[], readonly done: () => void, readonly failed: (error: unknown) => void
}

let waiting: Waiting[] = []
let underWay = 0

function send (records: readonly ProducedRecord[]): Promise<void> {
  return new Promise((resolve, reject) => {
    waiting.push({ records, done: resolve, failed: reject })
    if (underWay < UNDER_WAY_MAX) pump()
  })
}

async function pump (): Promise<void> {
  underWay++
  while (waiting.length > 0) {
    const together = waiting
    waiting = []
    try {
      await producer.send(topic, together.flatMap(it => it.records))
      for (const it of together) it.done()
    } catch (error) {
      for (const it of together) it.failed(error)
    }
  }
  underWay--
}

function cutLines (body: Buffer): ProducedRecord[] {
  const records: ProducedRecord[] = []
  for (let at = 0; at < body.length;) {
    const found = body.indexOf(LINE_FEED, at)
    const end = found === -1 ? body.length : found
    const value = body.subarray(at, end)
    const parsed: unknown = JSON.parse(value.toString())
    if (!event.Check(parsed)) throw new Error('not an event')
    records.push({ key: parsed.deviceId, value })
    at = end + 1
  }
  return records
}

const app = fastify({ bodyLimit: 8 * 1024 * 1024 })
app.removeAllContentTypeParsers()
app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
app.post('/api/v1/events', async (request, reply) => {
  const records = cutLines(request.body as Buffer)
  await send(records)
  return reply.code(202).send({ accepted: records.length, refused: [] })
})
await app.listen({ host: '127.0.0.1', port: Number(process.env.API_PORT) })
process.on('disconnect', () => process.exit()) // never outlives the benchmark
process.send?.('ready')
