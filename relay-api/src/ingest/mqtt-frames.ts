/**
 * Splits the bytes of a connection into whole packets:
 *
 *     type and flags (1 byte) | remaining length (1 to 4 bytes of 7 bits, the lowest first) | that many bytes
 *
 * The work is linear in the bytes, for any size of pieces: a byte is copied at most twice. The memory depends on the
 * received bytes, not on the announced length.
 */

export type Frame =
  /** one packet with its header */
  | { readonly kind: 'whole', readonly bytes: Buffer }
  /** the first bytes of a packet above the limit, after all of it was skipped */
  | { readonly kind: 'cut-off', readonly bytes: Buffer, readonly sizeBytes: number }
  /** unreadable: a length of more than four bytes, or above the limit */
  | { readonly kind: 'malformed' }
  | { readonly kind: 'too-large' }

export interface FrameLimits {
  /** longest packet that is kept, with its header */
  readonly keptMaxBytes: number
  /** longest packet that is skipped; its first `keptMaxBytes` are kept */
  readonly passedMaxBytes: number
}

const LENGTH_BYTES_MAX = 4
const LENGTH_BITS = 0x7f
const MORE = 0x80
const OPENED_BYTES = 1_024

export class Frames {
  #limits: FrameLimits
  readonly #chunks: Buffer[] = []
  /** next byte of the first chunk */
  #at = 0
  #header: number[] = []
  #bodyBytes = 0
  /** received part of a packet with a complete header; undefined: none */
  #body: Buffer | undefined
  /** received size of the packet, with its header */
  #receivedBytes = 0

  constructor (limits: FrameLimits) {
    this.#limits = limits
  }

  /** Applies from the next packet. */
  setLimits (limits: FrameLimits): void {
    this.#limits = limits
  }

  /** Whether a packet is incomplete. */
  get isPartial (): boolean { return this.#header.length > 0 }

  /** Type and flags of the incomplete packet; undefined: none. */
  get partialType (): number | undefined { return this.#header[0] }

  /** Kept size of the incomplete packet; 0: none, or its length is unknown. */
  get partialBytes (): number { return this.#body ? this.#keptBytes() : 0 }

  push (chunk: Buffer): void {
    if (chunk.length > 0) this.#chunks.push(chunk)
  }

  /** @returns undefined: no complete packet */
  next (): Frame | undefined {
    while (this.#chunks.length > 0) {
      const frame = this.#body ? this.#readBody() : this.#readHeader()
      if (frame) return frame
    }
    return undefined
  }

  #readHeader (): Frame | undefined {
    const chunk = this.#chunks[0]
    const start = this.#at - this.#header.length // of the packet, if all of its header is in this chunk
    while (this.#at < chunk.length) {
      const byte = chunk[this.#at++]
      this.#header.push(byte)
      const place = this.#header.length - 2
      if (place < 0) continue
      this.#bodyBytes += (byte & LENGTH_BITS) * 2 ** (7 * place)
      if (byte & MORE) {
        if (place + 1 === LENGTH_BYTES_MAX) return { kind: 'malformed' }
        continue
      }
      const sizeBytes = this.#sizeBytes()
      if (sizeBytes > Math.max(this.#limits.keptMaxBytes, this.#limits.passedMaxBytes)) return { kind: 'too-large' }
      const end = this.#at + this.#bodyBytes
      if (start >= 0 && end <= chunk.length && sizeBytes <= this.#limits.keptMaxBytes) {
        this.#at = end
        this.#dropRead()
        this.#reset()
        return { kind: 'whole', bytes: chunk.subarray(start, end) }
      }
      this.#body = Buffer.allocUnsafe(Math.min(this.#keptBytes(), OPENED_BYTES))
      this.#body.set(this.#header)
      this.#receivedBytes = this.#header.length
      this.#dropRead()
      return this.#bodyBytes === 0 ? this.#end() : undefined
    }
    this.#dropRead()
    return undefined
  }

  #readBody (): Frame | undefined {
    const chunk = this.#chunks[0]
    const taken = Math.min(chunk.length - this.#at, this.#sizeBytes() - this.#receivedBytes)
    const kept = Math.min(taken, Math.max(0, this.#keptBytes() - this.#receivedBytes))
    if (kept > 0) {
      this.#grow(this.#receivedBytes + kept)
      chunk.copy(this.#body!, this.#receivedBytes, this.#at, this.#at + kept)
    }
    this.#at += taken
    this.#receivedBytes += taken
    this.#dropRead()
    return this.#receivedBytes === this.#sizeBytes() ? this.#end() : undefined
  }

  #end (): Frame {
    const sizeBytes = this.#sizeBytes()
    const bytes = this.#body!.subarray(0, this.#keptBytes())
    this.#reset()
    return bytes.length === sizeBytes ? { kind: 'whole', bytes } : { kind: 'cut-off', bytes, sizeBytes }
  }

  /** Doubles, so that growing costs no more than the earlier copies. */
  #grow (bytes: number): void {
    const body = this.#body!
    if (bytes <= body.length) return
    this.#body = Buffer.allocUnsafe(Math.min(this.#keptBytes(), Math.max(2 * body.length, bytes)))
    body.copy(this.#body, 0, 0, this.#receivedBytes)
  }

  #sizeBytes (): number { return this.#header.length + this.#bodyBytes }

  #keptBytes (): number { return Math.min(this.#sizeBytes(), this.#limits.keptMaxBytes) }

  #dropRead (): void {
    if (this.#at < this.#chunks[0].length) return
    this.#chunks.shift() // there are few: a client with waiting chunks is not read
    this.#at = 0
  }

  #reset (): void {
    this.#header = []
    this.#bodyBytes = 0
    this.#body = undefined
    this.#receivedBytes = 0
  }
}
