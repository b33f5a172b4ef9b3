import { quotientToDouble, sumUnits, UNIT_EXPONENT } from 'relay-test-support/exact.ts'
import { Fleet } from '../../../relay-simulator/src/fleet.ts'
import { Timeline } from '../../../relay-simulator/src/timeline.ts'

export interface Answer {
  readonly count: number
  readonly avgValue: number
  readonly minValue: number
  readonly maxValue: number
  readonly medianValue: number
}

/**
 * Expected answers about a device of the known fleet: its events are functions of time, so they are created again here,
 * and counted in the simplest way.
 */
export function expectedAnswer (deviceId: string, startMs: number, endMs: number): Answer {
  const fleet = new Fleet({ devices: 3, zones: 3, rate: 1, seed: 1 })
  const faultShares = { late: 0, duplicates: 0, poison: 0 }
  const { records } = new Timeline({ fleet, faultShares, kind: 'backfill', startMs, endMs }).take(endMs, 1_000_000)
  const values = records
    .map(({ value }) => JSON.parse(String(value)) as { deviceId: string, value: number })
    .filter(it => it.deviceId === deviceId)
    .map(it => it.value)
    .sort((a, b) => a - b)
  const half = values.length / 2
  return {
    count: values.length,
    avgValue: quotientToDouble(sumUnits(values), BigInt(values.length), UNIT_EXPONENT),
    minValue: values[0],
    maxValue: values.at(-1)!,
    medianValue: (values[Math.ceil(half) - 1] + values[Math.floor(half)]) / 2
  }
}

export async function ask (url: string, token: string): Promise<{ status: number, body: Answer }> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
  return { status: response.status, body: await response.json() as Answer }
}

/** Start and end of the range of a query, ms since the epoch. */
export function rangeOf (url: string): [startMs: number, endMs: number] {
  const { searchParams } = new URL(url)
  return [Date.parse(searchParams.get('startTime')!), Date.parse(searchParams.get('endTime')!)]
}
