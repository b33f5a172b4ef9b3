/** The home of a device: the source partition in which its readings count. */
import { partitionOf } from 'relay-event-log'

/** How homes are assigned. */
export interface Homes {
  /** number of partitions that devices are assigned to */
  readonly partitions: number
  /** Newest event time at the assignment, ms; -Infinity: none. All readings of later buckets are at home. */
  readonly horizonMs: number
}

/** The partition in which readings of a device count. @param deviceId UTF-8 */
export function homeOf (deviceId: Uint8Array, { partitions }: Homes): number {
  return partitionOf(deviceId, partitions)
}
