import type { EventLog, ProducedRecord } from 'relay-common'

export interface Backlog {
  readonly topic: string
  readonly events: number
  readonly devices: number
  readonly partitions: number
}

/** Oldest event time of a backlog: fixed, so that every run has the same bytes. */
const START_MS = Date.parse('2026-01-05T00:00:00Z')
const TYPES = ['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL']
const BATCH = 20_000

/** Fills a topic with what devices send that report once a second, in the order of time. */
export async function fillBacklog (eventLog: EventLog, backlog: Backlog): Promise<void> {
  const { topic, events, devices, partitions } = backlog
  await eventLog.ensureTopic({ name: topic, partitions, retentionMs: 30 * 86_400_000, replicationFactor: -1 })
  const producer = await eventLog.openProducer()
  try {
    const fleet = Array.from({ length: devices }, (_, n) => ({
      id: `device-${String(n).padStart(6, '0')}`, type: TYPES[n % TYPES.length], zone: `Zone ${String.fromCharCode(65 + n % 10)}`
    }))
    for (let sent = 0; sent < events; sent += BATCH) {
      const records: ProducedRecord[] = []
      for (let n = sent; n < Math.min(sent + BATCH, events); n++) {
        const { id, type, zone } = fleet[n % devices]
        const second = Math.floor(n / devices)
        const value = Math.round(200 + 50 * Math.sin(second / 300 + n % devices) + n % 7) / 10
        const timestamp = new Date(START_MS + second * 1000).toISOString()
        records.push({ key: id, value: `{"deviceId":"${id}","deviceType":"${type}","zone":"${zone}","value":${value},"timestamp":"${timestamp}"}` })
      }
      await producer.send(topic, records)
    }
  } finally {
    await producer.close()
  }
}
