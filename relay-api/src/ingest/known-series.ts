/**
 * The set of known series: bounded, with eviction. It holds keyed 64-bit hashes in flat arrays, 8 bytes per series,
 * because every event is looked up in it; names would take 20 times as much. Without the key nobody can find colliding
 * names (J.-P. Aumasson and D. J. Bernstein, SipHash, 2012; its variant for 32 bits).
 *
 * Hot path: names are hashed in place, without strings.
 */
import { randomBytes } from 'node:crypto'

import { ID_UNITS_MAX, type ScannedEvent } from 'relay-rollups'

/** A power of two. One million series, the devices of a large site, take 8 MB. */
const SERIES_MAX = 2 ** 20
/** slots per hash; a fifth collision evicts one */
const WAYS = 4

export interface SeriesName {
  readonly deviceId: string
  readonly zone: string
  readonly deviceType: string
}

/** A UTF-16 unit takes up to 3 bytes. */
const NAME_BYTES_MAX = 3 * ID_UNITS_MAX

export class KnownSeries {
  readonly #low: Int32Array
  readonly #high: Int32Array
  readonly #hash = createHash()
  readonly #names = Buffer.alloc(3 * NAME_BYTES_MAX)
  readonly #namesView = new DataView(this.#names.buffer, this.#names.byteOffset, this.#names.byteLength)
  #forgotten = 0

  /** @param seriesMax a power of two; more are evicted */
  constructor (seriesMax = SERIES_MAX) {
    this.#low = new Int32Array(seriesMax)
    this.#high = new Int32Array(seriesMax)
  }

  has (series: SeriesName): boolean {
    this.#hashNames(series)
    return this.#find() >= 0
  }

  /** Whether the series of an event is known. Its names may be anything; only added ones match. */
  hasScanned (
    { view, deviceIdStart, deviceIdEnd, zoneStart, zoneEnd, deviceTypeStart, deviceTypeEnd }: ScannedEvent
  ): boolean {
    const deviceBytes = deviceIdEnd - deviceIdStart
    const zoneBytes = zoneEnd - zoneStart
    const typeBytes = deviceTypeEnd - deviceTypeStart
    if (Math.max(deviceBytes, zoneBytes, typeBytes) > NAME_BYTES_MAX) return false
    const hash = this.#hash
    hash.begin(deviceBytes, zoneBytes)
    hash.add(view, deviceIdStart, deviceIdEnd)
    hash.add(view, zoneStart, zoneEnd)
    hash.add(view, deviceTypeStart, deviceTypeEnd)
    hash.end()
    return this.#find() >= 0
  }

  add (series: SeriesName): void {
    this.#hashNames(series)
    if (this.#find() >= 0) return
    const bucket = this.#bucket()
    let place = bucket
    while (place < bucket + WAYS && (this.#low[place] | this.#high[place]) !== 0) place++
    if (place === bucket + WAYS) place = bucket + this.#forgotten++ % WAYS
    this.#low[place] = this.#hash.low
    this.#high[place] = this.#hash.high
  }

  #hashNames ({ deviceId, zone, deviceType }: SeriesName): void {
    const deviceEnd = this.#names.write(deviceId)
    const zoneEnd = deviceEnd + this.#names.write(zone, deviceEnd)
    const typeEnd = zoneEnd + this.#names.write(deviceType, zoneEnd)
    const hash = this.#hash
    hash.begin(deviceEnd, zoneEnd - deviceEnd)
    hash.add(this.#namesView, 0, deviceEnd)
    hash.add(this.#namesView, deviceEnd, zoneEnd)
    hash.add(this.#namesView, zoneEnd, typeEnd)
    hash.end()
  }

  /** @returns the slot of the last hash; -1: not in the set */
  #find (): number {
    const bucket = this.#bucket()
    for (let place = bucket; place < bucket + WAYS; place++) {
      if (this.#low[place] === this.#hash.low && this.#high[place] === this.#hash.high) return place
    }
    return -1
  }

  #bucket (): number {
    return (this.#hash.low & (this.#low.length - 1)) & -WAYS
  }
}

/** HalfSipHash-1-3 of three byte ranges; `low` and `high` are never both 0. */
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
    /**
     * @param firstBytes length of the first part, @param secondBytes of the second, so that other splits of the same
     *   bytes differ
     */
    begin (firstBytes: number, secondBytes: number) {
      v0 = key0
      v1 = key1 ^ 0xee
      v2 = 0x6c796765 ^ key0
      v3 = 0x74656462 ^ key1
      mix(firstBytes | secondBytes << 16)
    },
    add (view: DataView, start: number, end: number) {
      let at = start
      for (; at + 4 <= end; at += 4) mix(view.getInt32(at, true))
      let rest = (end - start) << 24
      for (let shift = 0; at < end; at++, shift += 8) rest |= view.getUint8(at) << shift
      mix(rest)
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
