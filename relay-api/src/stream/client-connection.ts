/**
 * One client of a stream: server-sent events on a connection with a bounded buffer. A client that does not read gets
 * the reason, if that still arrives, and is disconnected: it can resume with its last id.
 *
 *     holding ──release()──▶ live ──end(), or the client goes──▶ ended
 *
 * While it is holding, further data waits: resume.ts reads the changes that a resuming client missed since its last id.
 */
import type { ServerResponse } from 'node:http'

export const endReasons = ['slow', 'closing', 'unauthorized', 'failed'] as const
export type StreamEndReason = typeof endReasons[number]

export interface ConnectionSettings {
  readonly bufferMaxBytes: number
  /** called once at the end; with the reason unless the client left */
  readonly ended: (reason: StreamEndReason | undefined) => void
}

/** time for an ended client to read pending data */
const FAREWELL_MS = 5_000

export class ClientConnection {
  readonly #response: ServerResponse
  readonly #settings: ConnectionSettings
  #held: Array<string | Buffer> | undefined
  #heldBytes = 0
  #hasEnded = false

  constructor (response: ServerResponse, settings: ConnectionSettings) {
    this.#response = response
    this.#settings = settings
    response.once('close', () => this.#finish(undefined))
  }

  /** Bytes that were sent and have not left yet. */
  get waitingBytes (): number { return this.#hasEnded ? 0 : this.#heldBytes + this.#response.writableLength }
  get isHolding (): boolean { return this.#held !== undefined }
  get hasEnded (): boolean { return this.#hasEnded }

  /** Holds further data until `release`. */
  hold (): void {
    this.#held = []
  }

  /** @param missed sent before everything that was held */
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

  end (reason: StreamEndReason): void {
    if (this.#hasEnded) return
    const response = this.#response
    response.end(`event: end\ndata: ${JSON.stringify({ reason })}\n\n`)
    const timer = setTimeout(() => response.destroy(), FAREWELL_MS).unref()
    response.once('close', () => clearTimeout(timer))
    this.#finish(reason)
  }

  /** Ends it as slow, and drops its buffer at once. */
  cut (): void {
    this.#finish('slow')
    this.#response.destroy()
  }

  #finish (reason: StreamEndReason | undefined): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#held = undefined
    this.#settings.ended(reason)
  }
}
