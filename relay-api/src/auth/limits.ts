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

/** Callers whose counts one process keeps; past these it forgets whoever was quiet for longest. */
const CALLERS_KEPT_MAX = 20_000

export async function openLimits (app: FastifyInstance, settings: LimitSettings): Promise<Limits> {
  const { windowMs, database } = settings
  await app.register(rateLimit, {
    global: false,
    enableDraftSpec: true,
    timeWindow: windowMs,
    cache: CALLERS_KEPT_MAX,
    ...(database ? { store: createPostgresStore(database) } : {}),
    errorResponseBuilder: (_request, { after }) => tooOften(`more requests than are allowed; try again in ${after}`)
  })

  const addresses = app.createRateLimit({ max: settings.perAddressMax, keyGenerator: it => `address:${addressOf(it)}` })
  const failures = app.createRateLimit({ max: settings.failedLoginsMax, keyGenerator: it => `failed:${addressOf(it)}` })
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
      const handler = app.rateLimit({ max: settings.perPrincipalMax, keyGenerator: it => `principal:${it.principal.id}` })
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
