/**
 * The socket of a client, so that nothing that happens on it reaches the process: each handler runs behind one guard,
 * what is sent is bounded, and a connection that ends is gone soon whatever the other side does.
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
  /** a handler has thrown: this connection can't go on */
  readonly failed: (error: unknown) => void
}

/** so long a client may take to read the last words */
const LINGER_MS = 1_000
/** answers that a client has not read; past it nothing more is read of it */
const UNREAD_MAX_BYTES = 64 * 1024
/** half-open connections of clients without a keep-alive of their own are found by TCP's */
const TCP_KEEP_ALIVE_MS = 60_000

export class MqttSocket {
  readonly #socket: Socket
  readonly #events: SocketEvents
  readonly #chokedMaxMs: number
  #isEnding = false
  #endingSinceMs = 0
  #chokedSinceMs: number | undefined

  /** @param chokedMaxMs so long a client need not read its answers */
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

  /** Whether the client has to read first. */
  get isChoked (): boolean { return this.#chokedSinceMs !== undefined }

  get isEnding (): boolean { return this.#isEnding }

  /** The guard: work that throws, now or later, ends this connection and nothing else. */
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

  /** @param words what the client is told; nothing is sent behind it */
  end (words: Buffer = Buffer.alloc(0)): void {
    if (this.#isEnding) return
    this.#isEnding = true
    this.#endingSinceMs = performance.now()
    this.#socket.end(words)
    this.#socket.resume() // what it still sends is dropped: bytes that nobody reads would reset the connection at once
  }

  destroy (): void {
    this.#isEnding = true
    this.#socket.destroy()
  }

  /** Ends what has taken too long. To be called from time to time. */
  check (nowMs: number): void {
    if (this.#isEnding) {
      if (nowMs - this.#endingSinceMs > LINGER_MS) this.destroy()
    } else if (this.#chokedSinceMs !== undefined && nowMs - this.#chokedSinceMs > this.#chokedMaxMs) {
      this.destroy()
    }
  }
}
