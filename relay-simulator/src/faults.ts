/** Delivery faults on demand. Like values, they are a function of device and moment: one seed, one set of faults. */
import { chanceAt } from './noise.ts'
import type { Device } from './fleet.ts'

export interface FaultShares {
  /** events that are sent late */
  readonly late: number
  /** events that are sent again later */
  readonly duplicates: number
  /** additional poison records; no event is missing for them */
  readonly poison: number
}

export const LATE_MIN_MS = 1_000
export const LATE_MAX_MS = 3 * 3_600_000
export const DUPLICATE_MIN_MS = 100
export const DUPLICATE_MAX_MS = 3_600_000

// separate seeds, so that whether and how an event is faulty are independent, and so are different faults
const LATE = 0x51a7e000
const DUPLICATE = 0x2b1ca000
const POISON = 0x70150000
const HOW = 0x00000fff

/** How late an event is sent, in ms; 0: on time. */
export function lateBy (device: Device, timeMs: number, share: number): number {
  if (share === 0 || chanceAt(device.seed ^ LATE, timeMs) >= share) return 0
  return between(LATE_MIN_MS, LATE_MAX_MS, chanceAt(device.seed ^ LATE ^ HOW, timeMs))
}

/** Delay after which an event is sent again, in ms; 0: it is not. */
export function repeatedAfter (device: Device, timeMs: number, share: number): number {
  if (share === 0 || chanceAt(device.seed ^ DUPLICATE, timeMs) >= share) return 0
  return between(DUPLICATE_MIN_MS, DUPLICATE_MAX_MS, chanceAt(device.seed ^ DUPLICATE ^ HOW, timeMs))
}

/** The kind of poison with an event, in [0, 1); undefined: none. */
export function poisonWith (device: Device, timeMs: number, share: number): number | undefined {
  if (share === 0 || chanceAt(device.seed ^ POISON, timeMs) >= share) return undefined
  return chanceAt(device.seed ^ POISON ^ HOW, timeMs)
}

/** Log-uniform: seconds are as likely as minutes or hours. */
function between (minMs: number, maxMs: number, chance: number): number {
  return Math.round(minMs * (maxMs / minMs) ** chance)
}
