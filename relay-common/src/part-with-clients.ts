/**
 * What an HTTP server that closes does about its clients' connections. Node waits for each of them but those between two
 * requests:
 *
 *     idle after an answer            Node ends it
 *     an answer is on its way         it ends with the answer, which says so
 *     nothing was asked on it yet     ended at once: browsers and load balancers keep such ones ready, and Node would wait
 *                                     until their first request is late
 */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

import type { FastifyInstance } from 'fastify'

/** To be called before the app listens. */
export function partWithClients (app: FastifyInstance): void {
  const unused = new Set<Socket>()
  const unanswered = new Set<ServerResponse>()
  let isClosing = false
  const endWith = (response: ServerResponse) => { if (!response.headersSent) response.setHeader('connection', 'close') }

  app.server.on('connection', (socket: Socket) => {
    if (isClosing) return socket.destroy()
    unused.add(socket)
    socket.once('close', () => unused.delete(socket))
  })
  app.server.on('request', ({ socket }, response) => {
    unused.delete(socket)
    if (isClosing) return endWith(response)
    unanswered.add(response)
    response.on('close', () => unanswered.delete(response))
  })
  app.addHook('preClose', async () => {
    isClosing = true
    for (const socket of unused) if (socket.bytesRead === 0) socket.destroy()
    for (const response of unanswered) endWith(response)
  })
}
