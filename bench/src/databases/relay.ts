/**
 * Relay. Its own code folds the history into rollups, as a processor would; the last hour goes through Kafka and a
 * processor, and queries go to the API.
 */
import getPort from 'get-port'
import type { Database } from 'relay-common'
import type { ProducedRecord } from 'relay-event-log'

import { createTopic } from '../backlog.ts'
import { TOPIC, TOKEN, UNLIMITED } from '../freshness.ts'
import { writeHistory } from '../history.ts'
import { drain } from '../live.ts'
import { readTreeUsage, readUsage, sumUsage } from '../process-usage.ts'
import { startProgram } from '../program.ts'
import { processorEnvironment } from '../relay-processor.ts'
import type { BenchServers } from '../servers.ts'
import type { DatabasePeer } from './peer.ts'
import { TOP, type Answer, type BenchmarkQuery } from './queries.ts'
import { inBatches, tailReadings, type Stored } from './readings.ts'

const DATABASE = 'databases'
const PARTITIONS = 8
const RECORDS_PER_SEND = 20_000
/** days with minutes; older readings are in hours and days, as with RETENTION_MINUTE_DAYS */
const MINUTE_DAYS_MAX = 35

export async function openRelay (servers: BenchServers): Promise<DatabasePeer> {
  await using opened = new AsyncDisposableStack()
  const database = opened.adopt(await servers.openDatabase(DATABASE), it => it.close())
  const port = await getPort({ host: '127.0.0.1' })
  const url = `http://127.0.0.1:${port}`
  const environment = processorEnvironment(servers, DATABASE, TOPIC)
  const pids = [servers.kafka.pid]

  const running = opened.move()
  return {
    name: 'Relay',
    async fill (stored) {
      const { devices, zones, days, endMs, tailMs, readingMs } = stored
      const minuteDays = Math.min(days, MINUTE_DAYS_MAX)
      await writeHistory(database,
        { devices, zones, days, endMs, readingMs, minuteDays, partitions: PARTITIONS, untilMs: tailMs })
      // the topic of the last hour is a different one, not this one recreated
      await database.query("update progress set topic = 'history'")
      await database.query('vacuum (analyze)')
      await createTopic(servers.admin, { topic: TOPIC, events: 0, devices, partitions: PARTITIONS }, 'none')
      const processor = running.use(startProgram('processor', { environment }))
      const api = running.use(startProgram('api', {
        environment: { ...environment, ...UNLIMITED, API_PORT: String(port), METRICS_PORT: '0', API_TOKENS: TOKEN }
      }))
      await Promise.all([processor.ready, api.ready])
      pids.push(processor.pid, api.pid)
    },
    async takeTail (stored) {
      const producer = await servers.eventLog.openProducer()
      try {
        const records = tailReadings(stored).map(it => recordOf(stored, it.n, it.timeMs, it.value))
        for (const batch of inBatches(records, RECORDS_PER_SEND)) await producer.send(TOPIC, batch)
      } finally {
        await producer.close()
      }
      await drain(servers, database)
    },
    ask: query => ask(url, query),
    readUsage: async () => sumUsage(await Promise.all([readTreeUsage(servers.postgres.pid), ...pids.map(readUsage)])),
    readSizeBytes: () => readSizeBytes(database),
    [Symbol.asyncDispose]: () => running.disposeAsync()
  }
}

function recordOf ({ fleet }: Stored, n: number, timeMs: number, value: number): ProducedRecord {
  const { id, zone, type } = fleet[n]
  const timestamp = new Date(timeMs).toISOString()
  return { key: id, value: JSON.stringify({ deviceId: id, deviceType: type, zone, value, timestamp }) }
}

async function readSizeBytes (database: Database): Promise<number> {
  const [{ size }] = await database.query<{ size: number }>(
    'select pg_database_size(current_database())::float8 as size')
  return size
}

async function ask (url: string, query: BenchmarkQuery): Promise<Answer> {
  if (query.kind === 'latest') return askLatest(url)
  const range = { start: new Date(query.startMs).toISOString(), end: new Date(query.endMs).toISOString() }
  switch (query.kind) {
    case 'top': {
      const { rows } = await get<{ device: string, value: number }>(url, 'top',
        { ...query.selection, ...range, groupBy: 'device', stat: 'avg', limit: String(TOP) })
      return rows!.map(({ device, value }) => ({ device, avg: value }))
    }
    case 'p99':
      return rowsOf(await get(url, 'aggregates', { ...query.selection, ...range, interval: 'range', stats: 'p99' }))
    case 'total':
      return rowsOf(await get(url, 'aggregates',
        { ...query.selection, ...range, interval: 'range', stats: 'count,min,max,avg' }))
    case 'rows': {
      const interval = query.interval === 'hour' ? '1h' : '1d'
      return rowsOf(await get(url, 'aggregates',
        { ...query.selection, ...range, interval, tz: query.timeZone, stats: 'count,min,max,avg' }))
    }
  }
}

interface Body<R> {
  readonly rows?: R[]
  readonly devices?: Array<{ device: string, lastSeen: string, lastValue: number }>
  readonly next?: string | null
}

const rowsOf = ({ rows }: Body<Answer[number]>): Answer => rows!

async function askLatest (url: string): Promise<Answer> {
  const all: Array<Answer[number]> = []
  for (let cursor: Record<string, string> | undefined = {}; cursor;) {
    const { devices, next }: Body<never> = await get(url, 'devices', { limit: '1000', ...cursor })
    all.push(...devices!.map(it => ({ device: it.device, timeMs: Date.parse(it.lastSeen), value: it.lastValue })))
    cursor = next ? { cursor: next } : undefined
  }
  return all
}

async function get<R> (url: string, resource: string, parameters: Readonly<Record<string, string>>): Promise<Body<R>> {
  const headers = { authorization: `Bearer ${TOKEN}` }
  const answer = await fetch(`${url}/api/v1/${resource}?${new URLSearchParams(parameters)}`, { headers })
  const body = await answer.json() as Body<R>
  if (!answer.ok) throw new Error(`the API answered ${answer.status}: ${JSON.stringify(body)}`)
  return body
}
