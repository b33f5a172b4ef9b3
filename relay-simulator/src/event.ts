import type { ProducedRecord } from 'relay-event-log'

import type { Device } from './fleet.ts'
import { valueAt } from './value.ts'

/** The record of a device at a moment: the event, keyed by its id. The same device and moment give the same bytes. */
export function recordAt (device: Device, timeMs: number): ProducedRecord {
  return { key: device.deviceId, value: eventTextAt(device, timeMs) }
}

/** The event as JSON, in the usual order of fields. */
export function eventTextAt (device: Device, timeMs: number): string {
  const value = valueAt(device.deviceType, device.seed, timeMs)
  return `${device.eventStart}${value},"timestamp":"${new Date(timeMs).toISOString()}"}`
}
