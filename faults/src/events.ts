/**
 * Events of a fleet for tests of faults: in order and out of order, late by up to a month, resent, by producers that
 * agree on partitions and some that do not, with invalid records among them.
 */
import type { ProducedRecord } from 'relay-event-log'
import { DAY_MS, HOUR_MS } from 'relay-rollups'

import { poisonKinds } from '../../relay-simulator/src/poison.ts'
import type { Device } from '../../relay-simulator/src/fleet.ts'
import type { Chance } from 'relay-test-support/chance.ts'

const TYPES = ['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL']
const ZONES = ['Zone A', 'Zone B', 'Zone C', 'Zone D']
const DEVICES = 60
/** two hours before the end of a day, so that faults affect its rows too */
const START_MS = Date.parse('2026-01-05T22:00:00Z')
/** Event time between two events: about 25 readings per minute and device, at any rate. */
const STEP_MS = 40
const DISORDER_MS = 5_000
const LATE_MAX_MS = 12 * HOUR_MS
const VERY_LATE_MAX_MS = 30 * DAY_MS
/** events of which some are resent */
const REMEMBERED = 20_000

/** The header with the number of a record, to find it in the topic. */
export const NUMBER_HEADER = 'number'

interface Sent { readonly key: string | null, readonly value: string }

export class EventSource {
  readonly #chance: Chance
  readonly #remembered: Sent[] = []
  #count = 0

  constructor (chance: Chance) {
    this.#chance = chance
  }

  /** number of records so far, and number of the next one */
  get count (): number { return this.#count }

  next (): ProducedRecord {
    const chance = this.#chance
    const number = this.#count++
    const headers = { [NUMBER_HEADER]: String(number) }
    if (this.#remembered.length > 0 && chance.happens(0.03)) return { ...chance.pick(this.#remembered), headers }

    const device = chance.below(DEVICES)
    const timeMs = this.#timeOf(number)
    const deviceId = `device-${device}`
    const deviceType = TYPES[device % TYPES.length]
    const zone = ZONES[Math.floor(device / TYPES.length) % ZONES.length]
    const timestamp = new Date(timeMs).toISOString()
    const value = JSON.stringify({ deviceId, deviceType, zone, value: this.#valueOf(device), timestamp })
    if (chance.happens(0.004)) {
      const poison = chance.pick(poisonKinds)
      // relative to now, not to the event time: the far future must be ahead of the clock
      return { key: deviceId, value: poison.write(value, { deviceId } as Device, Date.now()), headers }
    }
    this.#remember({ key: this.#keyOf(deviceId), value })
    return { key: this.#keyOf(deviceId), value, headers }
  }

  /** Most producers hash the device like Kafka's own clients; some hash otherwise or send no key. */
  #keyOf (deviceId: string): string | null {
    if (this.#chance.happens(0.9)) return deviceId
    return this.#chance.pick([null, `${deviceId} by another hash`])
  }

  #timeOf (number: number): number {
    const chance = this.#chance
    const nowMs = START_MS + number * STEP_MS
    const kind = chance.next()
    if (kind < 0.005) return nowMs - chance.below(VERY_LATE_MAX_MS)
    if (kind < 0.05) return nowMs - chance.below(LATE_MAX_MS)
    return nowMs - chance.below(DISORDER_MS)
  }

  /** Halves, tenths, and doubles of all digits; also below zero. */
  #valueOf (device: number): number {
    const chance = this.#chance
    switch (device % 4) {
      case 0: return (chance.below(80) - 40) / 2
      case 1: return 40 + chance.below(140)
      case 2: return chance.below(2_000) / 10 - 100
      default: return (chance.next() - 0.5) * 100
    }
  }

  #remember (sent: Sent): void {
    if (this.#remembered.length < REMEMBERED) this.#remembered.push(sent)
    else this.#remembered[this.#chance.below(REMEMBERED)] = sent
  }
}
