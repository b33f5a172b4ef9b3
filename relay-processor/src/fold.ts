/**
 * Folds records into the open minutes of their devices. Hot path: all that happens to an ordinary event is a scan of
 * its bytes, one look-up of its series and two numbers appended; what they mean for hours, days and groups is worked
 * out once a flush (settle.ts).
 *
 * `Folder.record` is the short cut; `#recordPlainly` is what it must agree with.
 */
import {
  bucketStartMs, decodeEvent, MINUTE_MS, oldestTakenMs, type DeadLetterReason, type EventRules, type RecordSet,
  type RecordVisitor
} from 'relay-common'

import { createScannedEvent, scanEvent, type ScannedEvent } from './decode.ts'
import type { Partition } from './partition.ts'
import type { Series } from './series-table.ts'
import { createMinute } from './windows.ts'

/** what a dead letter takes in memory besides its bytes, roughly: a flood of empty records is bounded too */
const LETTER_BYTES = 500

export interface FoldRules extends EventRules {
  /** true: a record whose key is not its device id is a dead letter */
  readonly isKeyChecked?: boolean
}

export class Folder implements RecordVisitor {
  readonly #rules: FoldRules
  readonly #isKeyChecked: boolean
  readonly #scanned = createScannedEvent()
  #partition!: Partition
  #baseOffset = 0n
  #nowMs = 0
  #newestMs = 0
  #oldestTakenMs = -Infinity

  constructor (rules: FoldRules) {
    this.#rules = rules
    this.#isKeyChecked = rules.isKeyChecked ?? false
  }

  /**
   * Folds a set of records and moves the partition's `nextOffset` behind them.
   * @param nowMs the clock, against which events from the future are told
   */
  fold (partition: Partition, records: RecordSet, nowMs: number): void {
    this.#partition = partition
    this.#baseOffset = records.baseOffset
    this.#nowMs = nowMs
    this.#newestMs = partition.eventTimeMaxMs
    this.#oldestTakenMs = oldestTakenMs(this.#rules, nowMs)
    records.forEach(this)
    partition.eventTimeMaxMs = this.#newestMs
    partition.nextOffset = records.nextOffset
    partition.endOffset = records.endOffset
  }

  record (
    buffer: Buffer, keyStart: number, keyEnd: number, valueStart: number, valueEnd: number, offsetDelta: number
  ): void {
    const scanned = this.#scanned
    if (valueStart >= 0 && scanEvent(buffer, valueStart, valueEnd, scanned)) {
      // a series that is in the table has been checked: its ids are well formed and its type is known
      const series = this.#partition.series.find(scanned)
      if (
        series !== undefined && scanned.timestampMs <= this.#nowMs + this.#rules.futureMaxMs &&
        scanned.timestampMs >= this.#oldestTakenMs && (!this.#isKeyChecked || isKeyOf(scanned, buffer, keyStart, keyEnd))
      ) {
        this.#add(series, scanned.timestampMs, scanned.value)
        return
      }
    }
    this.#recordPlainly(buffer, keyStart, keyEnd, valueStart, valueEnd, offsetDelta)
  }

  #recordPlainly (
    buffer: Buffer, keyStart: number, keyEnd: number, valueStart: number, valueEnd: number, offsetDelta: number
  ): void {
    const value = valueStart < 0 ? null : buffer.subarray(valueStart, valueEnd)
    const decoded = decodeEvent(value, this.#rules, this.#nowMs)
    const key = keyStart < 0 ? null : buffer.subarray(keyStart, keyEnd)
    if (decoded.kind === 'rejected') {
      this.#reject(key, value, decoded.reason, decoded.field, decoded.detail, offsetDelta)
      return
    }
    const { deviceId, deviceType, zone, timestampMs, value: reading } = decoded.event
    if (this.#isKeyChecked && !key?.equals(Buffer.from(deviceId))) {
      const found = key === null ? 'the record has no key' : `the key has ${key.length} bytes that are not the device id`
      this.#reject(key, value, 'key-mismatch', 'deviceId', found, offsetDelta)
      return
    }
    this.#add(this.#partition.series.findOrAdd(deviceId, deviceType, zone), timestampMs, reading)
  }

  corrupt (bytes: Buffer, offsetDelta: number, recordCount: number, detail: string): void {
    this.#reject(null, bytes, 'batch-corrupt', undefined, `${detail} (${recordCount} records)`, offsetDelta)
  }

  #add (series: Series, timestampMs: number, value: number): void {
    const partition = this.#partition
    const bucketMs = bucketStartMs(MINUTE_MS, timestampMs)
    let minute = series.minutes.newest
    if (minute === undefined || minute.bucketMs !== bucketMs) {
      minute = series.minutes.find(bucketMs)
      if (minute === undefined) series.minutes.add(minute = createMinute(series, bucketMs))
    }
    if (!minute.isDirty) {
      minute.isDirty = true
      partition.dirtyMinutes.push(minute)
    }
    minute.arrived.timesMs.push(timestampMs)
    minute.arrived.values.push(value)
    partition.arrivedReadings++
    if (timestampMs > this.#newestMs) this.#newestMs = timestampMs
  }

  #reject (
    key: Buffer | null, value: Buffer | null, reason: DeadLetterReason, field: string | undefined, detail: string, offsetDelta: number
  ): void {
    const partition = this.#partition
    partition.deadLetterBytes += LETTER_BYTES + (key?.length ?? 0) + (value?.length ?? 0)
    partition.deadLetters.push({
      key: key && Buffer.from(key), // a copy: the fetched bytes are let go
      value: value && Buffer.from(value),
      reason,
      field,
      detail,
      offset: this.#baseOffset + BigInt(offsetDelta)
    })
  }
}

function isKeyOf (event: ScannedEvent, buffer: Buffer, keyStart: number, keyEnd: number): boolean {
  const { deviceIdStart, deviceIdEnd } = event
  if (keyStart < 0 || keyEnd - keyStart !== deviceIdEnd - deviceIdStart) return false
  return buffer.compare(buffer, deviceIdStart, deviceIdEnd, keyStart, keyEnd) === 0
}
