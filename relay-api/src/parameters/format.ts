/** `format`, or the header `Accept`: the format of rows. */
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'

export const mediaTypes = {
  json: 'application/json',
  csv: 'text/csv',
  ndjson: 'application/x-ndjson'
} as const

export type FormatName = keyof typeof mediaTypes

const names = Object.keys(mediaTypes) as FormatName[]

export const Format = Type.Optional(Type.String({
  enum: names, description: 'format of the rows; default: chosen by the Accept header, else json'
}))

/** Browsers send 150; the library needs quadratic time for quotes. */
const ACCEPT_CHARACTERS_MAX = 1_024

/**
 * The header only chooses among existing formats: if none matches, the answer is JSON, as on routes without other
 * formats. A header of more than 1,024 characters is ignored.
 * @param format the parameter, which takes precedence
 */
export function chooseFormat (format: string | undefined, request: FastifyRequest): FormatName {
  if (format !== undefined) return format as FormatName
  if ((request.headers.accept?.length ?? 0) > ACCEPT_CHARACTERS_MAX) return 'json'
  const accepted = request.accepts().type(Object.values(mediaTypes))
  return names.find(it => mediaTypes[it] === accepted) ?? 'json'
}
