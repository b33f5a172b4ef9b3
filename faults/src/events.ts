/**
 * What a fleet sends while everything around it breaks: readings in the order of time and out of it, late by up to a
 * month, sent again, by producers that agree on partitions and by some that do not, and among them records that are no
 * events.
 */
import { DAY_MS, HOUR_MS, type ProducedRecord } from 'relay-common'

import { poisonKinds } from '../../relay-simulator/src/poison.ts'
import type { Device } from '../../relay-simulator/src/fleet.ts'
import type { Chance } from '../../test-support/chance.ts'

const TYPES = ['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL']
const ZONES = ['Zone A', 'Zone B', 'Zone C', 'Zone D']
const DEVICES = 60
/** two hours before a day ends: its rows are among those that faults hit */
const START_MS = Date.parse('2026-01-05T22:00:00Z')
/** Event time moves on by so much with every event: some 25 readings a minute of a device, whatever the rate is. */
const STEP_MS = 40
const DISORDER_MS = 5_000
const LATE_MAX_MS = 12 * HOUR_MS
const VERY_LATE_MAX_MS = 30 * DAY_MS
/** of so many events some are sent again */
const REMEMBERED = 20_000

/** The header that numbers records, so that each can be found again in the topic. */
export const NUMBER_HEADER = 'number'

interface Sent { readonly key: string | null, readonly value: string }

export class EventSource {
  readonly #chance: Chance
  readonly #remembered: Sent[] = []
  #count = 0

  constructor (chance: Chance) {
    this.#chance = chance
  }

  /** how many records there were: the next one has this number */
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
      // seen from now, not from the time of the event: the far future has to be ahead of the clock
      return { key: deviceId, value: poison.write(value, { deviceId } as Device, Date.now()), headers }
    }
    this.#remember({ key: this.#keyOf(deviceId), value })
    return { key: this.#keyOf(deviceId), value, headers }
  }

  /** Most producers hash the device as Kafka's own clients do; some hash otherwise or send no key. */
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

  /** Steps of a half, tenths, and doubles of all digits; below zero as well. */
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
