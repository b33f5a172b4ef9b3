import { murmur2 } from 'relay-common'

/** The partition of a key, as Kafka's own clients choose it: all producers of a key must agree. */
export function partitionOf (key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions
}
