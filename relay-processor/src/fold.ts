/**
 * Accepts records. Hot path: an ordinary event only costs a comparison with an earlier one of its device, and three
 * appended numbers. Their effect on minutes, hours, days and groups is computed once per flush (settle.ts).
 *
 *     known head ──no──▶ scanner, series that is known or can be ──no──▶ decodeEvent ──no──▶ dead letter
 *         └──────────────────────────────┴──── arrivals ──────────────────────┘
 *
 * `Folder.record` has the fast paths; `#recordPlainly` is the reference that they must agree with.
 */
import { parseTraceparent, TRACEPARENT } from 'relay-common'
import type { DeadLetterReason } from 'relay-dead-letters'
import type { RecordSet, RecordVisitor } from 'relay-event-log'
import {
  createScannedEvent, decodeEvent, decodeNames, oldestTakenMs, scanEvent, type EventRules, type ScannedEvent
} from 'relay-rollups'

import { noteAppended } from './appended.ts'
import type { Partition } from './partition.ts'
import type { Series } from './series-table.ts'

/** known heads per device; records of a device that vary more are scanned */
const HEADS_MAX = 4

export interface FoldRules extends EventRules {
  /** true: a record whose key is not its device id becomes a dead letter */
  readonly isKeyChecked?: boolean
  /** true: traces of records are noted; otherwise nobody looks at headers, which some producers add to every record */
  readonly isTraced?: boolean
}

export class Folder implements RecordVisitor {
  readonly #rules: FoldRules
  readonly #isKeyChecked: boolean
  readonly #scanned = createScannedEvent()
  #partition!: Partition
  #baseOffset = 0n
  #nowMs = 0
  #timeMaxMs = 0
  #newestMs = 0
  #oldestTakenMs = -Infinity
  /** of the current batch; NaN: its log does not say */
  #appendedMs = NaN
  #arrivedBefore = 0

  readonly headers: RecordVisitor['headers']

  constructor (rules: FoldRules) {
    this.#rules = rules
    this.#isKeyChecked = rules.isKeyChecked ?? false
    this.headers = rules.isTraced ? this.#noteTrace : undefined
  }

  /**
   * Folds a set of records, and moves the partition's `nextOffset` after them.
   * @param nowMs the clock, to detect events in the future
   */
  fold (partition: Partition, records: RecordSet, nowMs: number): void {
    this.#partition = partition
    this.#baseOffset = records.baseOffset
    this.#nowMs = nowMs
    this.#timeMaxMs = nowMs + this.#rules.futureMaxMs
    this.#newestMs = partition.eventTimeMaxMs
    this.#oldestTakenMs = oldestTakenMs(this.#rules, nowMs)
    this.#appendedMs = NaN
    this.#arrivedBefore = partition.arrivedReadings
    records.forEach(this)
    this.#noteBatch()
    partition.eventTimeMaxMs = this.#newestMs
    partition.nextOffset = records.nextOffset
    partition.lastRecord = records.lastRecord ?? partition.lastRecord
    partition.endOffset = records.endOffset
  }

  batch (appendedMs: number): void {
    this.#noteBatch()
    this.#appendedMs = appendedMs
  }

  #noteBatch (): void {
    const { appended, arrivedReadings } = this.#partition
    if (!Number.isNaN(this.#appendedMs)) {
      noteAppended(appended, this.#appendedMs, arrivedReadings - this.#arrivedBefore, this.#nowMs)
    }
    this.#arrivedBefore = arrivedReadings
  }

  record (
    buffer: Buffer, keyStart: number, keyEnd: number, valueStart: number, valueEnd: number, offsetDelta: number
  ): void {
    const scanned = this.#scanned
    const { heads } = this.#partition.series
    if (keyStart >= 0 && valueStart >= 0) {
      const series = heads.scan(buffer, keyStart, keyEnd, valueStart, valueEnd, scanned)
      if (series >= 0 && this.#isTaken(scanned.timestampMs)) {
        this.#add(series, scanned.timestampMs, scanned.value)
        return
      }
    }
    if (
      valueStart >= 0 && scanEvent(buffer, valueStart, valueEnd, scanned) && this.#isTaken(scanned.timestampMs) &&
      (!this.#isKeyChecked || isKeyOf(scanned, buffer, keyStart, keyEnd))
    ) {
      // a series in the table has valid ids and a known type
      const series = this.#partition.series.find(scanned) ?? this.#addSeries(scanned)
      if (series !== undefined) {
        if (keyStart >= 0 && series.headCount < HEADS_MAX) {
          series.headCount++
          heads.learn(scanned, keyStart, keyEnd, valueStart, valueEnd, series.index)
        }
        this.#add(series.index, scanned.timestampMs, scanned.value)
        return
      }
    }
    this.#recordPlainly(buffer, keyStart, keyEnd, valueStart, valueEnd, offsetDelta)
  }

  #addSeries (scanned: ScannedEvent): Series | undefined {
    const names = decodeNames(scanned, this.#rules)
    return names && this.#partition.series.add(names, scanned)
  }

  #isTaken (timestampMs: number): boolean {
    return timestampMs <= this.#timeMaxMs && timestampMs >= this.#oldestTakenMs
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
    const { deviceId, timestampMs, value: reading } = decoded.event
    if (this.#isKeyChecked && !key?.equals(Buffer.from(deviceId))) {
      const found = key === null ? 'the record has no key' : `the key of ${key.length} bytes is not the device id`
      this.#reject(key, value, 'key-mismatch', 'deviceId', found, offsetDelta)
      return
    }
    this.#add(this.#partition.series.findOrAdd(decoded.event).index, timestampMs, reading)
  }

  #noteTrace (find: (name: string) => string | undefined, offsetDelta: number): void {
    const context = parseTraceparent(find(TRACEPARENT))
    if (!context?.isSampled) return
    const { traced, deadLetters } = this.#partition
    const offset = this.#baseOffset + BigInt(offsetDelta)
    traced.add({ context, offset })
    deadLetters.noteTrace(offset, context)
  }

  corrupt (bytes: Buffer, offsetDelta: number, recordCount: number, detail: string): void {
    this.#reject(null, bytes, 'batch-corrupt', undefined, `${detail} (${recordCount} records)`, offsetDelta)
  }

  #add (series: number, timestampMs: number, value: number): void {
    this.#partition.arrivals.add(series, timestampMs, value)
    if (timestampMs > this.#newestMs) this.#newestMs = timestampMs
  }

  #reject (
    key: Buffer | null, value: Buffer | null, reason: DeadLetterReason, field: string | undefined, detail: string,
    offsetDelta: number
  ): void {
    const offset = this.#baseOffset + BigInt(offsetDelta)
    this.#partition.deadLetters.add({ key, value, reason, field, detail, offset })
  }
}

function isKeyOf (event: ScannedEvent, buffer: Buffer, keyStart: number, keyEnd: number): boolean {
  const { deviceIdStart, deviceIdEnd } = event
  if (keyStart < 0 || keyEnd - keyStart !== deviceIdEnd - deviceIdStart) return false
  return buffer.compare(buffer, deviceIdStart, deviceIdEnd, keyStart, keyEnd) === 0
}
