import { timingSafeEqual } from 'node:crypto'

import { findApiKeys, hashSecret, looksLikeApiKey, parseApiKey, touchApiKeys, type StoredApiKey } from 'relay-access'
import { RelayError, type Database } from 'relay-common'
import { LruMap } from 'toad-cache'

import { isAway } from '../guarded-database.ts'
import type { Identified, Identifier } from './principal.ts'

/** A revoked key is invalid everywhere after at most this time, because each process looks it up again. */
const KEPT_MS = 3_000
/** While the database is unreachable nobody can revoke a key there either, so cached keys stay valid for so long. */
const KEPT_WHILE_AWAY_MS = 5 * 60_000
/** More keys than are used at a time; a flood of invented ids evicts others, which are read again. */
const KEPT_MAX = 10_000
const TOUCH_INTERVAL_MS = 60_000

/** Look-ups that may wait for the one in progress. */
const WAITING_MAX = 5_000

export interface ApiKeys extends Identifier, AsyncDisposable {}

/**
 * Keys from the table `api_keys`. A key is looked up once in three seconds; in between, a check costs a hash. One
 * statement looks up all keys that are requested during the previous one, so a flood of invented ids makes it larger,
 * but sends no others.
 * @param environment keys of any other are refused without a look-up
 */
export function openApiKeys (database: Database, environment: string): ApiKeys {
  const kept = new LruMap<Promise<StoredApiKey | undefined>>(KEPT_MAX, KEPT_MS)
  const lookUp = createLookUp(database)
  const good = new LruMap<StoredApiKey>(KEPT_MAX, KEPT_WHILE_AWAY_MS)
  let used = new Set<string>()

  const ask = async (id: string) => {
    try {
      const stored = await lookUp(id)
      if (stored) good.set(id, stored)
      else good.delete(id)
      return stored
    } catch (error) {
      const before = good.get(id)
      if (!before || !isAway(error)) throw error
      return before
    }
  }
  const find = (id: string) => {
    const known = kept.get(id)
    if (known) return known
    const found = ask(id)
    kept.set(id, found)
    found.catch(() => kept.delete(id)) // the next request tries again
    return found
  }

  const touch = async () => {
    const ids = [...used]
    used = new Set()
    await touchApiKeys(database, ids)
  }
  // the time of last use is not worth an alert
  const timer = setInterval(() => { touch().catch(() => {}) }, TOUCH_INTERVAL_MS).unref()

  return {
    async identify (credential) {
      if (!looksLikeApiKey(credential)) return undefined
      const parts = parseApiKey(credential)
      if (!parts) return refused('a malformed API key')
      if (parts.environment !== environment) return refused(`an API key of environment ${parts.environment}`)
      const stored = await find(parts.id)
      const fault = faultOf(stored, hashSecret(parts.secret), Date.now())
      if (fault !== undefined) return refused(`API key ${parts.id}: ${fault}`)
      used.add(parts.id)
      const { keyId, scopes, grants } = stored!
      return { kind: 'known', principal: { kind: 'api-key', id: `key:${keyId}`, scopes: new Set(scopes), grants } }
    },
    isUnguessable: credential => looksLikeApiKey(credential) && parseApiKey(credential)?.environment === environment,
    async [Symbol.asyncDispose] () {
      clearInterval(timer)
      await touch().catch(() => {})
    }
  }
}

function createLookUp (database: Database): (id: string) => Promise<StoredApiKey | undefined> {
  let waiting = new Map<string, PromiseWithResolvers<StoredApiKey | undefined>>()
  let isUnderWay = false

  const run = async () => {
    isUnderWay = true
    while (waiting.size > 0) {
      const asked = waiting
      waiting = new Map()
      try {
        const found = new Map((await findApiKeys(database, [...asked.keys()])).map(it => [it.keyId, it]))
        for (const [id, it] of asked) it.resolve(found.get(id))
      } catch (error) {
        for (const it of asked.values()) it.reject(error)
      }
    }
    isUnderWay = false
  }

  return id => {
    const known = waiting.get(id)
    if (known) return known.promise
    if (waiting.size >= WAITING_MAX) {
      return Promise.reject(new RelayError(
        'RELAY_RATE_LIMITED', 'too many API key look-ups in progress; try again later'
      ))
    }
    const asked = Promise.withResolvers<StoredApiKey | undefined>()
    waiting.set(id, asked)
    if (!isUnderWay) run()
    return asked.promise
  }
}

function refused (reason: string): Identified {
  return { kind: 'refused', reason }
}

function faultOf (stored: StoredApiKey | undefined, secretHash: Buffer, nowMs: number): string | undefined {
  if (!stored) return 'unknown id'
  const isCurrent = timingSafeEqual(stored.secretHash, secretHash)
  const isFormer = stored.formerSecretHash !== undefined && timingSafeEqual(stored.formerSecretHash, secretHash)
  if (!isCurrent && !isFormer) return 'wrong secret'
  if (!isCurrent && nowMs >= stored.formerSecretUntilMs!) return 'its secret was rotated and its overlap has ended'
  if (stored.revokedAtMs !== undefined) return 'it was revoked'
  if (stored.expiresAtMs !== undefined && nowMs >= stored.expiresAtMs) return 'it has expired'
  return undefined
}
