/**
 * The ports of the stack. They are checked before anything starts, and bound by the parts seconds later. Somebody else
 * may have taken one by then, for example another stack. Then a port that was not requested moves to the next free one.
 */
import { createServer } from 'node:net'

import getPort, { portNumbers } from 'get-port'
import { RelayError } from 'relay-common'

export const LOCAL_HOST = '127.0.0.1'

/** A port that a part of the stack is about to use. */
export interface WantedPort {
  /** what listens there, for people: `the API` */
  readonly what: string
  /** 0: any free one */
  readonly port: number
  /** the option that changes it: `--api-port` */
  readonly option: string
  /** whether the user requested it: then there is no alternative */
  readonly isAsked: boolean
}

export interface Ports<Name extends string> {
  /** current port; 0: not wanted */
  of (name: Name): number
  /**
   * Starts a part that binds some of them; again if one of those is in use and may move.
   * @throws other errors of the start
   */
  bind<T> (names: readonly Name[], start: () => Promise<T>): Promise<T>
}

/** Number of ports after the wanted one that are tried before any other. */
const NEXT_PORTS = 100
const MOVES_MAX = 5

/**
 * Chooses ports that are free now.
 * @param say receives a line for each that is not the expected one
 * @throws RelayError RELAY_PORT_IN_USE, one line for the first requested one that is not free
 */
export async function openPorts<Name extends string> (
  wanted: Readonly<Partial<Record<Name, WantedPort>>>, say: (line: string) => void
): Promise<Ports<Name>> {
  const entries = Object.entries(wanted) as [Name, WantedPort][]
  const chosen = new Map<Name, number>()
  const isElsewhere = (name: Name, port: number) => [...chosen].some(([other, it]) => other !== name && it === port)

  for (const [name, it] of entries.filter(([, it]) => it.isAsked && it.port !== 0)) {
    const other = entries.find(([, that]) => that !== it && that.isAsked && that.port === it.port)?.[1]
    if (other) {
      throw new RelayError('RELAY_PORT_IN_USE',
        `port ${it.port} is set for ${it.what} and for ${other.what}; use another with ${other.option}`)
    }
    if (!await isFree(it.port)) throw inUse(it)
    chosen.set(name, it.port)
  }
  for (const [name, it] of entries.filter(([name]) => !chosen.has(name))) {
    if (it.port !== 0 && !isElsewhere(name, it.port) && await isFree(it.port)) chosen.set(name, it.port)
    else await move(name, it)
  }

  /** Moves to one that is free, and that no other part wants. */
  async function move (name: Name, { what, port, option }: WantedPort): Promise<void> {
    const exclude = [...chosen.values(), ...entries.map(([, it]) => it.port)].filter(it => it !== 0)
    const last = Math.min(port + NEXT_PORTS, 65_535)
    chosen.set(
      name, await getPort({ host: LOCAL_HOST, exclude, port: port === 0 ? undefined : portNumbers(port, last) })
    )
    if (port !== 0) say(`port ${port} is in use: using port ${chosen.get(name)} for ${what} (${option} sets another)`)
  }

  /** Moves ports in use by somebody else. @returns whether any moved */
  async function giveWay (names: readonly Name[]): Promise<boolean> {
    let isMoved = false
    for (const name of names) {
      const it = wanted[name]
      if (it === undefined || (it.isAsked && it.port !== 0) || await isFree(chosen.get(name)!)) continue
      await move(name, it)
      isMoved = true
    }
    return isMoved
  }

  return {
    of: name => chosen.get(name) ?? 0,
    bind: async (names, start) => {
      for (let moves = 0; ; moves++) {
        try {
          return await start()
        } catch (error) {
          const isPort = error instanceof RelayError && error.code === 'RELAY_PORT_IN_USE'
          if (!isPort || moves === MOVES_MAX || !await giveWay(names)) throw error
        }
      }
    }
  }
}

const inUse = ({ port, what, option }: WantedPort) =>
  new RelayError('RELAY_PORT_IN_USE', `port ${port} is in use; use another for ${what} with ${option}`)

/** Whether nobody listens at a port of this machine. @throws RelayError RELAY_CONFIG_INVALID if nobody may */
export async function isFree (port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false)
      else reject(new RelayError('RELAY_CONFIG_INVALID', `can't use port ${port}: ${error.message}`))
    })
    server.listen(port, LOCAL_HOST, () => server.close(() => resolve(true)))
  })
}
