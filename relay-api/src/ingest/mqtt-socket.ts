/**
 * The socket of a client, isolated from the process: each handler runs behind one guard, output is bounded, and a
 * connection that ends is closed soon whatever the other side does.
 *
 *     open ──end(): last words, FIN──▶ lingering ──the client closes, or LINGER_MS──▶ destroyed
 *       └── destroy(), a fault, a client that does not read for long ──────────────────▶ destroyed
 */
import type { Socket } from 'node:net'

export interface SocketEvents {
  readonly data: (chunk: Buffer) => void
  /** the client reads again */
  readonly drained: () => void
  readonly closed: () => void
  /** a handler has thrown: this connection must end */
  readonly failed: (error: unknown) => void
}

/** time for the client to read the last packet */
const LINGER_MS = 1_000
/** unread output of a client above which nothing more is read from it */
const UNREAD_MAX_BYTES = 64 * 1024
/** TCP detects half-open connections of clients without a keep-alive of their own */
const TCP_KEEP_ALIVE_MS = 60_000

export class MqttSocket {
  readonly #socket: Socket
  readonly #events: SocketEvents
  readonly #chokedMaxMs: number
  #isEnding = false
  #endingSinceMs = 0
  #chokedSinceMs: number | undefined

  /** @param chokedMaxMs how long a client may leave its answers unread */
  constructor (socket: Socket, chokedMaxMs: number, events: SocketEvents) {
    this.#socket = socket
    this.#chokedMaxMs = chokedMaxMs
    this.#events = events
    socket.setNoDelay(true)
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS)
    socket.on('error', () => {}) // followed by close
    socket.on('close', this.guarded(events.closed))
    socket.on('end', this.guarded(() => this.end()))
    socket.on('data', this.guarded((chunk: Buffer) => {
      if (this.#isEnding) return
      socket.cork() // many answers, one packet
      try {
        events.data(chunk)
      } finally {
        socket.uncork()
      }
    }))
    socket.on('drain', this.guarded(() => {
      this.#chokedSinceMs = undefined
      if (!this.#isEnding) events.drained()
    }))
  }

  get address (): string { return this.#socket.remoteAddress ?? '' }

  /** Whether the client must read first. */
  get isChoked (): boolean { return this.#chokedSinceMs !== undefined }

  get isEnding (): boolean { return this.#isEnding }

  /** The guard: work that throws, now or later, ends only this connection. */
  guarded<A extends unknown[]> (work: (...args: A) => void | Promise<void>): (...args: A) => void {
    const failed = (error: unknown) => {
      this.destroy()
      this.#events.failed(error)
    }
    return (...args) => {
      try {
        work(...args)?.catch(failed)
      } catch (error) {
        failed(error)
      }
    }
  }

  send (bytes: Buffer): void {
    if (this.#isEnding || bytes.length === 0) return
    this.#socket.write(bytes)
    if (this.#socket.writableLength > UNREAD_MAX_BYTES) this.#chokedSinceMs ??= performance.now()
  }

  pause (): void {
    if (!this.#isEnding) this.#socket.pause()
  }

  resume (): void {
    this.#socket.resume()
  }

  /** @param words last packet of the client; nothing is sent after it */
  end (words: Buffer = Buffer.alloc(0)): void {
    if (this.#isEnding) return
    this.#isEnding = true
    this.#endingSinceMs = performance.now()
    this.#socket.end(words)
    this.#socket.resume() // further input is dropped: unread bytes would reset the connection at once
  }

  destroy (): void {
    this.#isEnding = true
    this.#socket.destroy()
  }

  /** Ends what has taken too long. Call it periodically. */
  check (nowMs: number): void {
    if (this.#isEnding) {
      if (nowMs - this.#endingSinceMs > LINGER_MS) this.destroy()
    } else if (this.#chokedSinceMs !== undefined && nowMs - this.#chokedSinceMs > this.#chokedMaxMs) {
      this.destroy()
    }
  }
}
