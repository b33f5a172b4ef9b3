/**
 * JSON bodies must match their schema exactly: unknown members and other types are refused. A dropped or converted
 * member could be the restriction that matters: `zone` in place of `zones` would create a key for all zones. Parameters
 * in a URL are always text, so those are converted to the type of their schema.
 */
import { Ajv } from 'ajv'
import type { FastifyBodyParser, FastifyInstance, FastifySchemaCompiler, RouteOptions } from 'fastify'
import { RelayError } from 'relay-common'

import type { LazySchemas } from '../lazy-schemas.ts'

/** Call it before the routes. A route with its own `validatorCompiler` reads its body itself. */
export function checkBodies (app: FastifyInstance, schemas: LazySchemas): void {
  app.addContentTypeParser('application/json', { parseAs: 'string' }, strictJsonParser(app))
  const ajv = new Ajv({ coerceTypes: false, removeAdditional: false, useDefaults: true, strict: false, verbose: true })
  app.addHook('onRoute', function (route: RouteOptions) {
    if (!route.schema?.body || route.validatorCompiler) return
    // the compiler of the other parts is created when the app gets ready, before this call
    const ofOthers: FastifySchemaCompiler<unknown> = part => this.validatorCompiler!(part as never)
    route.validatorCompiler = part => part.httpPart === 'body'
      ? schemas.validator(() => ajv.compile(part.schema as object)) as ReturnType<typeof ofOthers>
      : ofOthers(part)
  })
}

/** Parses JSON. A duplicate name in an object is refused: of two lists of zones one would be dropped silently. */
export function strictJsonParser (app: FastifyInstance): FastifyBodyParser<string> {
  const parse = app.getDefaultJsonParser('error', 'error')
  return (request, body, done) => parse(request, body, (error, value) => {
    if (error) done(error)
    else if (hasNameTwice(body, value)) {
      done(new RelayError(
        'RELAY_REQUEST_INVALID', 'an object in the body has a duplicate name'
      ))
    } else done(null, value)
  })
}

/**
 * Whether an object of a JSON text has a duplicate name, in any spelling. Linear.
 * @param value the parsed text, with the last value of each name
 */
export function hasNameTwice (text: string, value: unknown): boolean {
  return countColons(text) > countNames(value)
}

/** Outside of strings: one after each name. */
function countColons (text: string): number {
  let count = 0
  let isInText = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (isInText && character === '\\') at++
    else if (character === '"') isInText = !isInText
    else if (character === ':' && !isInText) count++
  }
  return count
}

function countNames (value: unknown): number {
  let count = 0
  for (const waiting = [value]; waiting.length > 0;) {
    const it = waiting.pop()
    if (typeof it !== 'object' || it === null) continue
    const inside = Object.values(it)
    if (!Array.isArray(it)) count += inside.length
    for (const each of inside) waiting.push(each)
  }
  return count
}
