/**
 * Which events of a request can be taken: those that the caller may send, and that the processor can decode. Grants come
 * before all else: an event of somebody else's is refused as such, whatever else is wrong with it, where it can be read.
 */
import {
  claimFault, decodeEvent, EVENT_BYTES_MAX, foreignField, ingestReasons, rejectedReasons, type DeviceEvent, type EventGrants,
  type EventRules, type FieldName, type ProducedRecord
} from 'relay-common'

import { excessOf } from './complexity.ts'

/** Why an item is refused. */
export const refusedReasons = {
  ...rejectedReasons,
  ...ingestReasons,
  'not-granted': 'The caller may not send for this device or zone, or not by this topic.'
} as const

export type RefusedReason = keyof typeof refusedReasons

export interface Refused {
  /** which item of the request, from 0 */
  readonly index: number
  readonly reason: RefusedReason
  readonly field?: FieldName
  /** one line for people */
  readonly detail: string
}

/** An event that may go into the log. */
export interface Taken {
  /** which item of the request, from 0 */
  readonly index: number
  readonly event: DeviceEvent
  readonly record: ProducedRecord
}

export interface Sorted {
  /** in the order of the request */
  readonly taken: readonly Taken[]
  readonly refused: readonly Refused[]
}

/** What may be sent. */
export interface Allowed {
  readonly rules: EventRules
  readonly grants: EventGrants
}

/** Sorts the items of one request, one at a time. */
export class Sorting implements Sorted {
  readonly taken: Taken[] = []
  readonly refused: Refused[] = []
  readonly #allowed: Allowed
  readonly #nowMs: number
  #index = 0

  /** @param nowMs the clock, for events from the future */
  constructor (allowed: Allowed, nowMs: number) {
    this.#allowed = allowed
    this.#nowMs = nowMs
  }

  /** @returns the event, where it may go into the log */
  add (item: Uint8Array): Taken | undefined {
    const index = this.#index++
    const { rules, grants } = this.#allowed
    const excess = item.length > EVENT_BYTES_MAX ? undefined : excessOf(item) // what is oversized is not read at all
    const decoded = excess === undefined
      ? decodeEvent(item, rules, this.#nowMs)
      : { kind: 'rejected', reason: 'too-complex', field: undefined, detail: excess } as const
    const foreign = decoded.kind === 'event'
      ? foreignField(grants, decoded.event.deviceId, decoded.event.zone)
      : excess === undefined ? foreignClaim(grants, item) : undefined // it is not taken, and not worth being parsed
    if (foreign) {
      this.refused.push({ index, reason: 'not-granted', field: foreign, detail: `this caller may not send for this ${foreign}` })
      return undefined
    }
    if (decoded.kind === 'rejected') {
      const { reason, field, detail } = decoded
      this.refused.push({ index, reason, ...(field ? { field } : {}), detail })
      return undefined
    }
    const { event } = decoded
    const value = Buffer.from(item.buffer, item.byteOffset, item.byteLength)
    const taken = { index, event, record: { key: event.deviceId, value } }
    this.taken.push(taken)
    return taken
  }
}

/** Of what is no event, as far as it can be read. */
function foreignClaim (grants: EventGrants, item: Uint8Array): 'deviceId' | 'zone' | undefined {
  const fault = claimFault(grants, item)
  return fault === 'unreadable' ? undefined : fault
}
