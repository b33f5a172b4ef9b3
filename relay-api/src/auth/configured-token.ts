import { hash, timingSafeEqual } from 'node:crypto'

import { everything, scopes } from 'relay-common'

import type { Identifier } from './principal.ts'

/** Guesses of shorter tokens might hit one that somebody made up; the comparison itself is cheap for all. */
export const GUESSABLE_CHARACTERS = 16

/**
 * Tokens that configuration gives (`API_TOKENS`). Whoever knows one may do everything. They are compared by their
 * hashes, all of them each time, so that the time of an answer tells nothing about them.
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
    isUnguessable: credential => credential.length >= GUESSABLE_CHARACTERS
  }
}

function digest (text: string): Buffer {
  return hash('sha256', text, 'buffer')
}
