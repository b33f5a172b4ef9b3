/** Which events of a request can be taken: those that the processor can decode, and that the caller may send. */
import {
  decodeEvent, mayDevice, mayZone, rejectedReasons, type EventRules, type FieldName, type Grants, type ProducedRecord,
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
  readonly grants: Grants
  /** the one device that events may be of; undefined: any that is granted */
  readonly deviceId?: string
}

/** @param nowMs the clock, for events from the future */
export function sortItems (
  items: readonly Uint8Array[], { rules, grants, deviceId: only }: Allowed, nowMs: number
): Sorted {
  const records: ProducedRecord[] = []
  const refused: Refused[] = []
  for (const [index, item] of items.entries()) {
    const decoded = decodeEvent(item, rules, nowMs)
    if (decoded.kind === 'rejected') {
      const { reason, field, detail } = decoded
      refused.push({ index, reason, ...(field ? { field } : {}), detail })
      continue
    }
    const { deviceId, zone } = decoded.event
    const isDeviceAllowed = mayDevice(grants, deviceId) && (only === undefined || only === deviceId)
    const field = !isDeviceAllowed ? 'deviceId' : !mayZone(grants, zone) ? 'zone' : undefined
    if (field) {
      refused.push({ index, reason: 'not-granted', field, detail: `this caller may not send for this ${field}` })
      continue
    }
    records.push({ key: deviceId, value: Buffer.from(item.buffer, item.byteOffset, item.byteLength) })
  }
  return { records, refused }
}
