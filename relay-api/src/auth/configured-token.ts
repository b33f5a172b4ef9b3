import { hash, timingSafeEqual } from 'node:crypto'

import { everything, scopes } from 'relay-access'

import type { Identifier } from './principal.ts'

/** Shorter tokens, chosen by people, might be guessed: comparing is too cheap to slow guessing down. */
export const UNGUESSABLE_CHARACTERS_MIN = 16

/**
 * Configured tokens (`API_TOKENS`), which allow everything. All hashes are compared each time, so timing reveals
 * nothing.
 */
export function identifyConfiguredToken (tokens: readonly string[]): Identifier {
  const known = tokens.map(digest)
  const principals = known.map(it => ({
    kind: 'configured-token' as const,
    id: `token:${it.toString('hex').slice(0, 8)}`,
    scopes: new Set(scopes),
    grants: everything
  }))
  return {
    identify (credential) {
      const given = digest(credential)
      let found = -1
      for (let n = 0; n < known.length; n++) if (timingSafeEqual(known[n], given)) found = n
      return found === -1 ? undefined : { kind: 'known', principal: principals[found] }
    },
    isUnguessable: credential => credential.length >= UNGUESSABLE_CHARACTERS_MIN
  }
}

function digest (text: string): Buffer {
  return hash('sha256', text, 'buffer')
}
