/**
 * Identifies credentials from an address. Failures block an address, but never known callers:
 *
 *     credential ──was good before──────────────────────────▶ identified again, from memory for the most part
 *         │ not seen before
 *         ▼
 *     address is blocked, or asks too often ──no────────────▶ identified; one that is not accepted counts as a failure
 *         │ yes
 *         ▼
 *     can be checked cheaply, and can't be guessed ──yes────▶ identified
 *         │ no
 *         ▼
 *     has to wait
 */
import { hash } from 'node:crypto'

import { LruMap } from 'toad-cache'

import type { Strangers } from './rate-limits.ts'
import type { Identified, Identifier } from './principal.ts'

/** The result for a credential; `waitS`: it was not checked. */
export type Passed = Identified | { readonly kind: 'blocked', readonly waitS: number }

export interface Gate {
  /** Not a promise if cached: nearly all requests have a known credential. */
  pass (credential: string, address: string): Passed | Promise<Passed>
  /** Counts a request without a credential. @returns seconds for which its address must wait; 0: none */
  askWithout (address: string): number
  /** Identifies again, for a long answer. */
  passAgain (credential: string): Promise<Identified>
}

/** Only valid credentials get in here, so no unknown caller can evict them. */
const GOOD_KEPT_MAX = 20_000
const GOOD_KEPT_MS = 60 * 60 * 1000

/** @param identifiers tried in order; the first that knows the kind of a credential decides */
export function createGate (identifiers: readonly Identifier[], strangers: Strangers): Gate {
  const good = new LruMap<true>(GOOD_KEPT_MAX, GOOD_KEPT_MS)

  const identify = async (credential: string, first = 0): Promise<Identified> => {
    for (const it of identifiers.slice(first)) {
      const identified = await it.identify(credential)
      if (identified) return identified
    }
    return { kind: 'refused', reason: 'an unknown bearer token' }
  }

  /** The same, if possible without a wait. */
  const identifyNow = (credential: string): Identified | Promise<Identified> => {
    for (let n = 0; n < identifiers.length; n++) {
      const identified = identifiers[n].identify(credential)
      if (identified instanceof Promise) return identified.then(it => it ?? identify(credential, n + 1))
      if (identified) return identified
    }
    return identify(credential, identifiers.length)
  }

  const passUnknown = async (
    credential: string, name: string, address: string, asked: Identified | Promise<Identified> | undefined
  ): Promise<Passed> => {
    let waitS = 0
    if (asked === undefined) {
      waitS = strangers.ask(address) || await strangers.blockedForS(address)
      if (waitS > 0 && !identifiers.some(it => it.isUnguessable(credential))) return { kind: 'blocked', waitS }
    }
    const identified = await (asked ?? identify(credential))
    if (identified.kind === 'known') {
      good.set(name, true)
      return identified
    }
    good.delete(name)
    if (waitS > 0) return { kind: 'blocked', waitS }
    await strangers.fail(address)
    return identified
  }

  return {
    askWithout: address => strangers.ask(address),
    passAgain: identify,
    pass (credential, address) {
      const name = hash('sha256', credential, 'base64url')
      if (good.get(name) === undefined) return passUnknown(credential, name, address, undefined)
      const identified = identifyNow(credential)
      if (identified instanceof Promise || identified.kind !== 'known') {
        return passUnknown(credential, name, address, identified)
      }
      good.set(name, true)
      return identified
    }
  }
}
