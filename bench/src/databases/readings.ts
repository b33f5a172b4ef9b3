/**
 * Readings that all databases store: the history of a fleet, and its last hour, in which some readings are sent twice
 * and some are late by hours or days. A pure function of the settings.
 *
 *     startMs ──── history ──── tailMs ── last hour, with resends and late readings ── endMs
 */
import { DAY_MS, HOUR_MS } from 'relay-rollups'

import { createRandom } from 'relay-test-support/chance.ts'
import { createFleet, fillHour, readingTimeMs, type FleetDevice } from '../history-fleet.ts'

export interface StoredSettings {
  readonly devices: number
  readonly zones: number
  /** between two readings of a device */
  readonly readingMs: number
  readonly days: number
  /** where it ends: the start of a UTC day */
  readonly endMs: number
}

export interface Stored extends StoredSettings {
  readonly fleet: readonly FleetDevice[]
  readonly startMs: number
  readonly tailMs: number
}

export interface Reading {
  /** number of the device */
  readonly n: number
  readonly timeMs: number
  readonly value: number
}

export interface TailReading extends Reading {
  /** it has been sent before, so it must not count again */
  readonly isResent: boolean
}

/** shares of the readings of the last hour */
const RESENT_SHARE = 0.01
const LATE_SHARE = 0.005
/** the oldest late reading is one of this age, or of the first day of the history */
const LATE_MAX_DAYS = 2

export function createStored (settings: StoredSettings): Stored {
  const { devices, zones, days, endMs } = settings
  return { ...settings, fleet: createFleet(devices, zones), startMs: endMs - days * DAY_MS, tailMs: endMs - HOUR_MS }
}

export const readingsPerHour = ({ readingMs }: StoredSettings) => HOUR_MS / readingMs

export interface StoredHour {
  readonly hourMs: number
  /** of each device, in order of time; the same arrays in each hour */
  readonly values: readonly Float64Array[]
}

/** The history, hour by hour. */
export function * storedHours (stored: Stored): Generator<StoredHour> {
  const values = stored.fleet.map(() => new Float64Array(readingsPerHour(stored)))
  for (let hourMs = stored.startMs; hourMs < stored.tailMs; hourMs += HOUR_MS) {
    for (const [n, ofDevice] of values.entries()) fillHour(n, hourMs, ofDevice)
    yield { hourMs, values }
  }
}

/** One reading of each device. */
export interface StoredStep {
  readonly startMs: number
  /** place of the readings in `values` */
  readonly at: number
  readonly values: readonly Float64Array[]
}

/** The history in order of time. */
export function * storedSteps (stored: Stored): Generator<StoredStep> {
  for (const { hourMs, values } of storedHours(stored)) {
    for (let at = 0; at < values[0].length; at++) yield { startMs: hourMs + at * stored.readingMs, at, values }
  }
}

/** Numbers of the devices in the order in which they report, the same in each step. */
export function orderOfDevices ({ fleet, readingMs }: Stored): number[] {
  const offsetMs = (n: number) => readingTimeMs(n, 0, 0, readingMs)
  return fleet.keys().toArray().sort((a, b) => offsetMs(a) - offsetMs(b))
}

/** The last hour, in the order of sending. */
export function * tailReadings (stored: Stored): Generator<TailReading> {
  const { fleet, tailMs, endMs, readingMs } = stored
  const random = createRandom(7)
  const perHour = readingsPerHour(stored)
  const values = fleet.map((_, n) => {
    const ofDevice = new Float64Array(perHour)
    fillHour(n, tailMs, ofDevice)
    return ofDevice
  })
  const old = new Float64Array(perHour)
  const oldHours = Math.min(LATE_MAX_DAYS, stored.days) * 24 - 1
  const sentLate = new Set<string>()
  for (let at = 0; at < perHour; at++) {
    for (const n of fleet.keys()) {
      yield { n, timeMs: readingTimeMs(n, tailMs, at, readingMs), value: values[n][at], isResent: false }
      const chance = random()
      if (chance >= RESENT_SHARE + LATE_SHARE) continue
      // one of any hour before, at any place in it
      const hourMs = endMs - HOUR_MS * (2 + Math.floor(random() * oldHours))
      const place = Math.floor(random() * perHour)
      const timeMs = readingTimeMs(n, hourMs, place, readingMs)
      if (chance < RESENT_SHARE) {
        fillHour(n, hourMs, old)
        yield { n, timeMs, value: old[place], isResent: true }
      } else {
        const lateMs = timeMs + readingMs / 2 // between two that are there
        const key = `${n} ${lateMs}`
        if (sentLate.has(key) || lateMs >= hourMs + HOUR_MS) continue
        sentLate.add(key)
        yield { n, timeMs: lateMs, value: Math.round(random() * 1_000) / 10, isResent: false }
      }
    }
  }
}

/** Splits readings into batches. */
export function * inBatches<T> (items: Iterable<T>, size: number): Generator<T[]> {
  let batch: T[] = []
  for (const it of items) {
    batch.push(it)
    if (batch.length < size) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
