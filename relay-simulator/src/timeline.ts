/**
 * All that a fleet sends, in the order in which it is sent: its events at their times, some of them late or once more,
 * poison between them. What is live and what is history differ only in who asks: the live stream takes what is due by
 * the clock, the backfill as much as the log can take.
 *
 *     tick ──▶ in time ─────────────────────▶ batch
 *      ├─────▶ late ──────▶ postponed ──due──▶ batch
 *      ├─────▶ once more ─▶ postponed ──due──▶ batch
 *      └─────▶ poison ──────────────────────▶ batch
 *
 * Events wait nowhere as objects, but for the postponed ones: the position in the fleet's ticks is the queue.
 */
import type { ProducedRecord } from 'relay-common'

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
  /** what an event that is sent in time counts as */
  readonly kind: 'live' | 'backfill'
  /** events at this time and after it */
  readonly startMs: number
  /** and before this one */
  readonly endMs?: number
  /** at most so many wait; past it the one that is due first is sent early, never dropped */
  readonly postponedMax?: number
}

/** About 100 bytes each: what 1 % late events of 3,000 a second come to. */
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

  /** Ticks that are still to come; Infinity for a timeline without an end. */
  get ticksLeft (): number { return this.#endTick - this.#tick }

  /** Time of the next event by the fleet's clock; Infinity behind the end. */
  get nextTickMs (): number { return this.#tick < this.#endTick ? this.#tickMs : Infinity }

  /** When something is to be sent again: an event, or one that was postponed. */
  get nextMs (): number { return Math.min(this.nextTickMs, this.postponed.nextDueMs) }

  /**
   * Takes what is to be sent before `untilMs`.
   * @param recordsMax most records; a poison record may come on top
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

  /** Takes what was postponed and is not due yet: for who stops, or has nobody to hand it to. */
  takeEarly (recordsMax: number): Batch {
    const batch = createBatch()
    while (this.postponed.size > 0 && batch.records.length < recordsMax) this.#takePostponed(batch)
    return batch
  }

  /** Gives another timeline what was postponed, to be sent by it when it is due. */
  handPostponedTo (other: Timeline): void {
    for (let event = this.postponed.takeNext(); event; event = this.postponed.takeNext()) other.postponed.add(event)
  }

  /** Leaves out what lies before a time. @returns how many events that were */
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
