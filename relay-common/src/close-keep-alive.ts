/**
 * Closes the keep-alive connections of an HTTP server, so that it can stop without failing a request.
 *
 *     open ──begin──▶ draining ──close──▶ closed
 *
 * While it drains, each answer has `Connection: close`, so clients move to another server. When the server closes, Node
 * waits for each connection except those between two requests:
 *
 *     idle after an answer         Node closes it
 *     an answer in progress        closed with the answer, which has `Connection: close`
 *     no request yet               closed at once: browsers and load balancers open such connections in advance, and Node
 *                                  would wait until their first request times out
 */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

import type { FastifyInstance } from 'fastify'

export interface KeepAliveCloser {
  readonly hasBegun: boolean
  /** From now on each answer closes its connection; new connections are still accepted. */
  begin (): void
}

/** Call it before the app listens. Closing the app also starts draining. */
export function closeKeepAlive (app: FastifyInstance): KeepAliveCloser {
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
