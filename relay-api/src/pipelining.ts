/**
 * Pipelining: a client may send further requests on a connection before it has an answer. Responses go out in order, so
 * each request starts after the response before it. Otherwise two hundred requests in one write would all start in one
 * turn of the event loop, and everybody else would wait for them.
 */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

import type { FastifyInstance } from 'fastify'

/** Must be the first hook of the app. */
export function answerInOrder (app: FastifyInstance): void {
  const latest = new WeakMap<Socket, ServerResponse>()
  app.addHook('onRequest', (request, reply, done) => {
    const { socket } = request.raw
    const before = latest.get(socket)
    latest.set(socket, reply.raw)
    if (before === undefined || before.writableFinished) return done()
    // gives other connections a turn; if the connection ends first, nobody waits for this response
    before.once('finish', () => setImmediate(done))
  })
}
