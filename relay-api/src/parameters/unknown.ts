/** A parameter that a route does not have is refused: a misspelled filter must not answer for everything. */
import { closest, distance } from 'fastest-levenshtein'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { RelayError } from 'relay-common'

/** Refuses unknown query parameters on all routes of an app that have a query schema, or none and so no parameters. */
export function refuseUnknownParameters (app: FastifyInstance): void {
  app.addHook('preValidation', async request => {
    const known = parametersOf(request)
    for (const name of Object.keys(request.query as object)) if (!known.includes(name)) throw unknown(name, known)
  })
}

function parametersOf (request: FastifyRequest): string[] {
  const { querystring } = (request.routeOptions.schema ?? {}) as { querystring?: { properties?: object } }
  return Object.keys(querystring?.properties ?? {})
}

/** Beyond so many letters that differ it is another word, and not a misspelled one. */
const MISSPELLED_LETTERS_MAX = 3

function unknown (name: string, known: readonly string[]): RelayError {
  const shown = name.slice(0, 64)
  const nearest = known.length === 0 ? '' : closest(shown.toLowerCase(), [...known])
  const isNear = nearest !== '' && distance(shown.toLowerCase(), nearest.toLowerCase()) <= MISSPELLED_LETTERS_MAX
  const help = isNear
    ? `is ${nearest} meant?`
    : known.length === 0 ? 'there are none' : `there are ${known.join(', ')}`
  return new RelayError('RELAY_PARAMETER_UNKNOWN', `there is no parameter ${shown} here; ${help}`, { parameter: shown })
}
