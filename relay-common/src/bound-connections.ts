/**
 * What an HTTP server lets a connection have. Every limit is absolute: no trickle of bytes puts it off, and past it the
 * connection is destroyed, not only ended, for a peer that says nothing would keep the other half open.
 *
 *     open ──head──▶ asked ──body──▶ answered ──┐
 *      ▲  HEAD_MS      │  REQUEST_MS            │ at least STALL_BYTES in STALL_MS while an answer waits to be read
 *      └───────────────┴──── idle: IDLE_MS ◀────┘
 *
 * A connection is a stranger's until somebody who is known asks on it. Strangers have a share of the connections, and each
 * address a share of that. Past a share the oldest connection of a stranger that asks nothing is destroyed, and not the
 * newest: whoever is honest asks within moments, and is no stranger then.
 */
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

import { normaliseAddress } from './address.ts'

/** A client that takes longer for its headers than a slow phone does is holding a connection, not asking. */
export const HEAD_MS = 10_000
/** and one that takes longer for head and body */
export const REQUEST_MS = 30_000
/** between two requests: longer than the 60 s after which load balancers give up a connection themselves */
export const IDLE_MS = 65_000
/** Who reads slower than this is not reading. */
const STALL_MS = 30_000
const STALL_BYTES = 16 * 1024
/** how long a client that was told why it has to go may take to read that */
export const FAREWELL_MS = 500
const CHECK_INTERVAL_MS = 1_000
/** Node's own default; tokens of identity providers fit */
const HEADERS_MAX_BYTES = 16 * 1024

/** For `createServer`; the deadlines of heads and bodies are Node's own. */
export const serverOptions = {
  headersTimeout: HEAD_MS,
  requestTimeout: REQUEST_MS,
  keepAliveTimeout: IDLE_MS,
  connectionsCheckingInterval: CHECK_INTERVAL_MS,
  maxHeaderSize: HEADERS_MAX_BYTES
} as const satisfies ServerOptions

export interface ConnectionShares {
  /** of everybody */
  readonly connectionsMax: number
  /** of those that nobody who is known has asked on; less than all, so that there is room for those who are known */
  readonly strangersMax: number
  readonly strangersPerAddressMax: number
  /** addresses that many clients come from, such as a proxy's, and so have no share of their own */
  readonly isShared?: (address: string) => boolean
}

/** A program that only answers probes and whoever reads its metrics. */
export const sharesOfProbes: ConnectionShares = {
  connectionsMax: 256, strangersMax: 128, strangersPerAddressMax: 64
}

export interface BoundConnections {
  /** Whether nobody who is known has asked on a connection yet. */
  isStranger (socket: Socket): boolean
  /** Notes that somebody who is known asks on a connection. */
  know (socket: Socket): void
  /** connections that are open now, and those of strangers among them */
  readonly counts: { readonly all: number, readonly strangers: number }
}

interface State {
  readonly address: string
  /** requests whose answers have not ended, and since when, ms */
  readonly asked: Map<IncomingMessage, { readonly sinceMs: number, readonly response: ServerResponse }>
  /** since when nothing is asked, ms */
  idleSinceMs: number
  isFirst: boolean
  /** what had been read by the client, and when: the last time that it was enough */
  readBytes: number
  readAtMs: number
}

const states = new WeakMap<Socket, State>()

/** To be called before the server listens. @param now monotonic, ms */
export function boundConnections (
  server: Server, shares: ConnectionShares, now: () => number = () => performance.now()
): BoundConnections {
  const open = new Set<Socket>()
  /** in the order in which they came */
  const strangers = new Set<Socket>()
  const strangersOf = new Map<string, Set<Socket>>()
  server.maxConnections = shares.connectionsMax

  const forgetStranger = (socket: Socket, { address }: State) => {
    if (!strangers.delete(socket)) return
    const ofAddress = strangersOf.get(address)!
    ofAddress.delete(socket)
    if (ofAddress.size === 0) strangersOf.delete(address)
  }
  const evictFrom = (sockets: Set<Socket>) => {
    let oldest: Socket | undefined
    for (const socket of sockets) {
      oldest ??= socket
      if (states.get(socket)!.asked.size > 0) continue
      oldest = socket
      break
    }
    if (oldest === undefined) return
    forgetStranger(oldest, states.get(oldest)!)
    oldest.destroy()
  }

  server.on('error', () => {}) // once it listens: a connection that could not be taken, such as by too many open files
  server.on('connection', (socket: Socket) => {
    const address = normaliseAddress(socket.remoteAddress ?? '')
    const state: State = {
      address, asked: new Map(), idleSinceMs: now(), isFirst: true, readBytes: 0, readAtMs: now()
    }
    socket.on('error', () => socket.destroy()) // it ends this connection, and nothing else
    if (strangers.size >= shares.strangersMax) evictFrom(strangers)
    const ofAddress = strangersOf.get(address) ?? new Set()
    if (ofAddress.size >= shares.strangersPerAddressMax && !shares.isShared?.(address)) evictFrom(ofAddress)
    states.set(socket, state)
    open.add(socket)
    strangers.add(socket)
    strangersOf.set(address, ofAddress.add(socket))
    socket.once('close', () => {
      forgetStranger(socket, state)
      open.delete(socket)
    })
  })

  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    request.on('error', () => {}) // a body that was cut off; whoever reads it hears of it as well
    response.on('error', () => request.socket.destroy())
    const state = states.get(request.socket)
    if (!state) return
    state.isFirst = false
    state.asked.set(request, { sinceMs: now(), response })
    response.on('close', () => {
      state.asked.delete(request)
      state.idleSinceMs = now()
    })
  })

  const check = () => {
    const nowMs = now()
    for (const socket of open) if (isLate(socket, states.get(socket)!, nowMs)) socket.destroy()
  }
  const timer = setInterval(check, CHECK_INTERVAL_MS).unref()
  server.once('close', () => clearInterval(timer))

  return {
    isStranger: socket => strangers.has(socket),
    know (socket) {
      const state = states.get(socket)
      if (state) forgetStranger(socket, state)
    },
    get counts () { return { all: open.size, strangers: strangers.size } }
  }
}

function isLate (socket: Socket, state: State, nowMs: number): boolean {
  if (state.asked.size === 0) {
    // Node starts its own deadline at the first byte of a head, and blank lines before it are none
    return nowMs - state.idleSinceMs > (state.isFirst ? HEAD_MS : IDLE_MS) + GRACE_MS
  }
  for (const [request, { sinceMs }] of state.asked) {
    if (!request.complete && nowMs - sinceMs > REQUEST_MS + GRACE_MS) return true
  }
  return isStalled(socket, state, nowMs)
}

/** Node's own deadlines come first, as they say why. */
const GRACE_MS = 2_000

/** Whether an answer waits for a client that does not read. */
function isStalled (socket: Socket, state: State, nowMs: number): boolean {
  const readBytes = socket.bytesWritten - socket.writableLength
  if (socket.writableLength === 0 || readBytes - state.readBytes >= STALL_BYTES) {
    state.readBytes = readBytes
    state.readAtMs = nowMs
    return false
  }
  return nowMs - state.readAtMs > STALL_MS
}

/**
 * Whether what is written on a connection now would be taken for the answer to the request at fault: none is under way,
 * or this one alone, whose answer has not begun.
 */
export function mayAnswer (socket: Socket): boolean {
  const asked = [...states.get(socket)?.asked ?? []]
  return socket.writable && asked.length <= 1 && asked.every(([request, { response }]) => !request.complete && !response.headersSent)
}

/** Ends a connection: what was written may still be read for a moment, and then it is destroyed, whatever the peer does. */
export function endHard (socket: Socket, farewell?: string): void {
  if (socket.destroyed) return
  if (socket.writable) socket.end(farewell ?? '')
  const timer = setTimeout(() => socket.destroy(), FAREWELL_MS)
  socket.once('close', () => clearTimeout(timer))
}
