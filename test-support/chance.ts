/** Reproducible randomness from a seed: for tests that can be replayed. */
export class Chance {
  readonly #random: () => number

  constructor (seed: number) {
    this.#random = createRandom(Math.imul(seed, 0x9e3779b1)) // neighbouring seeds are uncorrelated
  }

  /** From 0 to 1 (exclusive). */
  next (): number {
    return this.#random()
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

/** Numbers from 0 to 1 (exclusive), the same for the same seed: `mulberry32` by Tommy Ettinger. */
export function createRandom (seed: number): () => number {
  let state = seed | 0
  return () => {
    state = state + 0x6d2b79f5 | 0
    let mixed = Math.imul(state ^ state >>> 15, state | 1)
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61)
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32
  }
}
