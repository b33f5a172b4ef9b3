/**
 * One client of a stream: server-sent events on a connection that is bounded. Who doesn't read what was sent is told
 * why, as far as that still arrives, and cut off: it can come back with the id that it has.
 *
 *     holding ──release()──▶ live ──end(), or the client goes──▶ ended
 *
 * While it is holding (what it missed is being read), what is sent waits behind that.
 */
import type { ServerResponse } from 'node:http'

export const endReasons = ['slow', 'closing', 'unauthorized', 'failed'] as const
export type EndReason = typeof endReasons[number]

export interface ClientSettings {
  readonly bufferMaxBytes: number
  /** called once, when it has ended; the reason where the client did not go by itself */
  readonly ended: (reason: EndReason | undefined) => void
}

/** how long an ended client has to take what is on its way to it */
const FAREWELL_MS = 5_000

export class Client {
  readonly #response: ServerResponse
  readonly #settings: ClientSettings
  #held: Array<string | Buffer> | undefined
  #heldBytes = 0
  #hasEnded = false

  constructor (response: ServerResponse, settings: ClientSettings) {
    this.#response = response
    this.#settings = settings
    response.once('close', () => this.#finish(undefined))
  }

  /** What was sent, and has not left yet. */
  get waitingBytes (): number { return this.#hasEnded ? 0 : this.#heldBytes + this.#response.writableLength }
  get isHolding (): boolean { return this.#held !== undefined }
  get hasEnded (): boolean { return this.#hasEnded }

  /** Keeps what is sent from now on, until `release`. */
  hold (): void {
    this.#held = []
  }

  /** @param missed what comes before all that was sent meanwhile */
  release (missed: string): void {
    const held = this.#held ?? []
    this.#held = undefined
    this.#heldBytes = 0
    this.send(missed)
    for (const text of held) this.send(text)
  }

  send (text: string | Buffer): void {
    if (this.#hasEnded) return
    if (this.#held) {
      this.#held.push(text)
      this.#heldBytes += text.length
    } else {
      this.#response.write(text)
    }
    if (this.#heldBytes + this.#response.writableLength > this.#settings.bufferMaxBytes) this.end('slow')
  }

  end (reason: EndReason): void {
    if (this.#hasEnded) return
    const response = this.#response
    response.end(`event: end\ndata: ${JSON.stringify({ reason })}\n\n`)
    const timer = setTimeout(() => response.destroy(), FAREWELL_MS).unref()
    response.once('close', () => clearTimeout(timer))
    this.#finish(reason)
  }

  /** Ends it as slow, and what waits for it is gone at once. */
  cut (): void {
    this.#finish('slow')
    this.#response.destroy()
  }

  #finish (reason: EndReason | undefined): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#held = undefined
    this.#settings.ended(reason)
  }
}
