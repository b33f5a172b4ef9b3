/**
 * Decides which events of a request are accepted: those that the caller may send and the processor can decode. Grants
 * come first: an event outside of the grants is refused for that, whatever else is wrong, if that can be read.
 *
 *     item ──scanEvent──▶ its series is known, its time has rollups ──granted──▶ taken        nearly all: 0.4 us
 *       │ not taken             │ no                    │ no
 *       └───────────────────────┴───────────────────────┴──▶ decodeEvent ──▶ taken; maybeNew if it may create a series or zone
 *                                                                  └──▶ refused
 */
import { claimFault, foreignField, isLimited, type EventGrants } from 'relay-access'
import { ingestReasons } from 'relay-dead-letters'
import type { ProducedRecord } from 'relay-event-log'
import {
  createScannedEvent, decodeEvent, EVENT_BYTES_MAX, oldestTakenMs, rejectedReasons, scanEvent, type DeviceEvent,
  type EventRules, type FieldName, type ScannedEvent
} from 'relay-rollups'

import { excessOf, isSurelySimple } from './complexity.ts'

/** Reasons to refuse an item. */
export const refusedReasons = {
  ...rejectedReasons,
  ...ingestReasons,
  'not-granted': 'The caller may not send for this device or zone, or not on this topic.'
} as const

export type RefusedReason = keyof typeof refusedReasons

export interface Refused {
  /** index of the item in the request, from 0 */
  readonly index: number
  readonly reason: RefusedReason
  readonly field?: FieldName
  /** one line for people */
  readonly detail: string
}

/** An acceptable event that may create a series, zone or partition. */
export interface MaybeNew {
  /** index of the item in the request, from 0 */
  readonly index: number
  readonly event: DeviceEvent
  readonly record: ProducedRecord
}

/** What may be sent. */
export interface Allowed {
  readonly rules: EventRules
  readonly grants: EventGrants
}

/** What exists already. */
export interface Known {
  /** Whether an event creates nothing, as far as memory knows. */
  isFree (event: DeviceEvent, nowMs: number): boolean
  /** The same for an event in the bytes of a body. */
  isScannedFree (event: ScannedEvent, nowMs: number): boolean
}

/** One for all requests: nothing of it is kept. */
const scanned = createScannedEvent()

/** Sorts the items of one request, one by one. */
export class Sorting {
  /** in the order of the request */
  readonly records: ProducedRecord[] = []
  readonly refused: Refused[] = []
  /** the part of `records` that may create something */
  readonly maybeNew: MaybeNew[] = []
  readonly #body: Buffer
  readonly #allowed: Allowed
  readonly #known: Known
  readonly #nowMs: number
  readonly #oldestMs: number
  readonly #newestMs: number
  readonly #isLimited: boolean
  #index = 0

  /**
   * @param body contains the items
   * @param nowMs the clock, for events in the future
   */
  constructor (body: Buffer, allowed: Allowed, known: Known, nowMs: number) {
    const { rules, grants } = allowed
    this.#body = body
    this.#allowed = allowed
    this.#known = known
    this.#nowMs = nowMs
    this.#oldestMs = oldestTakenMs(rules, nowMs)
    this.#newestMs = nowMs + rules.futureMaxMs
    this.#isLimited = isLimited(grants)
  }

  add (item: Buffer): void {
    const index = this.#index++
    const key = isSurelySimple(item) ? this.#keyOfKnown(item) : undefined
    if (key) this.records.push({ key, value: item })
    else this.#addDecoded(index, item)
  }

  /** @returns the device id of an acceptable event that creates nothing; undefined: use `decodeEvent` */
  #keyOfKnown (item: Buffer): Buffer | undefined {
    const start = item.byteOffset - this.#body.byteOffset
    if (!scanEvent(this.#body, start, start + item.length, scanned)) return undefined
    const { timestampMs, deviceIdStart, deviceIdEnd, zoneStart, zoneEnd } = scanned
    if (timestampMs < this.#oldestMs || timestampMs > this.#newestMs) return undefined
    // so its names are valid, and its type is known
    if (!this.#known.isScannedFree(scanned, this.#nowMs)) return undefined
    if (this.#isLimited) {
      const deviceId = this.#body.toString('utf8', deviceIdStart, deviceIdEnd)
      if (foreignField(this.#allowed.grants, deviceId, this.#body.toString('utf8', zoneStart, zoneEnd))) {
        return undefined
      }
    }
    return this.#body.subarray(deviceIdStart, deviceIdEnd)
  }

  #addDecoded (index: number, item: Buffer): void {
    const { rules, grants } = this.#allowed
    const excess = item.length > EVENT_BYTES_MAX ? undefined : excessOf(item) // oversized items are not read at all
    const decoded = excess === undefined
      ? decodeEvent(item, rules, this.#nowMs)
      : { kind: 'rejected', reason: 'too-complex', field: undefined, detail: excess } as const
    const foreign = decoded.kind === 'event'
      ? foreignField(grants, decoded.event.deviceId, decoded.event.zone)
      : excess === undefined ? foreignClaim(grants, item) : undefined // it is refused, and not worth parsing
    if (foreign) {
      this.refused.push({
        index, reason: 'not-granted', field: foreign, detail: `this caller may not send for this ${foreign}`
      })
    } else if (decoded.kind === 'rejected') {
      const { reason, field, detail } = decoded
      this.refused.push({ index, reason, ...(field ? { field } : {}), detail })
    } else {
      const { event } = decoded
      const record = { key: event.deviceId, value: item }
      this.records.push(record)
      if (!this.#known.isFree(event, this.#nowMs)) this.maybeNew.push({ index, event, record })
    }
  }
}

/** For invalid events, as far as they can be read. */
function foreignClaim (grants: EventGrants, item: Uint8Array): 'deviceId' | 'zone' | undefined {
  const fault = claimFault(grants, item)
  return fault === 'unreadable' ? undefined : fault
}
