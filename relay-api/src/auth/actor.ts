import type { FastifyRequest } from 'fastify'
import type { Actor } from 'relay-access'

/** Who acts by a request, for the audit log. */
export function actorOf (request: FastifyRequest): Actor {
  return { principal: request.principal.id, address: request.ip, requestId: request.id }
}
