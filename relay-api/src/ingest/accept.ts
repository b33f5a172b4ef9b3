/**
 * Which events of a request can be taken: those that the caller may send, and that the processor can decode. Grants come
 * before all else: an event of somebody else's is refused as such, whatever else is wrong with it.
 */
import {
  claimFault, decodeEvent, foreignField, rejectedReasons, type EventGrants, type EventRules, type FieldName, type ProducedRecord,
  type RejectedReason
} from 'relay-common'

/** Why an item is refused. */
export const refusedReasons = {
  ...rejectedReasons,
  'not-granted': 'The caller may not send for this device or zone, or not by this topic.'
} as const

export type RefusedReason = RejectedReason | 'not-granted'

export interface Refused {
  /** which item of the request, from 0 */
  readonly index: number
  readonly reason: RefusedReason
  readonly field?: FieldName
  /** one line for people */
  readonly detail: string
}

export interface Sorted {
  /** for the event log, in the order of the request */
  readonly records: readonly ProducedRecord[]
  readonly refused: readonly Refused[]
}

/** What may be sent. */
export interface Allowed {
  readonly rules: EventRules
  readonly grants: EventGrants
}

/** @param nowMs the clock, for events from the future */
export function sortItems (items: readonly Uint8Array[], { rules, grants }: Allowed, nowMs: number): Sorted {
  const records: ProducedRecord[] = []
  const refused: Refused[] = []
  for (const [index, item] of items.entries()) {
    const decoded = decodeEvent(item, rules, nowMs)
    const foreign = decoded.kind === 'event'
      ? foreignField(grants, decoded.event.deviceId, decoded.event.zone)
      : foreignClaim(grants, item)
    if (foreign) {
      refused.push({ index, reason: 'not-granted', field: foreign, detail: `this caller may not send for this ${foreign}` })
    } else if (decoded.kind === 'rejected') {
      const { reason, field, detail } = decoded
      refused.push({ index, reason, ...(field ? { field } : {}), detail })
    } else {
      records.push({ key: decoded.event.deviceId, value: Buffer.from(item.buffer, item.byteOffset, item.byteLength) })
    }
  }
  return { records, refused }
}

/** Of what is no event, as far as it can be read. */
function foreignClaim (grants: EventGrants, item: Uint8Array): 'deviceId' | 'zone' | undefined {
  const fault = claimFault(grants, item)
  return fault === 'unreadable' ? undefined : fault
}
