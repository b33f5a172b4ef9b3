import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

import { resetSocket } from 'relay-test-support/tcp-proxy.ts'

/** A connection to a server that a test can cut, as if the server or the network failed. */
export interface BreakableConnection {
  /** the address of the server through it */
  readonly url: string
  /** Ends all connections, and refuses new ones. */
  cut (): Promise<void>
  restore (): Promise<void>
}

const HOST = '127.0.0.1'

/** @param serverUrl of the server, with its port */
export async function openBreakableConnection (t: TestContext, serverUrl: string): Promise<BreakableConnection> {
  const target = new URL(serverUrl)
  const sockets = new Set<Socket>()
  const server = createServer(near => {
    const far = connect({ host: target.hostname, port: Number(target.port) })
    for (const [socket, other] of [[near, far], [far, near]]) {
      sockets.add(socket)
      socket.pipe(other)
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
  })
  const listen = async (port: number) => {
    server.listen(port, HOST)
    await once(server, 'listening')
  }
  const cut = async () => {
    const closed = once(server, 'close')
    server.close()
    for (const socket of sockets) resetSocket(socket)
    await closed
  }

  await listen(0)
  const { port } = server.address() as AddressInfo
  t.after(async () => { if (server.listening) await cut() })
  const url = new URL(serverUrl)
  url.host = `${HOST}:${port}`
  return { url: url.href, cut, restore: () => listen(port) }
}
