import { timingSafeEqual } from 'node:crypto'

import { findApiKey, hashSecret, looksLikeApiKey, parseApiKey, touchApiKeys, type Database, type StoredApiKey } from 'relay-common'
import { LruMap } from 'toad-cache'

import type { Identified, Identify } from './principal.ts'

/** A revoked key is dead everywhere after this time at most: each process asks again then. */
const KEPT_MS = 3_000
/** More keys than are in use at a time; a flood of invented ids pushes others out, and they are read again. */
const KEPT_MAX = 10_000
const TOUCH_INTERVAL_MS = 60_000

export interface ApiKeys extends AsyncDisposable {
  readonly identify: Identify
}

/**
 * Keys from the table `api_keys`. A key is looked up once every three seconds, however often it is used; in between,
 * checking one costs a hash.
 * @param environment keys of any other are refused without a look
 */
export function openApiKeys (database: Database, environment: string): ApiKeys {
  const kept = new LruMap<Promise<StoredApiKey | undefined>>(KEPT_MAX, KEPT_MS)
  let used = new Set<string>()

  const find = (id: string) => {
    const known = kept.get(id)
    if (known) return known
    const found = findApiKey(database, id)
    kept.set(id, found)
    found.catch(() => kept.delete(id)) // whoever asks next may have more luck
    return found
  }

  const touch = async () => {
    const ids = [...used]
    used = new Set()
    await touchApiKeys(database, ids)
  }
  const timer = setInterval(() => { touch().catch(() => {}) }, TOUCH_INTERVAL_MS).unref() // a time of last use is worth no alarm

  return {
    async identify (credential) {
      if (!looksLikeApiKey(credential)) return undefined
      const parts = parseApiKey(credential)
      if (!parts) return refused('an API key that is not well formed')
      if (parts.environment !== environment) return refused(`an API key of the environment ${parts.environment}`)
      const stored = await find(parts.id)
      const fault = faultOf(stored, hashSecret(parts.secret), Date.now())
      if (fault !== undefined) return refused(`API key ${parts.id}: ${fault}`)
      used.add(parts.id)
      const { keyId, scopes, grants } = stored!
      return { kind: 'known', principal: { kind: 'api-key', id: `key:${keyId}`, scopes: new Set(scopes), grants } }
    },
    async [Symbol.asyncDispose] () {
      clearInterval(timer)
      await touch().catch(() => {})
    }
  }
}

function refused (reason: string): Identified {
  return { kind: 'refused', reason }
}

function faultOf (stored: StoredApiKey | undefined, secretHash: Buffer, nowMs: number): string | undefined {
  if (!stored) return 'there is none of this id'
  const isCurrent = timingSafeEqual(stored.secretHash, secretHash)
  const isFormer = stored.formerSecretHash !== undefined && timingSafeEqual(stored.formerSecretHash, secretHash)
  if (!isCurrent && !isFormer) return 'its secret is wrong'
  if (!isCurrent && nowMs >= stored.formerSecretUntilMs!) return 'its secret was rotated, and the overlap is over'
  if (stored.revokedAtMs !== undefined) return 'it was revoked'
  if (stored.expiresAtMs !== undefined && nowMs >= stored.expiresAtMs) return 'it has expired'
  return undefined
}
