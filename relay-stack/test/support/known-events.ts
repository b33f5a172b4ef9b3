/**
 * Events with known properties, like those of real sites: late, out of order, resent, in several spellings, with
 * invalid records among them. Reproducible, except for poison that is ahead of the clock.
 */
import type { ProducedRecord } from 'relay-event-log'
import type { DeviceEvent, RejectedReason } from 'relay-rollups'
import { createRandom } from 'relay-test-support/chance.ts'

export const deviceTypes = ['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL'] as const
/** 29 February is among the days. The simulated fleet sends current events, so no answer about these days has them. */
export const START_MS = Date.parse('2024-02-27T00:00:00Z')
export const DAYS = 5
export const DAY_MS = 86_400_000
export const LATE_MAX_MS = 40 * DAY_MS

/** Minutes with very many readings: rows store up to 600 readings, and answers cut them to the ms. */
const BUSY_START_MS = START_MS + 1.5 * DAY_MS - 20_000
const BUSY_MS = 20 * 60_000

export interface KnownEvents {
  /** in the order of sending */
  readonly records: readonly ProducedRecord[]
  /** the expected readings, without duplicates */
  readonly readings: readonly DeviceEvent[]
  readonly poison: readonly Poison[]
}

export interface Poison {
  readonly key: string | null
  readonly value: string | Buffer | null
  readonly reason: RejectedReason
  readonly field?: string
}

/** Names that are difficult for paths, collations and encodings. */
const devices = [
  'thermometer/7 in 50% of cases', 'pulse-ü', 'tank-三号', 'α-1', 'pulse 2?x=1', 'tank#2', "o'hara-1", 'pulse-3',
  'Tank-3', '🚗-1', 'pulse-4+', 'tank-4'
]
const zones = ['Nord/Süd', 'zone a', 'Zone A', '東京 1']
/** It moves from its own zone to the next one in the middle of the days. */
const MOVING_DEVICE = 1
/** Its producer uses another key than its id. */
const GATEWAY_DEVICE = 4

/** @param count readings; some more records are sent */
export function createKnownEvents (count: number, seed: number): KnownEvents {
  const random = createRandom(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  const readings = new Map<string, DeviceEvent>()
  const sent: ProducedRecord[] = []
  const past: { event: DeviceEvent, device: number }[] = []
  const send = (event: DeviceEvent, device: number) => {
    const key = device === GATEWAY_DEVICE ? 'gateway-1' : event.deviceId
    sent.push({ key, value: write(event, below(4)) })
  }

  while (readings.size < count) {
    const before = past.length > 0 && random() < 0.07 ? past[below(past.length)] : undefined
    const device = before?.device ?? below(devices.length)
    const timestampMs = before?.event.timestampMs ?? timeOf(readings.size / count, random)
    const isMoved = device === MOVING_DEVICE && timestampMs >= START_MS + DAYS / 2 * DAY_MS
    const fresh: DeviceEvent = {
      deviceId: devices[device],
      deviceType: deviceTypes[device % deviceTypes.length],
      zone: zones[(Math.floor(device / deviceTypes.length) + Number(isMoved)) % zones.length],
      value: valueOf(device, random),
      timestampMs
    }
    // for a repeated device and time, half are duplicates, half have another value
    const event = before && random() < 0.5 ? before.event : fresh
    readings.set(JSON.stringify([event.deviceId, event.zone, event.timestampMs, event.value]), event)
    past.push({ event, device })
    send(event, device)
  }

  const poison = createPoison([...readings.values()])
  for (const { key, value, reason } of poison) {
    sent.splice(below(sent.length), 0, { key, value, headers: { 'poison-of-test': reason } })
  }
  return { records: sent, readings: [...readings.values()], poison }
}

/** @param progress from 0 to 1: event time advances, with events ahead and behind, and some late by weeks */
function timeOf (progress: number, random: () => number): number {
  const kind = random()
  if (kind < 0.05) return START_MS - Math.floor(random() * LATE_MAX_MS)
  if (kind < 0.45) return BUSY_START_MS + Math.floor(random() * BUSY_MS)
  const jitterMs = Math.floor(random() * 7_200_000)
  return Math.min(START_MS + Math.floor(progress * DAYS * DAY_MS) + jitterMs, START_MS + DAYS * DAY_MS - 1)
}

/** Half degrees, whole beats, doubles of all digits, and very different values; many of them negative. */
function valueOf (device: number, random: () => number): number {
  switch (device % 6) {
    case 0: return Math.round((random() - 0.6) * 60) / 2 + 0
    case 1: return 40 + Math.floor(random() * 140)
    case 2: return (random() - 0.5) * 100
    case 3: return Math.round((random() - 0.5) * 1e6) / 1000 + 0
    case 4: return -Math.round(random() * 1000) / 10 + 0
    default: return (random() - 0.5) * 10 ** Math.floor(random() * 24 - 8)
  }
}

/** One event in one of its spellings. */
function write ({ deviceId, deviceType, zone, value, timestampMs }: DeviceEvent, style: number): string {
  const iso = new Date(timestampMs).toISOString()
  const seconds = `${Math.floor(timestampMs / 1000)}.${String(timestampMs % 1000).padStart(3, '0')}456789`
  switch (style) {
    case 0: return JSON.stringify({ deviceId, deviceType, zone, value, timestamp: iso })
    case 1: return JSON.stringify({ deviceId, deviceType, zone, value }).replace(/}$/, `,"timestamp":${seconds}}`)
    case 2: { // other fields, another order, another offset
      const local = new Date(timestampMs + 19_800_000).toISOString().replace('Z', '+05:30')
      const firmware = { version: [1, 2] }
      return JSON.stringify({ firmware, timestamp: local, value, zone, deviceType, deviceId }, null, 1)
    }
    default: { // escaped ids, which the fast path leaves to the slow one
      const escaped = Array.from({ length: deviceId.length }, (_, n) =>
        `\\u${deviceId.charCodeAt(n).toString(16).padStart(4, '0')}`).join('')
      return `{"deviceId":"${escaped}",` + JSON.stringify({ deviceType, zone, value, timestamp: iso }).slice(1)
    }
  }
}

/** Every kind of invalid event, with the key of a device that also sends valid ones, or none. */
function createPoison (events: readonly DeviceEvent[]): Poison[] {
  const good = write(events[0], 0)
  const has = (field: string, source: string) => good.replace(new RegExp(`(?<="${field}":)("[^"]*"|[^,}]+)`), source)
  const cut = Buffer.from([0xc3, 0x28]) // the first byte of two, without the second
  const soon = new Date(Date.now() + DAY_MS).toISOString()
  const kinds: Array<[reason: RejectedReason, value: string | Buffer | null, field?: string]> = [
    ['record-empty', null],
    ['record-empty', ''],
    ['not-json', good.slice(0, -10)],
    ['not-json', 'ERROR: sensor not ready'],
    ['not-json', has('value', 'NaN')],
    ['not-json', Buffer.from(good, 'utf16le')],
    ['not-utf8', Buffer.concat([Buffer.from(good.slice(0, 14)), cut, Buffer.from(good.slice(14))])],
    ['not-object', `[${good}]`],
    ['oversized', good.replace(/}$/, `,"trace":"${'x'.repeat(70_000)}"}`)],
    ['field-missing', good.replace(/"zone":"[^"]*",/, ''), 'zone'],
    ['field-type', has('value', '"21.5"'), 'value'],
    ['field-duplicate', good.replace(/}$/, ',"value":1}'), 'value'],
    ['value-not-finite', has('value', '-1e999'), 'value'],
    ['id-invalid', has('deviceId', '" "'), 'deviceId'],
    ['id-invalid', has('zone', '"\\ud800"'), 'zone'],
    ['device-type-unknown', has('deviceType', '"TOASTER"'), 'deviceType'],
    ['timestamp-invalid', has('timestamp', '"2023-02-29T00:00:00Z"'), 'timestamp'],
    ['timestamp-before-epoch', has('timestamp', '-0.001'), 'timestamp'],
    ['timestamp-future', has('timestamp', `"${soon}"`), 'timestamp']
  ]
  return kinds.map(([reason, value, field], n) => ({
    key: n % 5 === 4 ? null : events[n].deviceId, value, reason, field
  }))
}
