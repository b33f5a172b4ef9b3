/**
 * The records of a fleet in the order of sending: events on time, late or repeated, with poison between them. Live and
 * history only differ in the reader: the live stream takes what is due by the clock, the backfill as much as the log
 * accepts.
 *
 *     tick ──▶ in time ─────────────────────▶ batch
 *      ├─────▶ late ──────▶ postponed ──due──▶ batch
 *      ├─────▶ once more ─▶ postponed ──due──▶ batch
 *      └─────▶ poison ──────────────────────▶ batch
 *
 * Only postponed events exist as objects: the position in the fleet's ticks is the queue.
 */
import type { ProducedRecord } from 'relay-event-log'

import { recordAt } from './event.ts'
import { lateBy, poisonWith, repeatedAfter, type FaultShares } from './faults.ts'
import type { Fleet } from './fleet.ts'
import { poisonAt } from './poison.ts'
import { Postponed } from './postponed.ts'

export const sentKinds = ['live', 'backfill', 'late', 'duplicate', 'poison'] as const
export type SentKind = typeof sentKinds[number]

export interface Batch {
  readonly records: ProducedRecord[]
  readonly counts: Record<SentKind, number>
}

export interface TimelineSettings {
  readonly fleet: Fleet
  readonly faultShares: FaultShares
  /** label of events that are sent on time */
  readonly kind: 'live' | 'backfill'
  /** inclusive start of the events */
  readonly startMs: number
  /** exclusive end */
  readonly endMs?: number
  /** limit of waiting events; above it the earliest one is sent early, never dropped */
  readonly postponedMax?: number
}

/** About 100 bytes each, for 1 % late events of 3,000 per second. */
const POSTPONED_MAX_DEFAULT = 200_000

export class Timeline {
  readonly postponed = new Postponed()
  readonly #settings: Required<TimelineSettings>
  readonly #endTick: number
  #tick: number
  #tickMs: number

  constructor (settings: TimelineSettings) {
    this.#settings = { endMs: Infinity, postponedMax: POSTPONED_MAX_DEFAULT, ...settings }
    const { fleet, startMs, endMs } = this.#settings
    this.#endTick = endMs === Infinity ? Infinity : fleet.tickFrom(endMs)
    this.#tick = fleet.tickFrom(startMs)
    this.#tickMs = fleet.timeAt(this.#tick)
  }

  /** Remaining ticks; Infinity for a timeline without an end. */
  get ticksLeft (): number { return this.#endTick - this.#tick }

  /** Time of the next event by the fleet's clock; Infinity after the end. */
  get nextTickMs (): number { return this.#tick < this.#endTick ? this.#tickMs : Infinity }

  /** Time of the next record: an event, or a postponed one. */
  get nextMs (): number { return Math.min(this.nextTickMs, this.postponed.nextDueMs) }

  /**
   * Takes the records to send before `untilMs`.
   * @param recordsMax most records; a poison record may be added
   */
  take (untilMs: number, recordsMax: number): Batch {
    const batch = createBatch()
    const { postponed } = this
    while (batch.records.length < recordsMax) {
      const tickMs = this.nextTickMs
      const isFull = postponed.size > this.#settings.postponedMax
      if (isFull || (postponed.nextDueMs <= tickMs && postponed.nextDueMs < untilMs)) this.#takePostponed(batch)
      else if (tickMs < untilMs) this.#takeTick(batch)
      else break
    }
    return batch
  }

  /** Takes postponed events that are not due yet: for a stop, or without a successor. */
  takeEarly (recordsMax: number): Batch {
    const batch = createBatch()
    while (this.postponed.size > 0 && batch.records.length < recordsMax) this.#takePostponed(batch)
    return batch
  }

  /** Moves postponed events to another timeline, which sends them when due. */
  handPostponedTo (other: Timeline): void {
    for (let event = this.postponed.takeNext(); event; event = this.postponed.takeNext()) other.postponed.add(event)
  }

  /** Skips everything before a time. @returns the number of skipped events */
  skipTo (timeMs: number): number {
    const skipped = Math.max(0, Math.min(this.#settings.fleet.tickFrom(timeMs), this.#endTick) - this.#tick)
    this.#moveTo(this.#tick + skipped)
    return skipped
  }

  #takeTick (batch: Batch): void {
    const { fleet, faultShares: { late, duplicates, poison }, kind } = this.#settings
    const device = fleet.deviceAt(this.#tick)
    const timeMs = this.#tickMs
    this.#moveTo(this.#tick + 1)

    const lateByMs = lateBy(device, timeMs, late)
    if (lateByMs > 0) this.postponed.add({ dueMs: timeMs + lateByMs, kind: 'late', device, timeMs })
    else add(batch, kind, recordAt(device, timeMs))

    const againAfterMs = repeatedAfter(device, timeMs, duplicates)
    if (againAfterMs > 0) {
      this.postponed.add({ dueMs: timeMs + lateByMs + againAfterMs, kind: 'duplicate', device, timeMs })
    }

    const which = poisonWith(device, timeMs, poison)
    if (which !== undefined) add(batch, 'poison', poisonAt(device, timeMs, which))
  }

  #takePostponed (batch: Batch): void {
    const { kind, device, timeMs } = this.postponed.takeNext()!
    add(batch, kind, recordAt(device, timeMs))
  }

  #moveTo (tick: number): void {
    this.#tick = tick
    this.#tickMs = this.#settings.fleet.timeAt(tick)
  }
}

function createBatch (): Batch {
  return { records: [], counts: { live: 0, backfill: 0, late: 0, duplicate: 0, poison: 0 } }
}

function add (batch: Batch, kind: SentKind, record: ProducedRecord): void {
  batch.records.push(record)
  batch.counts[kind]++
}
