/** What an attack is: who makes it, with what, and what must hold all the same. One file for each kind, in `cases/`. */
import type { Scope } from 'relay-common'

import type { Attacker } from './attacker.ts'
import type { Site } from './site.ts'

/**
 *     stranger    reaches the ports, has no token
 *     read key    may read one zone, and in it the devices of one prefix
 *     write key   may send for one zone and one prefix
 *     admin       may do everything, and makes a typing error
 */
export type Who = 'stranger' | 'read key' | 'write key' | 'admin'

/** A key that is made for one attack alone, so that no attack finds the budgets that another has used up. */
export interface KeyWanted {
  readonly scopes: readonly Scope[]
  /** undefined: all */
  readonly zones?: readonly string[]
  readonly devicePrefixes?: readonly string[]
}

export interface Attack {
  /** what `--only` takes: `kind/what` in kebab-case */
  readonly name: string
  readonly who: Who
  /** what is sent and how large it is, how it is paced, for people */
  readonly input: string
  /** what must hold besides what holds for every attack (`judge.ts`), for people */
  readonly holds?: string
  /** default: the restricted key of `who` */
  readonly key?: KeyWanted
  /** how long it goes on; it is given this much once more to end, and then its process is killed */
  readonly spanMs?: number
  /** connections that it leaves open must be closed by the site so long after they were opened */
  readonly closedWithinMs?: number
  /** Runs in the process of attackers, which can't see the site from inside. */
  run (attacker: Attacker): Promise<void>
  /**
   * Looks at the site from inside afterwards.
   * @param number of the attempt
   * @returns promises that were broken
   */
  verify? (site: Site, number: number): Promise<readonly string[]>
}

/** Zone and prefix of the devices that restricted keys may read, and send for: a large zone of 300,000 devices. */
export const OWN_ZONE = 'Large'
export const OWN_PREFIX = 'large-'
/** What no attacker may touch. A series of this zone, or of such a device, means that a grant did not hold. */
export const VAULT_ZONE = 'Vault'
export const VAULT_PREFIX = 'vault-'

export const restrictedRead: KeyWanted = { scopes: ['events:read'], zones: [OWN_ZONE], devicePrefixes: [OWN_PREFIX] }
export const restrictedWrite: KeyWanted = { scopes: ['events:write'], zones: [OWN_ZONE], devicePrefixes: [OWN_PREFIX] }
/** eight of nine devices of the zone: no group of devices is exactly what it may see */
export const partialRead: KeyWanted = { scopes: ['events:read'], zones: [OWN_ZONE], devicePrefixes: Array.from({ length: 8 }, (_, n) => `${OWN_PREFIX}${n + 1}`) }
/** a dashboard's */
export const readEverything: KeyWanted = { scopes: ['events:read'] }

export function keyOf ({ key, who }: Attack): KeyWanted | undefined {
  return key ?? (who === 'read key' ? restrictedRead : who === 'write key' ? restrictedWrite : undefined)
}

/** The kind of an attack: what stands before the slash of its name. */
export function kindOf (name: string): string {
  return name.slice(0, name.indexOf('/'))
}
