/** Reproducible randomness from a seed: for tests that can be replayed. */
export class Chance {
  #state: number

  constructor (seed: number) {
    this.#state = Math.imul(seed, 0x9e3779b1) >>> 0 // neighbouring seeds are uncorrelated
  }

  /** From 0 to 1 (exclusive): the generator `mulberry32`. */
  next (): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number below a limit. */
  below (limit: number): number {
    return Math.floor(this.next() * limit)
  }

  /** A whole number from `least` to `most`, inclusive. */
  between (least: number, most: number): number {
    return least + this.below(most - least + 1)
  }

  pick<T> (of: readonly T[]): T {
    return of[this.below(of.length)]
  }

  happens (probability: number): boolean {
    return this.next() < probability
  }
}
