/** Readings of a probe, and the expected answers about them. */
import { valueAt } from 'relay-simulator/value'
import { seedOf } from 'relay-simulator/noise'

export interface ProbeDevice {
  readonly deviceId: string
  readonly zone: string
  readonly deviceType: string
}

export interface Reading {
  /** ms since the epoch */
  readonly timeMs: number
  readonly value: number
}

/**
 * The reading of a device at a moment: that of a simulated device with this name, to a quarter. Sums of quarters are
 * exact, so the expected numbers need none of Relay's arithmetic.
 */
export function readingAt ({ deviceType, deviceId }: ProbeDevice, timeMs: number): Reading {
  return { timeMs, value: Math.round(valueAt(deviceType, seedOf(0, deviceId), timeMs) * 4) / 4 + 0 }
}

/** The event of a reading, as JSON. */
export function eventOf (device: ProbeDevice, { timeMs, value }: Reading): string {
  return JSON.stringify({ ...device, value, timestamp: new Date(timeMs).toISOString() })
}

/** The requested statistics of a range. */
export const STATISTICS = 'count,sum,avg,min,max,first,last'

export interface Numbers {
  readonly count: number
  readonly sum?: number
  readonly avg?: number
  readonly min?: number
  readonly max?: number
  readonly first?: number
  readonly firstMs?: number
  readonly last?: number
  readonly lastMs?: number
}

/** The statistics of readings, which are in the order of their times. */
export function numbersOf (readings: readonly Reading[]): Numbers {
  if (readings.length === 0) return { count: 0 }
  const values = readings.map(it => it.value)
  const [first, last] = [readings[0], readings[readings.length - 1]]
  const sum = values.reduce((total, it) => total + it)
  return {
    count: readings.length,
    sum,
    avg: sum / readings.length,
    min: Math.min(...values),
    max: Math.max(...values),
    first: first.value,
    firstMs: first.timeMs,
    last: last.value,
    lastMs: last.timeMs
  }
}

/** The difference between a row of aggregates and its expectation, for people; undefined: none. */
export function differenceOf (expected: Numbers, found: Numbers): string | undefined {
  const names = Object.keys({ ...expected, ...found }) as Array<keyof Numbers>
  const differing = names.filter(it => !Object.is(expected[it], found[it]))
  return differing.length === 0
    ? undefined
    : differing.map(it => `${it} is ${found[it]} and should be ${expected[it]}`).join(', ')
}
