/** What a caller may do (scopes), and about which devices (grants). */
import { ID_UNITS_MAX, isId } from '../event.ts'

export const scopes = ['events:read', 'events:write', 'admin'] as const
export type Scope = typeof scopes[number]

/** Which devices a caller may see and send for: those that both fields allow. */
export interface Grants {
  /** undefined: all zones */
  readonly zones?: readonly string[]
  /** beginnings of device ids; undefined: all devices */
  readonly devicePrefixes?: readonly string[]
}

export const everything: Grants = {}

export function isScope (text: string): text is Scope {
  return (scopes as readonly string[]).includes(text)
}

export function mayZone ({ zones }: Grants, zone: string): boolean {
  return zones === undefined || zones.includes(zone)
}

export function mayDevice ({ devicePrefixes }: Grants, deviceId: string): boolean {
  return devicePrefixes === undefined || devicePrefixes.some(prefix => deviceId.startsWith(prefix))
}

/** Whether `inner` allows nothing that `outer` does not: a caller can't hand out more than it has. */
export function isWithin (inner: Grants, outer: Grants): boolean {
  const zonesFit = outer.zones === undefined || (inner.zones?.every(it => outer.zones!.includes(it)) ?? false)
  const prefixesFit = outer.devicePrefixes === undefined ||
    (inner.devicePrefixes?.every(it => outer.devicePrefixes!.some(prefix => it.startsWith(prefix))) ?? false)
  return zonesFit && prefixesFit
}

/**
 * What is wrong with grants that are to be given: a text that no zone and no device can match is a mistake, and an empty
 * prefix, with which every device begins, would be no limit at all.
 * @returns the field, and the fault in words that follow its name; undefined: nothing
 */
export function grantsFault ({ zones = [], devicePrefixes = [] }: Grants): { readonly field: keyof Grants, readonly fault: string } | undefined {
  if (!zones.every(isId)) return { field: 'zones', fault: 'holds a text that is no name of a zone' }
  const isPrefix = (text: string) => text !== '' && text.length <= ID_UNITS_MAX && text.isWellFormed() && !/\p{Cc}/u.test(text)
  if (!devicePrefixes.every(isPrefix)) return { field: 'devicePrefixes', fault: 'holds a text that is no beginning of a device id' }
  return undefined
}
