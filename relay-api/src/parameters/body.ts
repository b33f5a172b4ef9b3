/**
 * JSON bodies are taken at their word: what a schema does not name, and what is of another type, is refused. A member that
 * is dropped or made fit could have been the restriction that mattered: `zone` for `zones` would make a key for all zones.
 * Parameters of an address are always text, so those are still read as the type that their schema says.
 */
import { Ajv } from 'ajv'
import type { FastifyBodyParser, FastifyInstance, FastifySchemaCompiler, RouteOptions } from 'fastify'
import { RelayError } from 'relay-common'

/** Must come before the routes. A route with a `validatorCompiler` of its own reads its body by itself. */
export function checkBodies (app: FastifyInstance): void {
  app.addContentTypeParser('application/json', { parseAs: 'string' }, strictJsonParser(app))
  const ajv = new Ajv({ coerceTypes: false, removeAdditional: false, useDefaults: true, strict: false, verbose: true })
  app.addHook('onRoute', function (route: RouteOptions) {
    if (!route.schema?.body || route.validatorCompiler) return
    // the compiler of all other parts is made when the app gets ready, which is before it is called
    const ofOthers: FastifySchemaCompiler<unknown> = part => this.validatorCompiler!(part as never)
    route.validatorCompiler = part => part.httpPart === 'body' ? ajv.compile(part.schema as object) : ofOthers(part)
  })
}

/** Reads JSON. A name that an object has twice is refused: of two lists of zones one would be dropped, unseen. */
export function strictJsonParser (app: FastifyInstance): FastifyBodyParser<string> {
  const parse = app.getDefaultJsonParser('error', 'error')
  return (request, body, done) => parse(request, body, (error, value) => {
    if (error) done(error)
    else if (hasNameTwice(body, value)) done(new RelayError('RELAY_REQUEST_INVALID', 'an object in the body has a duplicate name'))
    else done(null, value)
  })
}

/**
 * Whether an object of a JSON text has one name twice, spelled in any way. Linear.
 * @param value what was read of the text: of each name the last
 */
export function hasNameTwice (text: string, value: unknown): boolean {
  return countColons(text) > countNames(value)
}

/** Outside of texts: one behind each name. */
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
