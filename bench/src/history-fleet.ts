/** Readings of a benchmark fleet: at a steady pace, a pure function of device and time. */
import { DAY_MS, HOUR_MS } from 'relay-rollups'

export interface FleetDevice {
  readonly id: string
  readonly type: string
  readonly zone: string
}

const TYPES = ['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL']
const YEAR_MS = 365.25 * DAY_MS

/** @param zones the devices are spread over, with types evenly in each */
export function createFleet (devices: number, zones: number): FleetDevice[] {
  return Array.from({ length: devices }, (_, n) => ({
    id: `device-${String(n).padStart(6, '0')}`,
    type: TYPES[n % TYPES.length],
    zone: `Zone ${String.fromCharCode(65 + n % zones)}`
  }))
}

/** of each device, by default */
export const READINGS_PER_HOUR = 60
export const READING_MS = HOUR_MS / READINGS_PER_HOUR

/**
 * The readings of one device in one hour: a daily and a yearly cycle, and noise, in the steps of a sensor. Temperatures
 * have tens of distinct values per day, heart rates a hundred, fuel levels a thousand, for digests of all kinds.
 * @param into receives the values, spread evenly over the hour
 */
export function fillHour (n: number, hourStartMs: number, into: Float64Array): void {
  const day = Math.sin(hourStartMs / DAY_MS * 2 * Math.PI)
  const year = Math.sin(hourStartMs / YEAR_MS * 2 * Math.PI)
  const own = n % 41 / 10 - 2
  let state = Math.imul(n + 1, 0x9e3779b1) ^ Math.imul(hourStartMs / HOUR_MS, 0x85ebca6b)
  const noise = () => { // Numerical Recipes' linear congruential generator: good enough for noise
    state = Math.imul(state, 1664525) + 1013904223 | 0
    return state / 2 ** 31
  }
  noise()
  for (let at = 0; at < into.length; at++) {
    const minute = at * READINGS_PER_HOUR / into.length
    if (n % 3 === 0) into[at] = Math.round(210 + 40 * year + 20 * day + 10 * own + 5 * noise()) / 10
    else if (n % 3 === 1) into[at] = Math.round(75 + 20 * day + 2 * own + 20 * noise())
    else into[at] = Math.round(1000 - (hourStartMs / HOUR_MS * 8 + minute / 8 + 97 * n) % 960 + noise()) / 10
    into[at] += 0 // never -0
  }
}

/** Time of the n-th reading of an hour: devices are not synchronised. */
export function readingTimeMs (n: number, hourStartMs: number, at: number, readingMs = READING_MS): number {
  return hourStartMs + at * readingMs + n * 7919 % readingMs
}
