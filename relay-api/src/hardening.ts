/** What keeps careless browsers and patient attackers out, before anything of ours runs. */
import { IncomingMessage, ServerResponse, type Server } from 'node:http'
import { Socket } from 'node:net'

import type { FastifyHttpOptions, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import helmet, { type HelmetOptions } from 'helmet'
import {
  boundConnections, isHostOurs, RelayError, serverOptions, splitList, WELL_KNOWN_TOKEN, type BoundConnections
} from 'relay-common'

import type { Budgets } from './budgets/budgets.ts'
import type { ApiConfig } from './config.ts'

const BODY_MAX_BYTES = 64 * 1024

const { requestTimeout, keepAliveTimeout, ...http } = serverOptions

/** Limits of connections and requests. A route that takes larger bodies says so itself. */
export const serverLimits = {
  requestTimeout, keepAliveTimeout, bodyLimit: BODY_MAX_BYTES, http
} as const satisfies FastifyHttpOptions<Server>

/** Of all connections, those that strangers may have: the rest is for callers that are known. */
const STRANGERS_SHARE = 0.2

/** Bounds the connections of the app's server. Must come before it listens. */
export function boundClients (app: FastifyInstance, config: ApiConfig): BoundConnections {
  const isBehindProxy = config.TRUST_PROXY !== ''
  return boundConnections(app.server as Server, {
    connectionsMax: config.CONNECTIONS_MAX,
    strangersMax: Math.ceil(config.CONNECTIONS_MAX * STRANGERS_SHARE),
    strangersPerAddressMax: config.STRANGER_CONNECTIONS_PER_ADDRESS_MAX,
    isShared: () => isBehindProxy
  })
}

/**
 * Notes on whose connection a request came. To be called when its caller is known: a caller has so many connections that
 * stay open, and further ones are closed after each answer.
 */
export function knowClient (connections: BoundConnections, budgets: Budgets) {
  return (request: FastifyRequest, reply: FastifyReply): void => {
    const { socket } = request.raw
    if (!connections.isStranger(socket)) return
    try {
      const held = budgets.hold('connections', request.principal.id)
      socket.once('close', () => held[Symbol.dispose]())
      connections.know(socket)
    } catch (error) {
      if ((error as RelayError).code !== 'RELAY_BUDGET_EXCEEDED') throw error
      reply.header('connection', 'close')
    }
  }
}

const headerOptions: HelmetOptions = {
  contentSecurityPolicy: { directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } }, // answers are data
  referrerPolicy: { policy: 'no-referrer' },
  // heard by browsers over TLS alone, which a proxy in front of us brings; other hosts of the domain are not ours
  strictTransportSecurity: { maxAge: 365 * 24 * 60 * 60, includeSubDomains: false }
}

/** Must come before the routes. */
export function harden (app: FastifyInstance, config: ApiConfig): void {
  app.removeContentTypeParser('text/plain') // no route takes any: 415, not a body that is not what it should be
  // what may be kept says so itself; all else, refusals too, is for the one who asked, now
  const headers = { ...securityHeaders(), 'cache-control': 'no-store' }
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(headers)
    done()
  })
  checkHosts(app, config)
  // who keeps answers is said by each route; what nobody has said anything about is kept by nobody
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
    done()
  })
}

/**
 * Refuses names that are not ours, where a token is taken that every page of the web knows, or where config says which are.
 */
function checkHosts (app: FastifyInstance, config: ApiConfig): void {
  const names = splitList(config.ALLOWED_HOSTS).map(it => it.toLowerCase())
  if (names.length === 0 && !splitList(config.API_TOKENS).includes(WELL_KNOWN_TOKEN)) return
  app.addHook('onRequest', (request, _reply, done) => {
    if (isHostOurs(request.headers.host, names)) return done()
    done(new RelayError('RELAY_HOST_UNKNOWN', 'unknown name in the Host header; the operator can add it to ALLOWED_HOSTS'))
  })
}

/** What helmet sets. It is the same for every answer, and made once: made each time it was a tenth of a short request. */
function securityHeaders (): Record<string, string> {
  const answer = new ServerResponse(new IncomingMessage(new Socket()))
  let failure: unknown
  helmet(headerOptions)(answer.req, answer, error => { failure = error })
  if (failure) throw failure
  return answer.getHeaders() as Record<string, string>
}
