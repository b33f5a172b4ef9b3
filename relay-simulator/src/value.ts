/**
 * The value of a device at a moment: a pure function of its seed and the time. So a restart continues seamlessly,
 * history and live events join without a jump, and a resent reading has the same value.
 */
import { chanceAt, smoothStep, wander } from './noise.ts'

const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** Types with a realistic signal. */
export type DeviceType = keyof typeof signals

/** Value range of a healthy device, by type. */
export const valueBounds: Record<DeviceType, { readonly min: number, readonly max: number }> = {
  THERMOSTAT: { min: 14, max: 28 },
  HEART_RATE_METER: { min: 40, max: 165 },
  CAR_FUEL: { min: 0, max: 100 }
}

const signals = { THERMOSTAT: temperatureAt, HEART_RATE_METER: heartRateAt, CAR_FUEL: fuelAt }

/**
 * @param type any name: an unknown one has values from 0 to 100
 * @param seed 32 bits, of the device
 * @param timeMs ms since the epoch
 */
export function valueAt (type: string, seed: number, timeMs: number): number {
  return (Object.hasOwn(signals, type) ? signals[type as DeviceType] : anythingAt)(seed, timeMs)
}

// seeds of each use of randomness, so that no two are correlated
const TRAIT = 0x1000
const SLOW = 0x2000
const QUICK = 0x3000
const FINE = 0x4000

/** Rounded to a tenth, to the double that JSON reads back. */
const tenths = (value: number) => Math.round(value * 10) / 10

/**
 * A room, in °C with steps of 0.1: warmest in mid-afternoon, with a degree or two of weather over hours, and draughts
 * over minutes. The parts add up to at most 6.1 around 21.
 */
function temperatureAt (seed: number, timeMs: number): number {
  const room = 21 + 3 * (chanceAt(seed ^ TRAIT, 0) - 0.5)
  const daily = 2.4 * Math.cos(2 * Math.PI * (timeMs - 15 * HOUR_MS) / DAY_MS)
  const weather = 1.8 * wander(seed ^ SLOW, timeMs, 9 * HOUR_MS)
  const draught = 0.3 * wander(seed ^ QUICK, timeMs, 7 * MINUTE_MS)
  const flutter = 0.1 * wander(seed ^ FINE, timeMs, 15 * SECOND_MS)
  return tenths(room + daily + weather + draught + flutter)
}

/** An unknown quantity in steps of 0.1: its own level, with slow and quick changes. */
function anythingAt (seed: number, timeMs: number): number {
  const level = 30 + 40 * chanceAt(seed ^ TRAIT, 0)
  return tenths(level + 20 * wander(seed ^ SLOW, timeMs, 9 * HOUR_MS) + 5 * wander(seed ^ QUICK, timeMs, 7 * MINUTE_MS))
}

const BOUT_MS = 12 * MINUTE_MS
const BOUT_CHANGE_MS = 2 * MINUTE_MS

/** Beats per minute, whole: an individual resting pulse, phases of walking and sometimes running, sleep at night. */
function heartRateAt (seed: number, timeMs: number): number {
  const resting = 58 + 14 * chanceAt(seed ^ TRAIT, 0)
  const asleep = sleepAt(seed, timeMs)
  const bout = Math.floor(timeMs / BOUT_MS)
  const changed = smoothStep((timeMs - bout * BOUT_MS) / BOUT_CHANGE_MS)
  const before = effortIn(seed, bout - 1)
  const effort = before + (effortIn(seed, bout) - before) * changed
  const drift = 4 * wander(seed ^ SLOW, timeMs, 4 * MINUTE_MS)
  const breath = 2.5 * Math.sin(2 * Math.PI * timeMs / 4_700)
  const beat = 1.5 * wander(seed ^ FINE, timeMs, 2 * SECOND_MS)
  return Math.round(resting - 9 * asleep + effort * (1 - asleep) + drift + breath + beat)
}

/** Additional beats of a phase: two of three are rest, one in twelve is a run. */
function effortIn (seed: number, bout: number): number {
  const kind = chanceAt(seed ^ QUICK, bout)
  const strength = chanceAt(seed ^ QUICK ^ TRAIT, bout)
  if (kind < 0.66) return 4 * strength
  if (kind < 0.92) return 18 + 22 * strength
  return 50 + 30 * strength
}

/** 0 awake, 1 asleep, half an hour in between; from about 22:30 to 6:30 UTC, an hour earlier or later per person. */
function sleepAt (seed: number, timeMs: number): number {
  const shiftMs = (chanceAt(seed ^ TRAIT, 1) - 0.5) * 2 * HOUR_MS
  const sinceNoonMs = (((timeMs - 12 * HOUR_MS - shiftMs) % DAY_MS) + DAY_MS) % DAY_MS
  const dozing = smoothStep((sinceNoonMs - 10.5 * HOUR_MS) / (HOUR_MS / 2))
  const waking = smoothStep((sinceNoonMs - 18.5 * HOUR_MS) / (HOUR_MS / 2))
  return dozing - waking
}

const REFILL_MS = 4 * MINUTE_MS

/**
 * Percentage of a tank in steps of 0.1: it lasts about a day, is used on some trips of different length, stays constant
 * in between, sloshes slightly on the road, and is refilled within minutes.
 */
function fuelAt (seed: number, timeMs: number): number {
  const tankfulMs = 20 * HOUR_MS + 8 * HOUR_MS * chanceAt(seed ^ TRAIT, 0)
  const trips = 6 + Math.floor(4 * chanceAt(seed ^ TRAIT, 1))
  const sinceMs = timeMs + tankfulMs * chanceAt(seed ^ TRAIT, 2)
  const tankful = Math.floor(sinceMs / tankfulMs)
  const intoMs = sinceMs - tankful * tankfulMs

  const full = fullIn(seed, tankful)
  const empty = 8 + 12 * chanceAt(seed ^ SLOW, tankful)
  const drivingMs = tankfulMs - REFILL_MS
  if (intoMs >= drivingMs) {
    const next = fullIn(seed, tankful + 1)
    return tenths(empty + (next - empty) * smoothStep((intoMs - drivingMs) / REFILL_MS))
  }

  const trip = Math.floor(intoMs / drivingMs * trips)
  const intoTrip = intoMs / drivingMs * trips - trip // 0 to 1, including the waits before and after
  const key = tankful * 16 + trip
  const leaves = 0.5 * chanceAt(seed ^ QUICK, key)
  const driven = (intoTrip - leaves) / (0.25 + 0.2 * chanceAt(seed ^ QUICK ^ TRAIT, key))
  const slosh = driven > 0 && driven < 1 ? driven * (1 - driven) * wander(seed ^ FINE, timeMs, 20 * SECOND_MS) : 0
  const used = (trip + smoothStep(driven)) / trips
  return tenths(full - (full - empty) * used + slosh)
}

const fullIn = (seed: number, tankful: number) => 90 + 9.5 * chanceAt(seed ^ SLOW ^ TRAIT, tankful)
