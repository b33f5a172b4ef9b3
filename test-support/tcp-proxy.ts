/**
 * A faulty connection to a server: connections are cut, refused or delayed, and answers are dropped.
 *
 *     client ──▶ proxy ──▶ server
 */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export interface TcpProxy {
  readonly port: number
  /** bytes from the server so far */
  readonly receivedBytes: number
  /** bytes from clients so far, whether the server has received them or not */
  readonly requestedBytes: number
  /** delay of a chunk, in each direction; may change at any time */
  delayMs: number
  /** true: new connections are closed at once */
  isRefusing: boolean
  /** target of new connections */
  serverPort: number
  /** Resets all open connections. @returns their number */
  cut (): number
  /**
   * Forwards the next request with these bytes, and cuts its connection: the server executes it, and the client gets no
   * answer.
   * @param signal ends the wait for such a request
   * @returns whether there was one
   */
  cutBehind (request: Buffer, signal: AbortSignal): Promise<boolean>
  close (): Promise<void>
}

const HOST = '127.0.0.1'

/** Opens a proxy on a free port. @param serverPort where the server listens, or will */
export async function openTcpProxy (serverPort: number): Promise<TcpProxy> {
  const pairs = new Set<Pair>()
  const state = { serverPort, delayMs: 0, isRefusing: false, receivedBytes: 0, requestedBytes: 0 }
  const server = createServer(client => {
    if (state.isRefusing) {
      resetSocket(client.on('error', () => {}))
      return
    }
    const pair = new Pair(client, connect({ host: HOST, port: state.serverPort, noDelay: true }), () => state.delayMs)
    pair.server.on('data', chunk => { state.receivedBytes += chunk.length })
    client.on('data', chunk => { state.requestedBytes += chunk.length })
    pairs.add(pair)
    pair.closed.then(() => pairs.delete(pair))
  })
  server.listen(0, HOST)
  await once(server, 'listening')

  const cut = () => {
    const open = [...pairs]
    for (const pair of open) pair.reset()
    return open.length
  }
  return {
    port: (server.address() as AddressInfo).port,
    get receivedBytes () { return state.receivedBytes },
    get requestedBytes () { return state.requestedBytes },
    get delayMs () { return state.delayMs },
    set delayMs (ms) { state.delayMs = ms },
    get serverPort () { return state.serverPort },
    set serverPort (port) { state.serverPort = port },
    get isRefusing () { return state.isRefusing },
    set isRefusing (refuse) { state.isRefusing = refuse },
    cut,
    cutBehind: (request, signal) => cutBehind(pairs, request, signal),
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      cut()
      await closed
    }
  }
}

/** Watches the current connections. */
async function cutBehind (pairs: ReadonlySet<Pair>, request: Buffer, signal: AbortSignal): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const watched = [...pairs]
  const look = (pair: Pair) => (chunk: Buffer) => {
    if (!chunk.includes(request)) return
    pair.isAnswering = false // the server's answer, and everything after it, is dropped
    pair.closed.then(() => resolve(true))
    // once the server has read the request it executes it, and writes its answer to nobody
    pair.server.once('data', () => pair.reset())
  }
  const looks = watched.map(pair => ({ pair, listener: look(pair) }))
  for (const { pair, listener } of looks) pair.client.on('data', listener)
  const giveUp = () => resolve(false)
  signal.addEventListener('abort', giveUp)
  if (signal.aborted) giveUp()
  try {
    return await promise
  } finally {
    signal.removeEventListener('abort', giveUp)
    for (const { pair, listener } of looks) pair.client.off('data', listener)
  }
}

/** A connection: two sockets, and the data between them. */
class Pair {
  readonly client: Socket
  readonly server: Socket
  readonly closed: Promise<void>
  /** false: data from the server is dropped */
  isAnswering = true

  constructor (client: Socket, server: Socket, delayMs: () => number) {
    this.client = client
    this.server = server
    client.setNoDelay(true)
    forward(client, server, delayMs, () => true)
    forward(server, client, delayMs, () => this.isAnswering)
    const closed = [client, server].map(it => new Promise<void>(resolve => it.once('close', () => resolve())))
    this.closed = Promise.all(closed).then(() => {})
  }

  reset (): void {
    resetSocket(this.client)
    resetSocket(this.server)
  }
}

/**
 * Resets a connection. Node can't do that in the turn in which it was ended: then the socket is lost, and the process
 * never exits.
 */
export function resetSocket (socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}

/** Forwards data in order, each chunk after its delay; a broken side breaks the other. */
function forward (from: Socket, to: Socket, delayMs: () => number, isPassing: () => boolean): void {
  const waiting: { readonly dueMs: number, readonly chunk: Buffer | undefined }[] = []
  let timer: NodeJS.Timeout | undefined

  const pass = (chunk: Buffer | undefined) => {
    if (!chunk) to.end()
    else if (!to.write(chunk)) from.pause()
  }
  const passDue = () => {
    timer = undefined
    while (waiting.length > 0 && waiting[0].dueMs <= performance.now()) pass(waiting.shift()!.chunk)
    if (waiting.length > 0) timer = setTimeout(passDue, waiting[0].dueMs - performance.now() + 1)
  }
  const take = (chunk: Buffer | undefined) => {
    if (!isPassing()) return
    if (delayMs() === 0 && waiting.length === 0) return pass(chunk)
    waiting.push({ dueMs: performance.now() + delayMs(), chunk })
    if (!timer) passDue()
  }

  from.on('data', take)
  from.on('end', () => take(undefined))
  to.on('drain', () => from.resume())
  from.on('error', () => resetSocket(to))
  from.on('close', hadError => {
    clearTimeout(timer)
    if (hadError || waiting.length > 0) resetSocket(to)
    else to.end()
  })
}
