/**
 * The expected rollups of a topic, computed in the simplest way: record by record, each reading folded into each of its
 * rows, everything in memory. No windows, no deltas, no batches; integer sums.
 */
import {
  bucketStartMs, decodeEvent, emptyRollup, encodeReadingsBody, encodeRollupBody, foldReading, levels,
  READINGS_PER_ROW_MAX_DEFAULT, type DeviceEvent, type EventRules, type Rollup
} from 'relay-rollups'

import { sumUnits, toDouble, UNIT_EXPONENT } from 'relay-test-support/exact.ts'

export interface RowKey {
  readonly level: string
  readonly bucketMs: number
  /** null: the row of a group */
  readonly deviceId: string | null
  readonly zone: string
  readonly deviceType: string
}

export interface ExpectedRow {
  readonly count: number
  readonly sum: number
  readonly min: number
  readonly max: number
  readonly body: Buffer
}

/**
 * Name of a row, for all source partitions: `minute 2026-01-05T22:00:00.000Z device-1/THERMOSTAT/Zone A`; `*`: a group.
 */
export function rowName ({ level, bucketMs, deviceId, zone, deviceType }: RowKey): string {
  const series = `${deviceId ?? '*'}/${deviceType}/${zone}`
  return `${level} ${new Date(bucketMs).toISOString()} ${series}`
}

/** Whether a row with that name stores its readings. */
export function isDeviceMinute (name: string): boolean {
  return /^minute \S+ (?!\*\/)/.test(name)
}

export class Recomputation {
  readonly #rules: EventRules
  readonly #rows = new Map<string, PlainRow>()
  #events = 0
  #rejected = new Set<string>()

  constructor (rules: EventRules) {
    this.#rules = rules
  }

  /** valid events, including duplicates */
  get events (): number { return this.#events }

  /** places (`partition/offset`) of invalid records */
  get rejected (): ReadonlySet<string> { return this.#rejected }

  get rowNames (): Iterable<string> { return this.#rows.keys() }

  /** Adds the next record of a partition. */
  add (partition: number, offset: bigint, value: Buffer | null): void {
    const decoded = decodeEvent(value, this.#rules, Date.now())
    if (decoded.kind === 'rejected') {
      this.#rejected.add(`${partition}/${offset}`)
      return
    }
    this.#events++
    this.#fold(decoded.event)
  }

  row (name: string): ExpectedRow | undefined {
    return this.#rows.get(name)?.expected
  }

  /** A reading counts once, in the rows of its device and of its group, at each level. */
  #fold ({ deviceId, zone, deviceType, timestampMs, value }: DeviceEvent): void {
    let isResent = false
    for (const { name: level, sizeMs } of levels) {
      for (const device of [deviceId, null]) {
        const bucketMs = bucketStartMs(sizeMs, timestampMs)
        const name = rowName({ level, bucketMs, deviceId: device, zone, deviceType })
        let row = this.#rows.get(name)
        if (!row) this.#rows.set(name, row = new PlainRow(bucketMs, level === 'minute' && device !== null))
        // the device's minute comes first, because only it knows its readings
        isResent ||= row.has(timestampMs, value)
        if (isResent) return
        row.add(timestampMs, value)
      }
    }
  }
}

class PlainRow {
  readonly #bucketMs: number
  /** by time and value; undefined for a row that does not store its readings */
  readonly #readings: Map<string, readonly [timeMs: number, value: number]> | undefined
  readonly #rollup: Rollup = emptyRollup()
  #sumUnits = 0n
  #expected: ExpectedRow | undefined

  constructor (bucketMs: number, keepsReadings: boolean) {
    this.#bucketMs = bucketMs
    this.#readings = keepsReadings ? new Map() : undefined
  }

  has (timeMs: number, value: number): boolean {
    return this.#readings?.has(`${timeMs} ${value}`) ?? false
  }

  add (timeMs: number, value: number): void {
    this.#readings?.set(`${timeMs} ${value}`, [timeMs, value])
    if (this.#readings && this.#readings.size > READINGS_PER_ROW_MAX_DEFAULT) {
      throw new Error('the load is so dense that rows give their readings up: resends can no longer be told')
    }
    foldReading(this.#rollup, timeMs, value)
    this.#sumUnits += sumUnits([value])
    this.#expected = undefined
  }

  get expected (): ExpectedRow {
    return (this.#expected ??= {
      count: this.#rollup.count,
      sum: toDouble(this.#sumUnits, UNIT_EXPONENT),
      min: this.#rollup.min,
      max: this.#rollup.max,
      body: this.#encode()
    })
  }

  #encode (): Buffer {
    if (!this.#readings) return encodeRollupBody(this.#rollup, this.#bucketMs)
    const sorted = [...this.#readings.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1])
    return encodeReadingsBody({ timesMs: sorted.map(it => it[0]), values: sorted.map(it => it[1]) }, this.#bucketMs)
  }
}
