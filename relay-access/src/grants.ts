/** What a caller may do (scopes), and for which devices (grants). */
import { ID_UNITS_MAX, isId, decodeClaims } from 'relay-rollups'

export const scopes = ['events:read', 'events:write', 'admin'] as const
export type Scope = typeof scopes[number]

/** The devices that a caller may see and send for. Both fields must allow a device. */
export interface Grants {
  /** undefined: all zones */
  readonly zones?: readonly string[]
  /** prefixes of device ids; undefined: all devices */
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

/** Grants for an event: those of its sender, and the device of its topic if the topic belongs to one. */
export interface EventGrants extends Grants {
  readonly deviceId?: string
}

/** Whether these grants forbid anything. */
export function isLimited ({ zones, devicePrefixes, deviceId }: EventGrants): boolean {
  return zones !== undefined || devicePrefixes !== undefined || deviceId !== undefined
}

/** @returns the field that is not granted; undefined: the event is allowed */
export function foreignField (grants: EventGrants, deviceId: string, zone: string): 'deviceId' | 'zone' | undefined {
  if (!maySendFor(grants, deviceId)) return 'deviceId'
  return mayZone(grants, zone) ? undefined : 'zone'
}

function maySendFor (grants: EventGrants, deviceId: string): boolean {
  return mayDevice(grants, deviceId) && (grants.deviceId === undefined || grants.deviceId === deviceId)
}

/**
 * What the bytes of a refused event claim beyond the grants of their sender.
 * @returns `unreadable`: their device or zone is unknown; undefined: everything is granted
 */
export function claimFault (
  grants: EventGrants, bytes: Uint8Array | null
): 'deviceId' | 'zone' | 'unreadable' | undefined {
  if (!isLimited(grants)) return undefined
  const claims = decodeClaims(bytes)
  if (!claims) return 'unreadable'
  const { deviceIds, zones } = claims
  const isText = (it: unknown): it is string => typeof it === 'string'
  if (deviceIds.some(it => isText(it) && !maySendFor(grants, it))) return 'deviceId'
  if (zones.some(it => isText(it) && !mayZone(grants, it))) return 'zone'
  const isReadable = deviceIds.length > 0 && zones.length > 0 && deviceIds.every(isText) && zones.every(isText)
  return isReadable ? undefined : 'unreadable'
}

/** The grants that matter for the claims of these bytes: the same result, in a size bounded by the bytes. */
export function narrowGrants (grants: EventGrants, bytes: Uint8Array | null): EventGrants {
  const { deviceIds = [], zones = [] } = decodeClaims(bytes) ?? {}
  const claimed = new Set(zones)
  const isClaimed = (prefix: string) => deviceIds.some(it => typeof it === 'string' && it.startsWith(prefix))
  return {
    ...grants,
    ...grants.zones ? { zones: grants.zones.filter(it => claimed.has(it)) } : {},
    ...grants.devicePrefixes ? { devicePrefixes: grants.devicePrefixes.filter(isClaimed) } : {}
  }
}

/** What both grants allow. */
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

/** Whether `outer` allows everything that `inner` allows. A caller can't give more than it has. */
export function isWithin (inner: Grants, outer: Grants): boolean {
  const zonesFit = outer.zones === undefined || (inner.zones?.every(it => outer.zones!.includes(it)) ?? false)
  const prefixesFit = outer.devicePrefixes === undefined ||
    (inner.devicePrefixes?.every(it => outer.devicePrefixes!.some(prefix => it.startsWith(prefix))) ?? false)
  return zonesFit && prefixesFit
}

/**
 * Checks grants before they are given. A text that matches no zone or device is a mistake. An empty prefix matches
 * every device, so it would be no limit.
 * @returns the field, and the fault in words that follow its name; undefined: none
 */
export function grantsFault ({ zones = [], devicePrefixes = [] }: Grants): {
  readonly field: keyof Grants, readonly fault: string
} | undefined {
  if (!zones.every(isId)) return { field: 'zones', fault: 'contains an invalid zone name' }
  const isPrefix = (text: string) => text !== '' &&
    text.length <= ID_UNITS_MAX && text.isWellFormed() && !/\p{Cc}/u.test(text)
  if (!devicePrefixes.every(isPrefix)) return { field: 'devicePrefixes', fault: 'contains an invalid device id prefix' }
  return undefined
}
