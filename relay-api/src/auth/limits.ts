/**
 * How often may be asked: by each principal that is known, and, far less often, by each address that nobody known has
 * asked from. Addresses of IPv6 count by their /64, which one household has.
 *
 *     strangers         requests without a credential, or with one that is not known yet
 *     failed logins     credentials that were not accepted; past the limit an address is blocked, which is to say that its
 *                       further unknown credentials are checked only where that is cheap and guessing is hopeless
 *
 * Both are counted in memory. Where API processes count together, failed logins are counted in the database too, but never
 * in more than STATEMENTS_PER_S statements: a stranger must not be able to keep it busy.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { normaliseAddress, RelayError, type Database } from 'relay-common'

import { countFailure, countRequest, readFailures } from './rate-limit-store.ts'
import { createWindowCounter, KEYS_KEPT_MAX, type Counted } from './window-counter.ts'

export interface LimitSettings {
  readonly strangersMax: number
  readonly perPrincipalMax: number
  readonly failedLoginsMax: number
  readonly windowMs: number
  /** callers whose counts one process keeps; past these it forgets whoever was quiet for longest */
  readonly callersKeptMax?: number
  /** where API processes count together; undefined: each for itself */
  readonly database?: Database
}

/** What an address has done so far that nobody is known from. */
export interface Strangers {
  /** Counts a request. @returns seconds for which the address has to wait, as it asks too often; 0: none */
  ask (address: string): number
  /** seconds for which the address has to wait, as too many of its credentials were not accepted; 0: none */
  blockedForS (address: string): Promise<number>
  /** Counts a credential that was not accepted. */
  fail (address: string): Promise<void>
}

export interface Limits {
  readonly strangers: Strangers
  /** refuses a principal that asks too often, and says in each answer how much is left */
  readonly byPrincipal: (app: FastifyInstance) => void
}

const STATEMENTS_PER_S = 50

export function openLimits (settings: LimitSettings): Limits {
  const keptMax = settings.callersKeptMax ?? KEYS_KEPT_MAX
  return {
    strangers: createStrangers(settings, keptMax),
    byPrincipal: behind => limitPrincipals(behind, settings, keptMax)
  }
}

/** Hot path: each request passes here, and where it is counted in memory makes no promise. */
function limitPrincipals (app: FastifyInstance, { perPrincipalMax, windowMs, database }: LimitSettings, keptMax: number): void {
  const requests = createWindowCounter(windowMs, keptMax)
  const tell = ({ count, endsInS }: Counted, reply: FastifyReply) => {
    reply.header('ratelimit-limit', perPrincipalMax)
    reply.header('ratelimit-remaining', Math.max(0, perPrincipalMax - count))
    reply.header('ratelimit-reset', endsInS)
    if (count <= perPrincipalMax) return undefined
    reply.header('retry-after', endsInS)
    return tooOften(`request limit exceeded; try again in ${endsInS} s`)
  }
  app.addHook('onRequest', ({ principal }, reply, done) => {
    if (!database) return done(tell(requests.add(principal.id), reply))
    countRequest(database, `principal:${principal.id}`, windowMs)
      .catch(() => requests.add(principal.id)) // a database that is away keeps nobody out
      .then(it => done(tell(it, reply)), done)
  })
}

function createStrangers ({ strangersMax, failedLoginsMax, windowMs, database }: LimitSettings, keptMax: number): Strangers {
  const requests = createWindowCounter(windowMs, keptMax)
  const failures = createWindowCounter(windowMs, keptMax)
  const statements = createWindowCounter(1_000, 1)
  /** whether the database may be asked for a stranger's sake; one that is away must keep nobody out */
  const shared = async (ask: (database: Database) => Promise<Counted | undefined>, key: string) => {
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
      if (failures.read(key).count < failedLoginsMax) await shared(it => readFailures(it, key), key)
      const { count, endsInS } = failures.read(key)
      return count >= failedLoginsMax ? endsInS : 0
    },
    async fail (address) {
      const key = normaliseAddress(address)
      if (failures.add(key).count > failedLoginsMax) return // it is known to be blocked, whatever others have counted
      await shared(it => countFailure(it, key, windowMs), key)
    }
  }
}

/** Refuses an address that asks for what is open to everybody too often. For routes that no caller is known on. */
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
