/**
 * Authentication. Every route after this hook, and every unknown URL, needs a bearer token:
 *
 *     Authorization ──identify──▶ principal ──scope of the route──▶ the route, which keeps to the principal's grants
 *          │ none, unknown              │ not among its scopes
 *          ▼                            ▼
 *         401, after too many 429      403
 *
 * Refusals go to the audit log with their reasons, which callers do not get.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Scope } from 'relay-access'
import { RelayError } from 'relay-common'

import { refusalOf, type LogRefusal } from './refusal-log.ts'
import type { Gate, Passed } from './gate.ts'
import type { Principal } from './principal.ts'

/** @param logRefusal receives refusals */
export function authenticate (app: FastifyInstance, gate: Gate, logRefusal: LogRefusal): void {
  app.decorateRequest('principal', null as unknown as Principal)
  app.decorateRequest('reauthenticate', null as unknown as () => Promise<void>)

  app.addHook('onRequest', (request, reply, done) => {
    const credential = bearerOf(request)
    if (credential === undefined) {
      const waitS = gate.askWithout(request.ip)
      if (waitS > 0) refuseBlocked(request, reply, waitS)
      logRefusal(refusalOf(request, 'unauthorized', 'no bearer token'))
      throw unauthorized('none was sent')
    }
    const passed = gate.pass(credential, request.ip)
    if (passed instanceof Promise) {
      passed.then(it => letIn(it, credential, request, reply)).then(() => done(), done)
      return
    }
    letIn(passed, credential, request, reply)
    done()
  })

  function letIn (passed: Passed, credential: string, request: FastifyRequest, reply: FastifyReply): void {
    if (passed.kind === 'blocked') return refuseBlocked(request, reply, passed.waitS)
    if (passed.kind === 'refused') {
      logRefusal(refusalOf(request, 'unauthorized', passed.reason))
      throw unauthorized('this one is not accepted')
    }
    request.principal = passed.principal
    request.reauthenticate = () => identifyAgain(credential, gate)

    const scope = neededScope(request)
    if (scope !== undefined && !passed.principal.scopes.has(scope)) {
      throw new RelayError('RELAY_FORBIDDEN', `this request needs the scope ${scope}`)
    }
  }

  // this hook refuses by scope, and routes refuse by grants
  app.addHook('onError', async (request, _reply, error) => {
    if (error.code === 'RELAY_FORBIDDEN') logRefusal(refusalOf(request, 'forbidden', error.message))
  })

  function refuseBlocked (request: FastifyRequest, reply: FastifyReply, waitS: number): never {
    reply.header('retry-after', waitS)
    logRefusal(refusalOf(request, 'blocked', BLOCKED))
    throw new RelayError('RELAY_RATE_LIMITED',
      `too many requests from this address had no valid bearer token; try again in ${waitS} s`)
  }
}

const BLOCKED = 'too many requests from this address had no valid token'

export interface LoggedIn {
  readonly principal: Principal
  /** Checks again, for a long connection. @throws RelayError RELAY_UNAUTHORIZED, or as the first time */
  readonly reauthenticate: () => Promise<void>
}

/**
 * Authenticates clients of other protocols than HTTP. @returns undefined: an unknown credential, or a blocked address
 */
export type LogIn = (credential: string, address: string) => Promise<LoggedIn | undefined>

export function createLogIn (gate: Gate, logRefusal: LogRefusal): LogIn {
  return async (credential, address) => {
    const passed = await gate.pass(credential, address)
    if (passed.kind === 'known') {
      return { principal: passed.principal, reauthenticate: () => identifyAgain(credential, gate) }
    }
    const isBlocked = passed.kind === 'blocked'
    logRefusal({ act: isBlocked ? 'blocked' : 'unauthorized', reason: isBlocked ? BLOCKED : passed.reason, address })
    return undefined
  }
}

/** `bearer` in any case, and one or more spaces, as in HTTP. */
export function bearerOf ({ headers: { authorization } }: Pick<FastifyRequest, 'headers'>): string | undefined {
  return /^bearer +([\x21-\x7e]+) *$/i.exec(authorization ?? '')?.[1]
}

async function identifyAgain (credential: string, gate: Gate): Promise<void> {
  const now = await gate.passAgain(credential)
  if (now.kind === 'refused') throw unauthorized('this one is no longer accepted')
}

/** @returns undefined for an unknown URL: any known caller gets a 404 */
function neededScope ({ is404, method, route }: FastifyRequest): Scope | undefined {
  if (is404) return undefined
  return route.config.scope ?? (method === 'GET' || method === 'HEAD' ? 'events:read' : 'admin')
}

function unauthorized (found: string): RelayError {
  return new RelayError('RELAY_UNAUTHORIZED', `a valid bearer token is required in the Authorization header: ${found}`)
}
