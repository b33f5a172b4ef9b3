/**
 * Buffers that answers of brokers are received in, used again and again: a new one costs the kernel a zeroed page for
 * every 4 KB, 0.05 us for each record in it.
 *
 * A buffer that nobody releases (its records were dropped unseen) is left to the garbage collector: forgetting is safe,
 * releasing too early is not.
 */
export class ReceiveBuffers {
  readonly #keptMaxBytes: number
  readonly #free: Buffer[] = []
  #freeBytes = 0

  /** @param keptMaxBytes most bytes that wait here to be used again */
  constructor (keptMaxBytes: number) {
    this.#keptMaxBytes = keptMaxBytes
  }

  take (sizeBytes: number): Received {
    // sizes in powers of two, so that one that was released fits the next answer of about its size
    const capacity = Math.max(CAPACITY_MIN_BYTES, 2 ** Math.ceil(Math.log2(sizeBytes)))
    const at = this.#free.findIndex(it => it.length === capacity)
    if (at < 0) return new Received(this, Buffer.allocUnsafeSlow(capacity), sizeBytes)
    const [buffer] = this.#free.splice(at, 1)
    this.#freeBytes -= capacity
    return new Received(this, buffer, sizeBytes)
  }

  /** For `Received` alone. */
  giveBack (buffer: Buffer): void {
    if (this.#freeBytes + buffer.length > this.#keptMaxBytes) return
    this.#free.push(buffer)
    this.#freeBytes += buffer.length
  }
}

const CAPACITY_MIN_BYTES = 64 * 1024

/** Bytes that were received, and how many still need them. */
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

  /** One more will release it. */
  share (): void {
    this.#users++
  }

  /** Each user, once, when no slice of it is needed any more. */
  release (): void {
    if (--this.#users === 0) this.#buffers.giveBack(this.#buffer)
  }
}
