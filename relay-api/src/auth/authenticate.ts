/**
 * Who may ask. Every route that is added behind this hook, and every address that is none, asks for a bearer token:
 *
 *     Authorization ──identify──▶ principal ──scope of the route──▶ the route, which keeps to the principal's grants
 *          │ none, unknown              │ not among its scopes
 *          ▼                            ▼
 *         401, after too many 429      403
 *
 * Refusals go to the audit log with their reasons; a caller learns none of them.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { RelayError, type Logger, type Scope } from 'relay-common'

import type { Identified, Identify, Principal } from './principal.ts'

/** Counts by address how often tokens were not accepted. */
export interface FailedLogins {
  /** seconds for which an address has to wait, as it failed too often; 0: none */
  blockedForS (request: FastifyRequest): Promise<number>
  add (request: FastifyRequest): Promise<void>
}

/**
 * @param identifiers asked one after the other; the first that knows the kind of a credential decides
 * @param audit where refusals are noted
 */
export function authenticate (
  app: FastifyInstance, identifiers: readonly Identify[], failedLogins: FailedLogins, audit: Logger
): void {
  app.decorateRequest('principal', null as unknown as Principal)
  app.decorateRequest('reauthenticate', null as unknown as () => Promise<void>)

  app.addHook('onRequest', async (request, reply) => {
    const credential = bearerOf(request)
    if (credential === undefined) {
      refuse(request, audit, 'unauthorized', 'no bearer token')
      throw unauthorized('there is none')
    }
    await refuseBlocked(request, reply)
    const identified = await identify(credential, identifiers)
    if (identified.kind === 'refused') {
      await failedLogins.add(request)
      refuse(request, audit, 'unauthorized', identified.reason)
      throw unauthorized('this one is not accepted')
    }
    request.principal = identified.principal
    request.reauthenticate = () => identifyAgain(credential, identifiers)

    const scope = neededScope(request)
    if (scope !== undefined && !identified.principal.scopes.has(scope)) {
      throw new RelayError('RELAY_FORBIDDEN', `this needs the scope ${scope}`)
    }
  })

  // the hook above refuses by scope, and routes by what is asked for
  app.addHook('onError', async (request, _reply, error) => {
    if (error.code === 'RELAY_FORBIDDEN') refuse(request, audit, 'forbidden', error.message)
  })

  async function refuseBlocked (request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const waitS = await failedLogins.blockedForS(request)
    if (waitS === 0) return
    reply.header('retry-after', waitS)
    refuse(request, audit, 'blocked', 'too many tokens from this address were not accepted')
    throw new RelayError('RELAY_RATE_LIMITED',
      `too many bearer tokens from this address were not accepted; wait for ${waitS} s`)
  }
}

export interface LoggedIn {
  readonly principal: Principal
  /** Asks again, for a connection that stays. @throws RelayError RELAY_UNAUTHORIZED, or as the first time */
  readonly reauthenticate: () => Promise<void>
}

/** Lets in who does not come by HTTP. @returns undefined: nobody who is known, or an address that has to wait */
export type LogIn = (credential: string, address: string) => Promise<LoggedIn | undefined>

export function createLogIn (identifiers: readonly Identify[], failedLogins: FailedLogins, audit: Logger): LogIn {
  return async (credential, address) => {
    const from = { ip: address, routeOptions: {} } as FastifyRequest // all of it that limits look at
    const waitS = await failedLogins.blockedForS(from)
    const identified: Identified = waitS > 0
      ? { kind: 'refused', reason: 'too many tokens from this address were not accepted' }
      : await identify(credential, identifiers)
    if (identified.kind === 'known') {
      return { principal: identified.principal, reauthenticate: () => identifyAgain(credential, identifiers) }
    }
    if (waitS === 0) await failedLogins.add(from)
    audit.warn({ act: waitS > 0 ? 'blocked' : 'unauthorized', reason: identified.reason, address }, 'refused')
    return undefined
  }
}

/** `bearer` in any case, and one space or more, as HTTP has it. */
function bearerOf ({ headers: { authorization } }: FastifyRequest): string | undefined {
  return /^bearer +([\x21-\x7e]+) *$/i.exec(authorization ?? '')?.[1]
}

async function identify (credential: string, identifiers: readonly Identify[]): Promise<Identified> {
  for (const known of identifiers) {
    const identified = await known(credential)
    if (identified) return identified
  }
  return { kind: 'refused', reason: 'a bearer token that nobody knows' }
}

async function identifyAgain (credential: string, identifiers: readonly Identify[]): Promise<void> {
  const now = await identify(credential, identifiers)
  if (now.kind === 'refused') throw unauthorized('this one is not accepted any more')
}

/** @returns undefined at an address that is none: whoever is known may hear that */
function neededScope ({ is404, method, routeOptions }: FastifyRequest): Scope | undefined {
  if (is404) return undefined
  return routeOptions.config.scope ?? (method === 'GET' || method === 'HEAD' ? 'events:read' : 'admin')
}

function unauthorized (found: string): RelayError {
  return new RelayError('RELAY_UNAUTHORIZED', `a bearer token is needed in the Authorization header, and ${found}`)
}

/** Notes a refusal: who, what, from where, and under which request. */
export function refuse (request: FastifyRequest, audit: Logger, act: string, reason: string): void {
  audit.warn({
    act,
    reason,
    principal: request.principal?.id,
    address: request.ip,
    requestId: request.id,
    method: request.method,
    path: request.url.split('?', 1)[0].slice(0, PATH_CHARACTERS_MAX)
  }, 'refused')
}

const PATH_CHARACTERS_MAX = 200
