/** `format`, or the header `Accept`: how rows are written. */
import type { FastifyRequest } from 'fastify'
import { RelayError } from 'relay-common'
import { Type } from 'typebox'

export const mediaTypes = {
  json: 'application/json',
  csv: 'text/csv',
  ndjson: 'application/x-ndjson'
} as const

export type FormatName = keyof typeof mediaTypes

const names = Object.keys(mediaTypes) as FormatName[]

export const Format = Type.Optional(Type.String({
  enum: names, description: 'how rows are written; without it the header Accept says, and json is the default'
}))

/** Browsers send 150; the library takes the square of the length where there are quotes. */
const ACCEPT_CHARACTERS_MAX = 1_024

/**
 * @param format the parameter, which wins
 * @throws RelayError RELAY_NOT_ACCEPTABLE
 */
export function readFormat (format: string | undefined, request: FastifyRequest): FormatName {
  if (format !== undefined) return format as FormatName
  if ((request.headers.accept?.length ?? 0) > ACCEPT_CHARACTERS_MAX) {
    throw new RelayError('RELAY_NOT_ACCEPTABLE', `the header Accept has more than ${ACCEPT_CHARACTERS_MAX} characters`)
  }
  const accepted = request.accepts().type(Object.values(mediaTypes))
  const name = names.find(it => mediaTypes[it] === accepted)
  if (name) return name
  throw new RelayError('RELAY_NOT_ACCEPTABLE',
    `the header Accept takes none of ${Object.values(mediaTypes).join(', ')}`)
}
