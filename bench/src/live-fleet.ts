/**
 * A live fleet as a process of its own: each device sends readings at a steady rate. At the end it reports what it has
 * sent.
 */
import { setTimeout as delay } from 'node:timers/promises'

import { createLogger, openKafkaEventLog } from 'relay-common'

import type { FleetReport } from './live.ts'

const { KAFKA_BOOTSTRAP_SERVERS = '', EVENTS_TOPIC = '', FLEET = '' } = process.env
const { devices, intervalMs, late, resent } = JSON.parse(FLEET) as {
  devices: number, intervalMs: number, late: number, resent: number
}

const TYPES = ['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL']
const ZONES = 20
const TICK_MS = 50
const SENDING_MAX = 8
const LATE_MIN_MS = 60_000
const LATE_MAX_MS = 3 * 86_400_000

const eventLog = await openKafkaEventLog(
  { bootstrapServers: [KAFKA_BOOTSTRAP_SERVERS], clientId: 'fleet' }, createLogger('fleet', 'error'))
const producer = await eventLog.openProducer()

const fleet = Array.from({ length: devices }, (_, n) => {
  const id = `device-${String(n).padStart(6, '0')}`
  const start = `{"deviceId":"${id}","deviceType":"${TYPES[n % 3]}","zone":"Zone ${n % ZONES}","value":`
  return { id, start, last: '' }
})

const over = new AbortController()
process.once('message', () => over.abort())
const report: FleetReport = { sent: 0, resent: 0, late: 0, behindMaxMs: 0 }
const sending = new Set<Promise<void>>()
const startedMs = performance.now()
const firstMs = Date.now()
for (let n = 0; !over.signal.aborted;) {
  const elapsedMs = performance.now() - startedMs
  const due = Math.floor(elapsedMs / intervalMs * devices)
  const records = []
  for (; n < due; n++) {
    const device = fleet[n % devices]
    // planned times: a fleet that is behind must not send two readings with one time, which might have one value too
    const timeMs = Math.floor(firstMs + n / devices * intervalMs)
    const isLate = late > 0 && Math.random() < late
    const ageMs = isLate ? LATE_MIN_MS + Math.floor(Math.random() * LATE_MAX_MS) : 0
    const time = new Date(timeMs - ageMs).toISOString()
    const value = Math.round(200 + 50 * Math.sin(n / devices / 60 + n) + Math.random() * 4) / 10
    const record = `${device.start}${value},"timestamp":"${time}"}`
    records.push({ key: device.id, value: record })
    if (isLate) report.late++
    if (resent > 0 && Math.random() < resent && device.last !== '') {
      records.push({ key: device.id, value: device.last })
      report.resent++
    }
    device.last = record
  }
  report.sent += records.length
  if (records.length > 0) {
    const sent = producer.send(EVENTS_TOPIC, records).finally(() => sending.delete(sent))
    sending.add(sent)
  }
  if (sending.size >= SENDING_MAX) await Promise.race(sending) // readings due meanwhile are combined
  await delay(TICK_MS)
  report.behindMaxMs = Math.max(report.behindMaxMs, performance.now() - startedMs - elapsedMs - TICK_MS)
}
await Promise.all(sending)
await producer.close()
await eventLog.close()
process.send!(report, () => process.exit())
