/** The home of a device: the source partition in which its readings count. */
import { partitionOf } from 'relay-common'

/** How homes are assigned. */
export interface Homes {
  /** number of partitions that devices are assigned to */
  readonly partitions: number
  /**
   * Newest event time when that was decided, ms; -Infinity: none. All readings of buckets that start later are at home.
   */
  readonly horizonMs: number
}

/** The partition in which a device's readings count. @param deviceId UTF-8 */
export function homeOf (deviceId: Uint8Array, { partitions }: Homes): number {
  return partitionOf(deviceId, partitions)
}
