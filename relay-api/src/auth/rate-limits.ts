/**
 * Rate limits: per known principal, and far lower per address for unknown callers. IPv6 addresses count by their /64,
 * which one household has.
 *
 *     strangers         requests without a credential, or with one that is not known yet
 *     failed logins     credentials that were not accepted; past the limit an address is blocked, which is to say that its
 *                       further unknown credentials are checked only where that is cheap and guessing is hopeless
 *
 * Both are counted in memory. If API processes count together, failed logins are also counted in the database, with at
 * most STATEMENTS_PER_S statements, so that unknown callers can't keep it busy.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { normaliseAddress, RelayError, type Database } from 'relay-common'

import { countFailure, countRequest, readFailures } from './rate-limit-store.ts'
import { createWindowCounter, KEYS_KEPT_MAX, type WindowCount } from './window-counter.ts'

export interface LimitSettings {
  readonly strangersMax: number
  readonly perPrincipalMax: number
  readonly failedLoginsMax: number
  readonly windowMs: number
  /** callers whose counts one process keeps; beyond that it forgets the one that was quiet for longest */
  readonly callersKeptMax?: number
  /** for API processes that count together; undefined: each for itself */
  readonly database?: Database
}

/** The history of an address without a known caller. */
export interface Strangers {
  /** Counts a request. @returns seconds for which the address must wait because of too many requests; 0: none */
  ask (address: string): number
  /** seconds for which the address must wait because of too many invalid credentials; 0: none */
  blockedForS (address: string): Promise<number>
  /** Counts an invalid credential. */
  fail (address: string): Promise<void>
}

export interface RequestLimits {
  readonly strangers: Strangers
  /** refuses principals with too many requests, and adds the rest of the limit to each answer */
  readonly byPrincipal: (app: FastifyInstance) => void
}

const STATEMENTS_PER_S = 50

export function openLimits (settings: LimitSettings): RequestLimits {
  const keptMax = settings.callersKeptMax ?? KEYS_KEPT_MAX
  return {
    strangers: createStrangers(settings, keptMax),
    byPrincipal: behind => limitPrincipals(behind, settings, keptMax)
  }
}

/** Hot path: every request passes here, and counting in memory creates no promise. */
function limitPrincipals (
  app: FastifyInstance, { perPrincipalMax, windowMs, database }: LimitSettings, keptMax: number
): void {
  const requests = createWindowCounter(windowMs, keptMax)
  const addLimitHeaders = ({ count, endsInS }: WindowCount, reply: FastifyReply) => {
    reply.header('ratelimit-limit', perPrincipalMax)
    reply.header('ratelimit-remaining', Math.max(0, perPrincipalMax - count))
    reply.header('ratelimit-reset', endsInS)
    if (count <= perPrincipalMax) return undefined
    reply.header('retry-after', endsInS)
    return tooOften(`request limit exceeded; try again in ${endsInS} s`)
  }
  app.addHook('onRequest', ({ principal }, reply, done) => {
    if (!database) return done(addLimitHeaders(requests.add(principal.id), reply))
    countRequest(database, `principal:${principal.id}`, windowMs)
      .catch(() => requests.add(principal.id)) // an unreachable database keeps nobody out
      .then(it => done(addLimitHeaders(it, reply)), done)
  })
}

function createStrangers (
  { strangersMax, failedLoginsMax, windowMs, database }: LimitSettings, keptMax: number
): Strangers {
  const requests = createWindowCounter(windowMs, keptMax)
  const failures = createWindowCounter(windowMs, keptMax)
  const statements = createWindowCounter(1_000, 1)
  /** the database, if unknown callers may use it; an unreachable one must keep nobody out */
  const shared = async (ask: (database: Database) => Promise<WindowCount | undefined>, key: string) => {
    if (!database || statements.add('').count > STATEMENTS_PER_S) return
    const counted = await ask(database).catch(() => undefined)
    if (counted) failures.raise(key, counted.count, counted.endsInS)
  }
  return {
    ask (address) {
      const { count, endsInS } = requests.add(normaliseAddress(address))
      return count > strangersMax ? endsInS : 0
    },
    async blockedForS (address) {
      const key = normaliseAddress(address)
      if (failures.read(key).count < failedLoginsMax) await shared(it => readFailures(it, key, windowMs), key)
      const { count, endsInS } = failures.read(key)
      return count >= failedLoginsMax ? endsInS : 0
    },
    async fail (address) {
      const key = normaliseAddress(address)
      if (failures.add(key).count > failedLoginsMax) return // it is blocked already, whatever others have counted
      await shared(it => countFailure(it, key, windowMs), key)
    }
  }
}

/** Refuses an address with too many requests for open routes, which have no known caller. */
export function createOpenLimit (max: number, windowMs: number) {
  const requests = createWindowCounter(windowMs)
  return (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
    const { count, endsInS } = requests.add(normaliseAddress(request.ip))
    if (count <= max) return done()
    reply.header('retry-after', endsInS)
    done(tooOften(`request limit of this address exceeded; try again in ${endsInS} s`))
  }
}

function tooOften (detail: string): RelayError {
  return new RelayError('RELAY_RATE_LIMITED', detail)
}
