import type { FastifyInstance } from 'fastify'
import { RelayError } from 'relay-common'

/**
 * Refuses numbers that are beyond all numbers: a text of 400 digits is coerced to Infinity, which the limits of a schema
 * are not asked about.
 */
export function refuseInfinite (app: FastifyInstance): void {
  app.addHook('preHandler', (request, _reply, done) => {
    for (const [parameter, value] of Object.entries(request.query as Record<string, unknown>)) {
      if (typeof value !== 'number' || Number.isFinite(value)) continue
      throw new RelayError('RELAY_PARAMETER_INVALID', `${parameter} is too large a number`, { parameter })
    }
    done()
  })
}
