/** Answers other methods on known paths: 405 with the allowed ones, in place of a 404. */
import { METHODS } from 'node:http'

import type { FastifyInstance, RouteOptions } from 'fastify'
import { RelayError } from 'relay-common'

/** Makes an app accept every HTTP method, so that routes can refuse them. Call it before the routes. */
export function knowAllMethods (app: FastifyInstance): void {
  const known = new Set(app.supportedMethods)
  for (const it of METHODS) if (it !== 'CONNECT' && !known.has(it)) app.addHttpMethod(it)
}

/** Runs `addRoutes`, and then adds routes on the same paths that refuse all other methods before a body is read. */
export function refuseOtherMethods (app: FastifyInstance, addRoutes: () => void): void {
  const taken = new Map<string, Set<string>>()
  let isAdding = true
  app.addHook('onRoute', ({ routePath, method }: RouteOptions & { readonly routePath: string }) => {
    if (!isAdding) return
    const methods = taken.get(routePath) ?? new Set()
    taken.set(routePath, methods)
    for (const it of [method].flat()) methods.add(it)
    if (methods.has('GET')) methods.add('HEAD')
  })
  addRoutes()
  isAdding = false

  for (const [path, methods] of taken) {
    const allowed = [...methods].sort()
    app.route({
      url: path,
      method: app.supportedMethods.filter(it => !methods.has(it)),
      schema: { hide: true },
      config: { scope: 'events:read' },
      onRequest: async (request, reply) => {
        reply.header('allow', allowed.join(', '))
        throw new RelayError('RELAY_METHOD_NOT_ALLOWED',
          `${request.method} is not allowed here; ${allowed.join(' and ')} ${allowed.length > 1 ? 'are' : 'is'}`)
      },
      handler: async () => {}
    })
  }
}
