import { createServer } from 'node:net'

import getPort from 'get-port'
import { RelayError } from 'relay-common'

export const LOCAL_HOST = '127.0.0.1'

/** A port that a part of the stack is about to take. */
export interface WantedPort {
  /** what listens there, for people: `the API` */
  readonly what: string
  /** 0: any free one */
  readonly port: number
  /** what changes it: `--api-port` */
  readonly option: string
}

/**
 * Makes sure that ports are free, before anything is started on them.
 * @returns the ports in the same order, those that were 0 chosen
 * @throws RelayError RELAY_PORT_IN_USE, one line for the first that is not free
 */
export async function reservePorts (wanted: readonly WantedPort[]): Promise<number[]> {
  const taken = new Map<number, WantedPort>()
  for (const it of wanted.filter(it => it.port !== 0)) {
    const other = taken.get(it.port)
    if (other) {
      throw new RelayError('RELAY_PORT_IN_USE',
        `port ${it.port} can't be for ${other.what} and for ${it.what}; choose another with ${it.option}`)
    }
    if (!await isFree(it.port)) {
      throw new RelayError('RELAY_PORT_IN_USE',
        `port ${it.port} is in use; choose another for ${it.what} with ${it.option}`)
    }
    taken.set(it.port, it)
  }

  const ports: number[] = []
  for (const { port } of wanted) {
    ports.push(port !== 0 ? port : await getPort({ host: LOCAL_HOST, exclude: [...taken.keys(), ...ports] }))
  }
  return ports
}

async function isFree (port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false)
      else reject(new RelayError('RELAY_CONFIG_INVALID', `port ${port} can't be used: ${error.message}`))
    })
    server.listen(port, LOCAL_HOST, () => server.close(() => resolve(true)))
  })
}
