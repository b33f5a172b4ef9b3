/**
 * A live fleet as a process of its own: each device sends readings at a steady rate. At the end it reports what it has
 * sent.
 */
import { setTimeout as delay } from 'node:timers/promises'

import type { FleetReport } from './live-peers.ts'
import { createLiveFleet, openSink, type FleetReading, type SinkSettings } from './live-sinks.ts'

const { devices, intervalMs, late, resent, sink: settings } = JSON.parse(process.env.FLEET!) as {
  devices: number, intervalMs: number, late: number, resent: number, sink: SinkSettings
}

const LATE_MIN_MS = 60_000
const LATE_MAX_MS = 3 * 86_400_000

const sink = await openSink(settings, createLiveFleet(devices))
/** what each device has sent last */
const last: Array<FleetReading | undefined> = []

const over = new AbortController()
const report: FleetReport = { sent: 0, acknowledged: 0, resent: 0, late: 0, behindMaxMs: 0 }
process.on('message', said => said === 'end' ? over.abort() : process.send!(report))
const sending = new Set<Promise<void>>()
const startedMs = performance.now()
const firstMs = Date.now()
for (let n = 0; !over.signal.aborted;) {
  const elapsedMs = performance.now() - startedMs
  const due = Math.floor(elapsedMs / intervalMs * devices)
  const readings: FleetReading[] = []
  for (; n < due; n++) {
    const device = n % devices
    // planned times: a fleet that is behind must not send two readings with one time, which might have one value too
    const plannedMs = Math.floor(firstMs + n / devices * intervalMs)
    const isLate = late > 0 && Math.random() < late
    const timeMs = isLate ? plannedMs - LATE_MIN_MS - Math.floor(Math.random() * LATE_MAX_MS) : plannedMs
    const value = Math.round(200 + 50 * Math.sin(n / devices / 60 + n) + Math.random() * 4) / 10
    const reading = { device, timeMs, value }
    readings.push(reading)
    if (isLate) report.late++
    const before = last[device]
    if (resent > 0 && Math.random() < resent && before) {
      readings.push(before)
      report.resent++
    }
    last[device] = reading
  }
  report.sent += readings.length
  if (readings.length > 0) {
    const sent = sink.send(readings).then(() => {
      report.acknowledged += readings.length
      sending.delete(sent)
    })
    sending.add(sent)
  }
  if (sending.size >= sink.sendingMax) await Promise.race(sending) // readings due meanwhile are combined
  await delay(sink.tickMs - performance.now() % sink.tickMs)
  report.behindMaxMs = Math.max(report.behindMaxMs, performance.now() - startedMs - elapsedMs - sink.tickMs)
}
await Promise.all(sending)
await sink.close()
process.send!(report, () => process.exit())
