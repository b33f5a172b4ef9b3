/**
 * How an HTTP server parts with its clients' connections.
 *
 *     open ──begin──▶ parting ──close──▶ closed
 *
 * While it parts, each answer says `Connection: close`, so clients move to another server without a failed request. When it
 * closes, Node waits for each connection but those between two requests:
 *
 *     idle after an answer            Node ends it
 *     an answer is on its way         it ends with the answer, which says so
 *     nothing was asked on it yet     ended at once: browsers and load balancers keep such ones ready, and Node would wait
 *                                     until their first request is late
 */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

import type { FastifyInstance } from 'fastify'

export interface Parting {
  readonly hasBegun: boolean
  /** From now on each answer ends its connection; new connections are taken. */
  begin (): void
}

/** To be called before the app listens. Closing the app begins it as well. */
export function partWithClients (app: FastifyInstance): Parting {
  const unused = new Set<Socket>()
  const unanswered = new Set<ServerResponse>()
  let hasBegun = false
  let isClosing = false
  const endWith = (response: ServerResponse) => { if (!response.headersSent) response.setHeader('connection', 'close') }
  const begin = () => {
    hasBegun = true
    for (const response of unanswered) endWith(response)
  }

  app.server.on('connection', (socket: Socket) => {
    if (isClosing) return socket.destroy()
    unused.add(socket)
    socket.once('close', () => unused.delete(socket))
  })
  app.server.on('request', ({ socket }, response) => {
    unused.delete(socket)
    if (hasBegun) return endWith(response)
    unanswered.add(response)
    response.on('close', () => unanswered.delete(response))
  })
  app.addHook('preClose', async () => {
    isClosing = true
    for (const socket of unused) if (socket.bytesRead === 0) socket.destroy()
    begin()
  })
  return { get hasBegun () { return hasBegun }, begin }
}
