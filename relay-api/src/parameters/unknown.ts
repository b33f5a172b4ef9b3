/** Unknown parameters are refused, because a misspelled filter must not select everything. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { RelayError } from 'relay-common'

import { didYouMean } from './nearest.ts'

/** Refuses unknown query parameters on all routes of an app; a route without a query schema has none. */
export function refuseUnknownParameters (app: FastifyInstance): void {
  app.addHook('preValidation', (request, _reply, done) => {
    const given = Object.keys(request.query as object)
    if (given.length > 0) {
      const known = parametersOf(request)
      for (const name of given) if (!known.includes(name)) throw unknown(name, known)
    }
    done()
  })
}

function parametersOf (request: FastifyRequest): string[] {
  const { querystring } = (request.route.schema ?? {}) as { querystring?: { properties?: object } }
  return Object.keys(querystring?.properties ?? {})
}

function unknown (name: string, known: readonly string[]): RelayError {
  const shown = name.slice(0, 64)
  const help = didYouMean(shown, known) ||
    (known.length === 0 ? '; this route has none' : `; known are ${known.join(', ')}`)
  return new RelayError('RELAY_PARAMETER_UNKNOWN', `unknown parameter ${shown}${help}`, { parameter: shown })
}
