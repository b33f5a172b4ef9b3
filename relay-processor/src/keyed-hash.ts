/**
 * A hash of bytes chosen by senders, which they can't predict: multilinear hashing (D. Lemire and O. Kaser, "Strongly
 * universal string hashing is fast", 2014) with random numbers of each process.
 *
 *     sum of key[n] * word[n]  modulo 2^32, words of 16 bits, the top 17 bits count; twice, with keys of their own
 *
 * Any two names collide for one in 2^32 choices of the keys. A random seed is not sufficient: what collides in FNV, or
 * in a mix of xor and a fixed multiplier, collides with every seed. The final mix is one to one and destroys order, so
 * that consecutive names do not get consecutive slots.
 *
 * Hot path: two independent multiplications per two bytes, 10 ns for a key of 12 bytes.
 */
import { randomFillSync } from 'node:crypto'

import { ID_UNITS_MAX } from 'relay-rollups'

/** Most hashed bytes of all parts of a name: three ids of UTF-16 units, with at most three bytes each. */
export const HASHED_BYTES_MAX = 3 * 3 * ID_UNITS_MAX

const WORD = 2
const PARTS_MAX = 3
/** a word for each part with an odd length, and one for its length */
const KEYS = HASHED_BYTES_MAX / WORD + 2 * PARTS_MAX

/** The random numbers of one table. */
export class HashKeys {
  readonly #high = randomFillSync(new Int32Array(KEYS))
  readonly #low = randomFillSync(new Int32Array(KEYS))

  /** Hot: the hash of the bytes from `start` to `end`, at most HASHED_BYTES_MAX. */
  hash (view: DataView, start: number, end: number): number {
    const highs = this.#high
    const lows = this.#low
    let high = Math.imul(highs[0], end - start)
    let low = Math.imul(lows[0], end - start)
    let n = 1
    for (const last = end - 2 * WORD; start <= last; start += 2 * WORD, n += 2) {
      const words = view.getInt32(start, true)
      const first = words & 0xffff
      const second = words >>> 16
      high = high + Math.imul(highs[n], first) + Math.imul(highs[n + 1], second) | 0
      low = low + Math.imul(lows[n], first) + Math.imul(lows[n + 1], second) | 0
    }
    for (; start < end; start++, n++) {
      const word = view.getUint8(start)
      high = high + Math.imul(highs[n], word) | 0
      low = low + Math.imul(lows[n], word) | 0
    }
    return scatter(high & 0xffff8000 | low >>> 17)
  }

  /**
   * The hash of three parts of a buffer, together at most HASHED_BYTES_MAX; other splits of the same bytes have another
   * hash.
   */
  hashParts (
    buffer: Uint8Array, aStart: number, aEnd: number, bStart: number, bEnd: number, cStart: number, cEnd: number
  ): number {
    const highs = this.#high
    const lows = this.#low
    let high = Math.imul(highs[0], aEnd - aStart)
    let low = Math.imul(lows[0], aEnd - aStart)
    let n = 1
    for (let part = 0, at = aStart, end = aEnd; ;) {
      const last = end - 1
      for (; at < last; at += WORD, n++) {
        const word = buffer[at] | buffer[at + 1] << 8
        high = high + Math.imul(highs[n], word) | 0
        low = low + Math.imul(lows[n], word) | 0
      }
      if (at === last) {
        high = high + Math.imul(highs[n], buffer[at]) | 0
        low = low + Math.imul(lows[n++], buffer[at]) | 0
      }
      if (part === 2) break
      at = part === 0 ? bStart : cStart
      end = part === 0 ? bEnd : cEnd
      part++
      high = high + Math.imul(highs[n], end - at) | 0
      low = low + Math.imul(lows[n++], end - at) | 0
    }
    return scatter(high & 0xffff8000 | low >>> 17)
  }
}

/** The finalizer of MurmurHash3: one to one. */
function scatter (hash: number): number {
  hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b)
  hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35)
  return hash ^ hash >>> 16
}
