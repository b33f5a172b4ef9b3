/**
 * Which devices are traced: a device is always sampled or never, whichever program sees its events, because the
 * decision is a hash of its id. Besides, `relay trace device` names devices for a while.
 */
import { murmur2 } from '../murmur2.ts'

export interface TracedDevice {
  readonly deviceId: string
  readonly untilMs: number
}

export interface Sampling {
  /** O(length of the id). */
  isSampled (deviceId: string | Buffer): boolean
  /** Replaces the devices that are traced for a while. */
  name (devices: readonly TracedDevice[]): void
}

const HASHES = 2 ** 32

/**
 * @param ratio of devices, 0 to 1
 * @param now ms since the epoch
 */
export function createSampling (ratio: number, now: () => number = Date.now): Sampling {
  const sampledBelow = ratio * HASHES
  /** by hash of their ids */
  let named = new Map<number, TracedDevice[]>()
  return {
    isSampled (deviceId) {
      const bytes = typeof deviceId === 'string' ? Buffer.from(deviceId) : deviceId
      const hash = murmur2(bytes) >>> 0
      if (spread(hash) < sampledBelow) return true
      if (named.size === 0) return false
      return named.get(hash)?.some(it => it.untilMs > now() && bytes.equals(Buffer.from(it.deviceId))) ?? false
    },
    name (devices) {
      named = Map.groupBy(devices, it => murmur2(Buffer.from(it.deviceId)) >>> 0)
    }
  }
}

/** The hash of partitions is used, but not its order: partitions must have equal parts of the sampled devices. */
function spread (hash: number): number {
  return Math.imul(hash ^ (hash >>> 16), 0x45d9f3b) >>> 0
}
