/**
 * Which series are known to be there: a bounded set that forgets. It holds keyed hashes of 64 bits in flat arrays, 8
 * bytes a series, since every event is looked up in it: names would be 20 times as much. Without the key nobody can make
 * names that fall together (J.-P. Aumasson and D. J. Bernstein, SipHash, 2012; its variant for 32 bits).
 */
import { randomBytes } from 'node:crypto'

/** A power of two. 1 M series, the devices of a large site, are 8 MB. */
const SERIES_MAX = 2 ** 20
/** places of one hash; of those that fall together a fifth makes one forgotten */
const WAYS = 4

export interface SeriesName {
  readonly deviceId: string
  readonly zone: string
  readonly deviceType: string
}

export class KnownSeries {
  readonly #low: Int32Array
  readonly #high: Int32Array
  readonly #hash = createHash()
  #forgotten = 0

  /** @param seriesMax a power of two; more are forgotten */
  constructor (seriesMax = SERIES_MAX) {
    this.#low = new Int32Array(seriesMax)
    this.#high = new Int32Array(seriesMax)
  }

  has (series: SeriesName): boolean {
    return this.#find(series) >= 0
  }

  add (series: SeriesName): void {
    if (this.#find(series) >= 0) return
    const bucket = this.#bucket()
    let place = bucket
    while (place < bucket + WAYS && (this.#low[place] | this.#high[place]) !== 0) place++
    if (place === bucket + WAYS) place = bucket + this.#forgotten++ % WAYS
    this.#low[place] = this.#hash.low
    this.#high[place] = this.#hash.high
  }

  /** @returns its place; -1: it is not here. The hash is left behind. */
  #find ({ deviceId, zone, deviceType }: SeriesName): number {
    const hash = this.#hash
    hash.begin(deviceId.length ^ zone.length << 10)
    hash.add(deviceId)
    hash.add(zone)
    hash.add(deviceType)
    hash.end()
    const bucket = this.#bucket()
    for (let place = bucket; place < bucket + WAYS; place++) {
      if (this.#low[place] === hash.low && this.#high[place] === hash.high) return place
    }
    return -1
  }

  #bucket (): number {
    return (this.#hash.low & (this.#low.length - 1)) & -WAYS
  }
}

/** HalfSipHash-1-3 of texts, two UTF-16 units a word; `low` and `high` are never both 0. */
function createHash () {
  const key = randomBytes(8)
  const key0 = key.readInt32LE(0)
  const key1 = key.readInt32LE(4)
  let v0 = 0
  let v1 = 0
  let v2 = 0
  let v3 = 0
  const round = () => {
    v0 = v0 + v1 | 0
    v1 = (v1 << 5 | v1 >>> 27) ^ v0
    v0 = v0 << 16 | v0 >>> 16
    v2 = v2 + v3 | 0
    v3 = (v3 << 8 | v3 >>> 24) ^ v2
    v0 = v0 + v3 | 0
    v3 = (v3 << 7 | v3 >>> 25) ^ v0
    v2 = v2 + v1 | 0
    v1 = (v1 << 13 | v1 >>> 19) ^ v2
    v2 = v2 << 16 | v2 >>> 16
  }
  const mix = (word: number) => {
    v3 ^= word
    round()
    v0 ^= word
  }
  return {
    low: 0,
    high: 0,
    /** @param lengths of what follows, so that no two lists of texts are one */
    begin (lengths: number) {
      v0 = key0
      v1 = key1 ^ 0xee
      v2 = 0x6c796765 ^ key0
      v3 = 0x74656462 ^ key1
      mix(lengths)
    },
    add (text: string) {
      const last = text.length - 1
      for (let at = 0; at < last; at += 2) mix(text.charCodeAt(at) | text.charCodeAt(at + 1) << 16)
      if (text.length % 2 === 1) mix(text.charCodeAt(last) | 0xffff_0000)
    },
    end () {
      v2 ^= 0xee
      round()
      round()
      round()
      this.low = v1 ^ v3
      v1 ^= 0xdd
      round()
      round()
      round()
      this.high = v1 ^ v3 || 1
    }
  }
}
