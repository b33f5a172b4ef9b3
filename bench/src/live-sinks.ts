/** Where a live fleet sends its readings: to Kafka, to QuestDB, or into rows of PostgreSQL. */
import { createLogger } from 'relay-common'
import { openKafkaEventLog } from 'relay-event-log'
import { Client } from 'pg'

import type { FleetDevice } from './history-fleet.ts'
import { lineStart, sendLines } from './questdb.ts'
import { RowsCopy } from './rows-table.ts'

export type SinkSettings =
  | { readonly kind: 'kafka', readonly bootstrapServers: string, readonly topic: string }
  | { readonly kind: 'questdb' | 'rows', readonly url: string }

export interface FleetReading {
  /** its number */
  readonly device: number
  readonly timeMs: number
  readonly value: number
}

export interface Sink {
  /** between two sends */
  readonly tickMs: number
  /** sent and not yet acknowledged, at most */
  readonly sendingMax: number
  /** Resolves when the readings are acknowledged. */
  send (readings: readonly FleetReading[]): Promise<void>
  close (): Promise<void>
}

const TYPES = ['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL']
const ZONES = 20

export function createLiveFleet (devices: number): FleetDevice[] {
  return Array.from({ length: devices }, (_, n) =>
    ({ id: `device-${String(n).padStart(6, '0')}`, type: TYPES[n % TYPES.length], zone: `Zone ${n % ZONES}` }))
}

export async function openSink (settings: SinkSettings, fleet: readonly FleetDevice[]): Promise<Sink> {
  switch (settings.kind) {
    case 'kafka': return openKafkaSink(settings, fleet)
    case 'questdb': return openQuestDbSink(settings.url, fleet)
    case 'rows': return openRowsSink(settings.url)
  }
}

async function openKafkaSink (
  { bootstrapServers, topic }: SinkSettings & { kind: 'kafka' }, fleet: readonly FleetDevice[]
): Promise<Sink> {
  const eventLog = await openKafkaEventLog(
    { bootstrapServers: [bootstrapServers], clientId: 'fleet' }, createLogger('fleet', 'error'))
  const producer = await eventLog.openProducer()
  const starts = fleet.map(({ id, type, zone }) =>
    `{"deviceId":"${id}","deviceType":"${type}","zone":"${zone}","value":`)
  return {
    tickMs: 50,
    sendingMax: 8,
    send: readings => producer.send(topic, readings.map(({ device, timeMs, value }) => {
      const time = new Date(timeMs).toISOString()
      return { key: fleet[device].id, value: `${starts[device]}${value},"timestamp":"${time}"}` }
    })),
    async close () {
      await producer.close()
      await eventLog.close()
    }
  }
}

/** four requests a second: each is a transaction */
async function openQuestDbSink (url: string, fleet: readonly FleetDevice[]): Promise<Sink> {
  const starts = fleet.map(lineStart)
  return {
    tickMs: 250,
    sendingMax: 1,
    send: readings => sendLines(url, readings.map(it => `${starts[it.device]}${it.value} ${it.timeMs}\n`).join('')),
    close: async () => {}
  }
}

/** four transactions a second */
async function openRowsSink (url: string): Promise<Sink> {
  const client = new Client({ connectionString: url })
  await client.connect()
  return {
    tickMs: 250,
    sendingMax: 1,
    async send (readings) {
      const copy = new RowsCopy(client)
      for (const { device, timeMs, value } of readings) {
        if (copy.isFull) await copy.drain()
        copy.append(device, timeMs, value)
      }
      await copy.close()
    },
    close: () => client.end()
  }
}
