/**
 * Pipelining: a client may send requests on a connection before it has the answers to those before. They are answered in
 * order, so each begins when the one before it is answered: two hundred in one write would otherwise be two hundred
 * questions at once, which nobody can take before any other has its turn.
 */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

import type { FastifyInstance } from 'fastify'

/** Must come before whatever else is done for a request. */
export function answerInOrder (app: FastifyInstance): void {
  const latest = new WeakMap<Socket, ServerResponse>()
  app.addHook('onRequest', (request, reply, done) => {
    const { socket } = request.raw
    const before = latest.get(socket)
    latest.set(socket, reply.raw)
    if (before === undefined || before.writableFinished) return done()
    // others have their turn between two of them; where the connection ends before that, nobody waits for this answer
    before.once('finish', () => setImmediate(done))
  })
}
