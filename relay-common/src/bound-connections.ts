/**
 * Limits of an HTTP server on its connections. Deadlines are absolute: trickling bytes do not extend them. After a
 * deadline the connection is destroyed instead of ended, because a silent peer would keep the other half open.
 *
 *     open ──head──▶ asked ──body──▶ answered ──┐
 *      ▲  HEAD_MS      │  REQUEST_MS            │ at least STALL_BYTES in STALL_MS while an answer waits to be read
 *      └───────────────┴──── idle: IDLE_MS ◀────┘
 *
 * A connection belongs to a stranger until a known caller sends a request on it. Strangers have a share of the
 * connections, and each address has a share of that. If a share is full, the oldest connection without a request is
 * destroyed in place of the newest. An honest client sends its request within moments, and is then no stranger.
 */
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

import { normaliseAddress } from './address.ts'

/** longer than slow phones need for their headers */
export const HEAD_MS = 10_000
/** for headers and body */
export const REQUEST_MS = 30_000
/** between two requests: longer than the 60 s after which load balancers close a connection */
export const IDLE_MS = 65_000
/** a client that reads slower than this is not reading */
const STALL_MS = 30_000
const STALL_BYTES = 16 * 1024
/** time to read the reason before the connection is destroyed */
export const FAREWELL_MS = 500
const CHECK_INTERVAL_MS = 1_000
/** Node's own default; tokens of identity providers fit */
const HEADERS_MAX_BYTES = 16 * 1024

/** For `createServer`; Node enforces the deadlines of headers and bodies. */
export const serverOptions = {
  headersTimeout: HEAD_MS,
  requestTimeout: REQUEST_MS,
  keepAliveTimeout: IDLE_MS,
  connectionsCheckingInterval: CHECK_INTERVAL_MS,
  maxHeaderSize: HEADERS_MAX_BYTES
} as const satisfies ServerOptions

export interface ConnectionShares {
  /** of all clients */
  readonly connectionsMax: number
  /** connections without a request of a known caller; fewer than all, so that known callers have room */
  readonly strangersMax: number
  readonly strangersPerAddressMax: number
  /** addresses shared by many clients, such as a proxy's; they have no share of their own */
  readonly isShared?: (address: string) => boolean
}

/** For a program that only serves probes and metrics. */
export const sharesOfProbes: ConnectionShares = {
  connectionsMax: 256, strangersMax: 128, strangersPerAddressMax: 64
}

export interface BoundConnections {
  /** Whether no known caller has sent a request on this connection yet. */
  isStranger (socket: Socket): boolean
  /** Records that a known caller sent a request. */
  know (socket: Socket): void
  /** open connections, and those of strangers among them */
  readonly counts: { readonly all: number, readonly strangers: number }
}

interface State {
  readonly address: string
  /** requests whose answers have not ended, with their start, in ms */
  readonly asked: Map<IncomingMessage, { readonly sinceMs: number, readonly response: ServerResponse }>
  /** time since which no request is open, ms */
  idleSinceMs: number
  isFirst: boolean
  /** bytes that the client had read at the last check that passed, and its time */
  readBytes: number
  readAtMs: number
}

const states = new WeakMap<Socket, State>()

/** Call it before the server listens. @param now monotonic, ms */
export function boundConnections (
  server: Server, shares: ConnectionShares, now: () => number = () => performance.now()
): BoundConnections {
  const open = new Set<Socket>()
  /** oldest first */
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

  // after listening: a connection could not be accepted, for example with too many open files
  server.on('error', () => {})
  server.on('connection', (socket: Socket) => {
    const address = normaliseAddress(socket.remoteAddress ?? '')
    const state: State = {
      address, asked: new Map(), idleSinceMs: now(), isFirst: true, readBytes: 0, readAtMs: now()
    }
    socket.on('error', () => socket.destroy()) // ends only this connection
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
    request.on('error', () => {}) // an aborted body; its reader gets the error too
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
    // Node starts its deadline at the first byte of a head, but not at blank lines before it
    return nowMs - state.idleSinceMs > (state.isFirst ? HEAD_MS : IDLE_MS) + GRACE_MS
  }
  for (const [request, { sinceMs }] of state.asked) {
    if (!request.complete && nowMs - sinceMs > REQUEST_MS + GRACE_MS) return true
  }
  return isStalled(socket, state, nowMs)
}

/** Node's own deadlines come first, because they send the reason. */
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
 * Whether the client would take bytes written now as the answer to the bad request: no other answer is in progress, or
 * only one that has not started.
 */
export function mayAnswer (socket: Socket): boolean {
  const asked = [...states.get(socket)?.asked ?? []]
  return socket.writable &&
    asked.length <= 1 && asked.every(([request, { response }]) => !request.complete && !response.headersSent)
}

/** Ends a connection: the client has a moment to read the last bytes, then the connection is destroyed. */
export function endHard (socket: Socket, farewell?: string): void {
  if (socket.destroyed) return
  if (socket.writable) socket.end(farewell ?? '')
  const timer = setTimeout(() => socket.destroy(), FAREWELL_MS)
  socket.once('close', () => clearTimeout(timer))
}
