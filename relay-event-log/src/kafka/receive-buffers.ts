/**
 * Reusable buffers for answers of brokers. A new one costs a zeroed page per 4 KB in the kernel, 0.05 us per record.
 *
 * A buffer that is not released (its records were dropped unseen) goes to the garbage collector. Not releasing is safe,
 * releasing too early is not.
 */
export class ReceiveBuffers {
  readonly #keptMaxBytes: number
  readonly #free: Buffer[] = []
  #freeBytes = 0

  /** @param keptMaxBytes most bytes that are kept for reuse */
  constructor (keptMaxBytes: number) {
    this.#keptMaxBytes = keptMaxBytes
  }

  take (sizeBytes: number): Received {
    // sizes are powers of two, so that a released buffer fits the next answer of a similar size
    const capacity = Math.max(CAPACITY_MIN_BYTES, 2 ** Math.ceil(Math.log2(sizeBytes)))
    const at = this.#free.findIndex(it => it.length === capacity)
    if (at < 0) return new Received(this, Buffer.allocUnsafeSlow(capacity), sizeBytes)
    const [buffer] = this.#free.splice(at, 1)
    this.#freeBytes -= capacity
    return new Received(this, buffer, sizeBytes)
  }

  /** Only for `Received`. */
  giveBack (buffer: Buffer): void {
    if (this.#freeBytes + buffer.length > this.#keptMaxBytes) return
    this.#free.push(buffer)
    this.#freeBytes += buffer.length
  }
}

const CAPACITY_MIN_BYTES = 64 * 1024

/** Received bytes, and the number of their users. */
export class Received {
  readonly bytes: Buffer
  readonly #buffers: ReceiveBuffers
  readonly #buffer: Buffer
  #users = 1

  constructor (buffers: ReceiveBuffers, buffer: Buffer, sizeBytes: number) {
    this.#buffers = buffers
    this.#buffer = buffer
    this.bytes = buffer.subarray(0, sizeBytes)
  }

  /** Adds a user, who must release it. */
  share (): void {
    this.#users++
  }

  /** Each user calls it once, when it needs no slice any more. */
  release (): void {
    if (--this.#users === 0) this.#buffers.giveBack(this.#buffer)
  }
}
