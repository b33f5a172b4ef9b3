/**
 * JSON bodies are taken at their word: what a schema does not name, and what is of another type, is refused. A member that
 * is dropped or made fit could have been the restriction that mattered: `zone` for `zones` would make a key for all zones.
 * Parameters of an address are always text, so those are still read as the type that their schema says.
 */
import { Ajv } from 'ajv'
import type { FastifyInstance, FastifySchemaCompiler, RouteOptions } from 'fastify'

/** Must come before the routes. A route with a `validatorCompiler` of its own reads its body by itself. */
export function checkBodies (app: FastifyInstance): void {
  const ajv = new Ajv({ coerceTypes: false, removeAdditional: false, useDefaults: true, strict: false, verbose: true })
  app.addHook('onRoute', function (route: RouteOptions) {
    if (!route.schema?.body || route.validatorCompiler) return
    // the compiler of all other parts is made when the app gets ready, which is before it is called
    const ofOthers: FastifySchemaCompiler<unknown> = part => this.validatorCompiler!(part as never)
    route.validatorCompiler = part => part.httpPart === 'body' ? ajv.compile(part.schema as object) : ofOthers(part)
  })
}
