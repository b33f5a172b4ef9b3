/** An attack: who makes it, with what, and what must hold. One file per kind, in `cases/`. */
import type { Scope } from 'relay-access'

import type { Attacker } from './attacker.ts'
import type { Site } from './site.ts'

/**
 *     stranger    reaches the ports, has no token
 *     read key    may read one zone, and in it the devices of one prefix
 *     write key   may send for one zone and one prefix
 *     admin       may do everything, and makes a typing error
 */
export type Who = 'stranger' | 'read key' | 'write key' | 'admin'

/** A key for one attack, so that no attack meets budgets used up by another. */
export interface KeyWanted {
  readonly scopes: readonly Scope[]
  /** undefined: all */
  readonly zones?: readonly string[]
  readonly devicePrefixes?: readonly string[]
}

export interface Attack {
  /** value for `--only`: `kind/what` in kebab-case */
  readonly name: string
  readonly who: Who
  /** what is sent, its size and its pace, for people */
  readonly input: string
  /** what must hold besides the common conditions (`judge.ts`), for people */
  readonly holds?: string
  /** default: the restricted key of `who` */
  readonly key?: KeyWanted
  /** duration; after twice this time its process is killed */
  readonly spanMs?: number
  /** time in which the site must close the connections that it leaves open */
  readonly closedWithinMs?: number
  /** Runs in the process of attackers, which can't see the inside of the site. */
  run (attacker: Attacker): Promise<void>
  /**
   * Checks the site from inside afterwards.
   * @param number of the attempt
   * @returns broken promises
   */
  verify? (site: Site, number: number): Promise<readonly string[]>
}

/** Zone of restricted keys, with their device prefix: a large zone of 300,000 devices. */
export const OWN_ZONE = 'Large'
export const OWN_PREFIX = 'large-'
/** Zone that no attacker may touch. A series in this zone, or of such a device, means that a grant failed. */
export const VAULT_ZONE = 'Vault'
export const VAULT_PREFIX = 'vault-'

export const restrictedRead: KeyWanted = { scopes: ['events:read'], zones: [OWN_ZONE], devicePrefixes: [OWN_PREFIX] }
export const restrictedWrite: KeyWanted = { scopes: ['events:write'], zones: [OWN_ZONE], devicePrefixes: [OWN_PREFIX] }
/** eight of nine devices of the zone, so that no group equals what it may see */
export const partialRead: KeyWanted = {
  scopes: ['events:read'],
  zones: [OWN_ZONE],
  devicePrefixes: Array.from(
    { length: 8 }, (_, n) => `${OWN_PREFIX}${n + 1}`
  )
}
/** as for a dashboard */
export const readEverything: KeyWanted = { scopes: ['events:read'] }

export function keyOf ({ key, who }: Attack): KeyWanted | undefined {
  return key ?? (who === 'read key' ? restrictedRead : who === 'write key' ? restrictedWrite : undefined)
}

/** The kind of an attack: its name up to the slash. */
export function kindOf (name: string): string {
  return name.slice(0, name.indexOf('/'))
}
