/** What a caller may do (scopes), and about which devices (grants). */
import { ID_UNITS_MAX, isId, readClaims } from '../event.ts'

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

/** What an event may be of: what its sender may send, and the one device that its topic is of, where it is. */
export interface EventGrants extends Grants {
  readonly deviceId?: string
}

/** Whether there is anything that these grants do not allow. */
export function isLimited ({ zones, devicePrefixes, deviceId }: EventGrants): boolean {
  return zones !== undefined || devicePrefixes !== undefined || deviceId !== undefined
}

/** @returns the field by which an event is of somebody else; undefined: it is allowed */
export function foreignField (grants: EventGrants, deviceId: string, zone: string): 'deviceId' | 'zone' | undefined {
  if (!maySendFor(grants, deviceId)) return 'deviceId'
  return mayZone(grants, zone) ? undefined : 'zone'
}

function maySendFor (grants: EventGrants, deviceId: string): boolean {
  return mayDevice(grants, deviceId) && (grants.deviceId === undefined || grants.deviceId === deviceId)
}

/**
 * What bytes that were refused claim beyond the grants of their sender.
 * @returns `unreadable`: it can't be known whose they are; undefined: all that they claim is allowed
 */
export function claimFault (grants: EventGrants, bytes: Uint8Array | null): 'deviceId' | 'zone' | 'unreadable' | undefined {
  if (!isLimited(grants)) return undefined
  const claims = readClaims(bytes)
  if (!claims) return 'unreadable'
  const { deviceIds, zones } = claims
  const isText = (it: unknown): it is string => typeof it === 'string'
  if (deviceIds.some(it => isText(it) && !maySendFor(grants, it))) return 'deviceId'
  if (zones.some(it => isText(it) && !mayZone(grants, it))) return 'zone'
  const isReadable = deviceIds.length > 0 && zones.length > 0 && deviceIds.every(isText) && zones.every(isText)
  return isReadable ? undefined : 'unreadable'
}

/** The part of grants that is about what bytes claim: they say the same of these bytes, and are as short as those. */
export function narrowGrants (grants: EventGrants, bytes: Uint8Array | null): EventGrants {
  const { deviceIds = [], zones = [] } = readClaims(bytes) ?? {}
  const claimed = new Set(zones)
  const isClaimed = (prefix: string) => deviceIds.some(it => typeof it === 'string' && it.startsWith(prefix))
  return {
    ...grants,
    ...grants.zones ? { zones: grants.zones.filter(it => claimed.has(it)) } : {},
    ...grants.devicePrefixes ? { devicePrefixes: grants.devicePrefixes.filter(isClaimed) } : {}
  }
}

/** What both allow. */
export function intersectGrants (one: EventGrants, other: Grants): EventGrants {
  const zones = one.zones && other.zones ? one.zones.filter(it => other.zones!.includes(it)) : one.zones ?? other.zones
  const devicePrefixes = one.devicePrefixes && other.devicePrefixes
    ? [
        ...one.devicePrefixes.filter(it => other.devicePrefixes!.some(prefix => it.startsWith(prefix))),
        ...other.devicePrefixes.filter(it => one.devicePrefixes!.some(prefix => it.startsWith(prefix)))
      ]
    : one.devicePrefixes ?? other.devicePrefixes
  return {
    ...one.deviceId === undefined ? {} : { deviceId: one.deviceId },
    ...zones ? { zones } : {},
    ...devicePrefixes ? { devicePrefixes } : {}
  }
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
  if (!zones.every(isId)) return { field: 'zones', fault: 'contains an invalid zone name' }
  const isPrefix = (text: string) => text !== '' && text.length <= ID_UNITS_MAX && text.isWellFormed() && !/\p{Cc}/u.test(text)
  if (!devicePrefixes.every(isPrefix)) return { field: 'devicePrefixes', fault: 'contains an invalid device id prefix' }
  return undefined
}
