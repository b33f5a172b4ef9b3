/**
 * Reads the packets of a client, one by one. A packet that can't be handled now keeps its place, and nothing more is
 * read until it can:
 *
 *     bytes ──frames──▶ take ──▶ the next one
 *                │       └── hold: tried again after a time
 *                └── blocked: nothing is taken; `pump` continues
 */
import type { BytesLease } from './in-flight.ts'
import { Frames, type Frame, type FrameLimits } from './mqtt-frames.ts'
import type { MqttSocket } from './mqtt-socket.ts'

export interface PacketHandlers {
  /** Handles a packet. It may `hold` the rest of its work. */
  readonly take: (frame: Frame) => void
  /** Called with type and flags of an incomplete packet. */
  readonly begun: (type: number) => void
  /** whether no packet can be handled now */
  readonly isBlocked: () => boolean
  readonly hasClosed: () => boolean
  /** @returns room for an incomplete packet; undefined: none now */
  readonly takeRoom: (bytes: number) => BytesLease | undefined
}

export interface OpenSettings extends FrameLimits {
  /** 0: the client may be silent forever */
  readonly keepAliveMs: number
}

/** a client that is silent for this multiple of its keep-alive is gone */
const KEEP_ALIVE_GRACE = 1.5
/** of the first packet */
const CONNECT_MAX_BYTES = 16 * 1024
/** this part of an incomplete packet needs no room in flight */
const FREE_PARTIAL_BYTES = 4 * 1024
/** packets of one client per turn */
const PACKETS_PER_TURN = 200
/** delay before a packet without room in flight is retried */
export const ROOM_RETRY_MS = 100

export class MqttReader {
  readonly #socket: MqttSocket
  readonly #handlers: PacketHandlers
  readonly #frames = new Frames({ keptMaxBytes: CONNECT_MAX_BYTES, passedMaxBytes: 0 })
  /** the rest of the work on a packet that keeps its place */
  #held: (() => void) | undefined
  #retry: NodeJS.Timeout | undefined
  /** room for an incomplete packet */
  #partialLease: BytesLease | undefined
  #heardMs = performance.now()
  /** start of the incomplete packet */
  #partialSinceMs: number | undefined
  #isPaused = false
  /** of an open connection */
  #keepAliveMs: number | undefined

  constructor (socket: MqttSocket, handlers: PacketHandlers) {
    this.#socket = socket
    this.#handlers = handlers
  }

  get isBlocked (): boolean {
    return this.#retry !== undefined || this.#handlers.isBlocked()
  }

  /** The client is known: its packets have other limits from now on. */
  open ({ keepAliveMs, ...limits }: OpenSettings): void {
    this.#frames.setLimits(limits)
    this.#keepAliveMs = keepAliveMs
    this.#heardMs = performance.now()
  }

  push (chunk: Buffer): void {
    this.#frames.push(chunk)
    this.pump()
  }

  /** Handles packets as long as possible; then continues to read, or waits. */
  pump (): void {
    for (let taken = 0; !this.#handlers.hasClosed(); taken++) {
      if (this.isBlocked) return this.#pause()
      if (taken === PACKETS_PER_TURN) return this.wait(0)
      if (this.#held) {
        const held = this.#held
        this.#held = undefined
        held()
        continue
      }
      const frame = this.#frames.next()
      if (!frame) break
      this.#heardMs = performance.now()
      this.#dropLease()
      this.#partialSinceMs = undefined
      this.#handlers.take(frame)
    }
    const { partialType } = this.#frames
    if (partialType !== undefined && !this.#handlers.hasClosed()) this.#handlers.begun(partialType)
    if (this.#handlers.hasClosed() || !this.#hasRoomForPartial()) return
    this.#resume()
  }

  /** Lets a packet keep its place: `work` is tried again after a time, and before any other packet. */
  hold (work: () => void, retryMs: number): void {
    this.#held = work
    this.wait(retryMs)
  }

  /** @returns why the client must go, if it must */
  check (nowMs: number, packetTimeoutMs: number): 'packet-timeout' | 'silence' | undefined {
    if (this.#keepAliveMs === undefined || this.isBlocked) return undefined
    if (this.#partialSinceMs !== undefined && nowMs - this.#partialSinceMs > packetTimeoutMs) return 'packet-timeout'
    const isSilent = this.#keepAliveMs > 0 && nowMs - this.#heardMs > this.#keepAliveMs * KEEP_ALIVE_GRACE
    return isSilent ? 'silence' : undefined
  }

  close (): void {
    clearTimeout(this.#retry)
    this.#dropLease()
  }

  #pause (): void {
    this.#isPaused = true
    this.#socket.pause()
  }

  #resume (): void {
    const nowMs = performance.now()
    if (this.#isPaused) { // we did not read meanwhile
      this.#isPaused = false
      this.#heardMs = nowMs
      this.#partialSinceMs = undefined
    }
    this.#partialSinceMs = this.#frames.isPartial ? this.#partialSinceMs ?? nowMs : undefined
    this.#socket.resume()
  }

  /** Reads nothing for a time. */
  wait (afterMs: number): void {
    this.#pause()
    this.#retry ??= setTimeout(this.#socket.guarded(() => {
      this.#retry = undefined
      this.pump()
    }), afterMs)
  }

  #hasRoomForPartial (): boolean {
    const bytes = this.#frames.partialBytes
    if (this.#partialLease || bytes <= FREE_PARTIAL_BYTES || this.#keepAliveMs === undefined) return true
    this.#partialLease = this.#handlers.takeRoom(bytes)
    if (!this.#partialLease) this.wait(ROOM_RETRY_MS)
    return this.#partialLease !== undefined
  }

  #dropLease (): void {
    this.#partialLease?.[Symbol.dispose]()
    this.#partialLease = undefined
  }
}
