/** The expected answer of the API, in the simplest way: filter, sort, add as whole numbers. No buckets, no digests. */
import type { DeviceEvent } from 'relay-rollups'

import { quotientToDouble, sumUnits, UNIT_EXPONENT } from 'relay-test-support/exact.ts'

export interface Asked {
  readonly deviceId?: string
  readonly zone?: string
  readonly deviceType?: string
}

export interface PlainAnswer {
  readonly deviceId: string | null
  readonly zone: string | null
  readonly deviceType: string | null
  readonly count: number
  readonly avgValue: number
  readonly minValue: number
  readonly maxValue: number
  readonly medianValue: number
  /** the largest allowed `medianError`: 0 up to 128 distinct values, then 0.5 % of the middle two */
  readonly medianErrorMax: number
}

const EXACT_VALUES_MAX = 128
/** 0.5 % of the upper edge of a bin, which is 1.005 % above the lower one, where the value may be. */
const RELATIVE_ERROR_MAX = 0.005 * 1.0101

/** @returns undefined: no readings */
export function plainAnswer (
  readings: readonly DeviceEvent[], asked: Asked, startMs: number, endMs: number
): PlainAnswer | undefined {
  const found = readings.filter(it => it.timestampMs >= startMs && it.timestampMs < endMs &&
    it.deviceId === (asked.deviceId ?? it.deviceId) && it.zone === (asked.zone ?? it.zone) &&
    it.deviceType === (asked.deviceType ?? it.deviceType))
  if (found.length === 0) return undefined

  const values = found.map(it => it.value).sort((a, b) => a - b)
  const common = (name: 'zone' | 'deviceType') => found.every(it => it[name] === found[0][name]) ? found[0][name] : null
  const below = values[Math.ceil(values.length / 2) - 1]
  const above = values[Math.floor(values.length / 2)]
  const isExact = new Set(values).size <= EXACT_VALUES_MAX
  return {
    deviceId: asked.deviceId ?? null,
    zone: common('zone'),
    deviceType: common('deviceType'),
    count: values.length,
    avgValue: quotientToDouble(sumUnits(values), BigInt(values.length), UNIT_EXPONENT),
    minValue: values[0],
    maxValue: values.at(-1)!,
    medianValue: (below + above) / 2,
    medianErrorMax: isExact ? 0 : RELATIVE_ERROR_MAX * (Math.abs(below) + Math.abs(above)) / 2
  }
}
