/** What keeps careless browsers and patient attackers out, before anything of ours runs. */
import { IncomingMessage, ServerResponse, type Server } from 'node:http'
import { Socket } from 'node:net'

import type { FastifyHttpOptions, FastifyInstance } from 'fastify'
import helmet, { type HelmetOptions } from 'helmet'

/** A client that takes longer for its headers than a slow phone does is holding a connection, not asking. */
const HEADERS_TIMEOUT_MS = 10_000
/** and one that takes longer for a body that is as large as it may be */
const REQUEST_TIMEOUT_MS = 30_000
const CHECK_INTERVAL_MS = 1_000
/** Node's own default; tokens of identity providers fit */
const HEADERS_MAX_BYTES = 16 * 1024
const BODY_MAX_BYTES = 64 * 1024

/** Limits of connections and requests. A route that takes larger bodies says so itself. */
export const serverLimits = {
  requestTimeout: REQUEST_TIMEOUT_MS,
  bodyLimit: BODY_MAX_BYTES,
  http: {
    headersTimeout: HEADERS_TIMEOUT_MS,
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
    maxHeaderSize: HEADERS_MAX_BYTES
  }
} as const satisfies FastifyHttpOptions<Server>

const headerOptions: HelmetOptions = {
  contentSecurityPolicy: { directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } }, // answers are data
  referrerPolicy: { policy: 'no-referrer' },
  // heard by browsers over TLS alone, which a proxy in front of us brings; other hosts of the domain are not ours
  strictTransportSecurity: { maxAge: 365 * 24 * 60 * 60, includeSubDomains: false }
}

/** Must come before the routes. */
export function harden (app: FastifyInstance): void {
  app.removeContentTypeParser('text/plain') // no route takes any: 415, not a body that is not what it should be
  const headers = securityHeaders()
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(headers)
    done()
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
