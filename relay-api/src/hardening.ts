/** Protection against careless browsers and patient attackers, before our own code runs. */
import { IncomingMessage, ServerResponse, type Server } from 'node:http'
import { Socket } from 'node:net'

import type { FastifyHttpOptions, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import helmet, { type HelmetOptions } from 'helmet'
import { WELL_KNOWN_TOKEN } from 'relay-access'
import { boundConnections, isHostOurs, RelayError, serverOptions, splitList, type BoundConnections } from 'relay-common'

import type { Budgets } from './budgets/budgets.ts'
import type { ApiConfig } from './config.ts'

const BODY_MAX_BYTES = 64 * 1024

const { requestTimeout, keepAliveTimeout, ...http } = serverOptions

/** Limits of connections and requests. Routes with larger bodies override them. */
export const serverLimits = {
  requestTimeout, keepAliveTimeout, bodyLimit: BODY_MAX_BYTES, http
} as const satisfies FastifyHttpOptions<Server>

/** Share of the connections for unknown callers; the rest is for known ones. */
const STRANGERS_SHARE = 0.2

/** Limits the connections of the app's server. Call it before it listens. */
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
 * Marks the connection of a request as known. Call it when the caller is known: a caller has a number of kept-alive
 * connections, and further ones close after each answer.
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
  // browsers only accept it over TLS, from a proxy in front of us; other hosts of the domain are not ours
  strictTransportSecurity: { maxAge: 365 * 24 * 60 * 60, includeSubDomains: false }
}

/** Call it before the routes. */
export function harden (app: FastifyInstance, config: ApiConfig): void {
  app.removeContentTypeParser('text/plain') // no route accepts it: 415 in place of an invalid body
  // cacheable answers set their own; all others, including refusals, are only for this request
  const headers = { ...securityHeaders(), 'cache-control': 'no-store' }
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(headers)
    done()
  })
  checkHosts(app, config)
  // routes decide about caching; without a decision nothing is cached
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
    done()
  })
}

/** Refuses foreign host names, if the well-known token is accepted, or if names are configured. */
function checkHosts (app: FastifyInstance, config: ApiConfig): void {
  const names = splitList(config.ALLOWED_HOSTS).map(it => it.toLowerCase())
  if (names.length === 0 && !splitList(config.API_TOKENS).includes(WELL_KNOWN_TOKEN)) return
  app.addHook('onRequest', (request, _reply, done) => {
    if (isHostOurs(request.headers.host, names)) return done()
    done(new RelayError(
      'RELAY_HOST_UNKNOWN', 'unknown name in the Host header; the operator can add it to ALLOWED_HOSTS'
    ))
  })
}

/**
 * Headers of helmet. They are the same for every answer, and computed once: each time would be a tenth of a short
 * request.
 */
function securityHeaders (): Record<string, string> {
  const answer = new ServerResponse(new IncomingMessage(new Socket()))
  let failure: unknown
  helmet(headerOptions)(answer.req, answer, error => { failure = error })
  if (failure) throw failure
  return answer.getHeaders() as Record<string, string>
}
