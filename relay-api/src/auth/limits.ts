/**
 * How often may be asked: by address before anybody is known, by principal after, and far less often by an address
 * whose tokens are not accepted. Addresses of IPv6 count by their /64, which one household has.
 */
import rateLimit, { normalizeIP } from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { RelayError, type Database } from 'relay-common'

import type { FailedLogins } from './authenticate.ts'
import { createPostgresStore } from './rate-limit-store.ts'

export interface LimitSettings {
  readonly perAddressMax: number
  readonly perPrincipalMax: number
  readonly failedLoginsMax: number
  readonly windowMs: number
  /** callers whose counts one process keeps; past these it forgets whoever was quiet for longest */
  readonly callersKeptMax?: number
  /** where API processes count together; undefined: each for itself */
  readonly database?: Database
}

export interface Limits {
  /** refuses an address that asks too often; to be added before anybody is known */
  readonly byAddress: (request: FastifyRequest, reply: FastifyReply) => Promise<void>
  readonly failedLogins: FailedLogins
  /** refuses a principal that asks too often, and says in each answer how much is left */
  readonly byPrincipal: (app: FastifyInstance) => void
}

const CALLERS_KEPT_MAX_DEFAULT = 20_000

export async function openLimits (app: FastifyInstance, settings: LimitSettings): Promise<Limits> {
  const { windowMs, database } = settings
  const cache = settings.callersKeptMax ?? CALLERS_KEPT_MAX_DEFAULT
  await app.register(rateLimit, {
    global: false,
    enableDraftSpec: true,
    timeWindow: windowMs,
    ...(database ? { store: createPostgresStore(database) } : {}),
    errorResponseBuilder: (_request, { after }) => tooOften(`more requests than are allowed; try again in ${after}`)
  })

  // each has a store of its own, and so the size of it (an option that the types of these two leave out)
  const limiter = (max: number, keyGenerator: (request: FastifyRequest) => string) =>
    app.createRateLimit({ max, keyGenerator, cache } as Parameters<typeof app.createRateLimit>[0])
  const addresses = limiter(settings.perAddressMax, it => `address:${addressOf(it)}`)
  const failures = limiter(settings.failedLoginsMax, it => `failed:${addressOf(it)}`)
  return {
    byAddress: async (request, reply) => {
      const counted = await addresses(request)
      if (counted.isAllowed || !counted.isExceeded) return
      reply.header('retry-after', counted.ttlInSeconds)
      throw tooOften('more requests from this address than are allowed')
    },
    failedLogins: {
      blockedForS: async request => {
        const counted = await failures(request, { increment: false })
        return counted.isAllowed || counted.remaining > 0 ? 0 : counted.ttlInSeconds
      },
      add: async request => { await failures(request) }
    },
    byPrincipal: behind => {
      const handler = app.rateLimit({ cache, max: settings.perPrincipalMax, keyGenerator: it => `principal:${it.principal.id}` })
      behind.addHook('onRequest', function (request, reply) { return handler.call(this, request, reply) as Promise<void> })
    }
  }
}

function addressOf ({ ip }: FastifyRequest): string {
  return normalizeIP(ip, 64)
}

function tooOften (detail: string): RelayError {
  return new RelayError('RELAY_RATE_LIMITED', detail)
}
