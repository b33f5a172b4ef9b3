/**
 * Messages between members of a classic group. Each member sends the leader what it reads and holds (its subscription).
 * The leader sends each member its partitions (its assignment). The broker forwards both as bytes.
 *
 * Cooperative and sticky (KIP-429): members keep their partitions during a rebalance. A partition that moves is in no
 * assignment until its owner reports, in the next rebalance, that it has released it.
 *
 *     rebalance n:    a holds 0 1 2 3, b nothing   ->  a gets 0 1, b nothing     a writes 2 and 3, and releases them
 *     rebalance n+1:  a holds 0 1, b nothing       ->  a gets 0 1, b gets 2 3
 */
import {
  decodeConsumerProtocolAssignment, decodeConsumerProtocolSubscription, encodeConsumerProtocolAssignment,
  encodeConsumerProtocolSubscription
} from '@platformatic/kafka'

import { balance, type PartitionLease } from '../balance.ts'

/** What a member sends to the leader. */
export interface Subscription {
  readonly topic: string
  /** the topic as the member knows it; if it changes, the subscription changes and the group rebalances */
  readonly topicId: string
  readonly partitions: number
  /** partitions that it holds, including revoked ones that it still writes */
  readonly owned: readonly number[]
  readonly revoking: readonly number[]
  /** generation of the group since which it holds them; if two members claim a partition, the newer one has it */
  readonly generation: number
}

export interface Subscriber extends Subscription {
  readonly memberId: string
  /** its stable name, if it has one */
  readonly instanceId: string | null
}

/** of the encoding: owned partitions since 1, generation since 2 */
const VERSION = 3

/** What Kafka's own format has no field for. */
interface UserData { readonly topicId: string, readonly partitions: number, readonly revoking: readonly number[] }

export function encodeSubscription (subscription: Subscription): Buffer {
  const { topic, topicId, partitions, owned, revoking, generation } = subscription
  const userData: UserData = { topicId, partitions, revoking: revoking.toSorted((a, b) => a - b) }
  return encodeConsumerProtocolSubscription({
    version: VERSION,
    topics: [topic],
    userData: JSON.stringify(userData),
    ownedPartitions: [{ topic, partitions: [...owned] }],
    generationId: generation
  })
}

/** @throws Error if the bytes are not of a member of Relay */
export function decodeSubscription (bytes: Buffer): Subscription {
  const { topics: [topic], userData, ownedPartitions, generationId } = decodeConsumerProtocolSubscription(bytes)
  const { topicId, partitions, revoking }: UserData = JSON.parse(String(userData))
  const owned = ownedPartitions.find(it => it.topic === topic)?.partitions ?? []
  return { topic, topicId, partitions, owned, revoking, generation: generationId }
}

export function encodeAssignment (topic: string, partitions: readonly number[]): Buffer {
  return encodeConsumerProtocolAssignment({
    version: VERSION, assignedPartitions: [{ topic, partitions: [...partitions] }]
  })
}

/** @returns partitions of the topic; those of other topics are ignored */
export function decodeAssignment (topic: string, bytes: Buffer): number[] {
  return decodeConsumerProtocolAssignment(bytes).assignedPartitions.find(it => it.topic === topic)?.partitions ?? []
}

/**
 * Shares the partitions of one topic among its readers.
 * @param partitions current number; the topic may have been recreated with fewer than a member holds
 * @returns what each member keeps and gets; no other member holds any of it
 */
export function shareOut (partitions: number, subscribers: readonly Subscriber[]): Map<string, number[]> {
  const byName = new Map(subscribers.map(it => [it.instanceId ?? it.memberId, it]))
  const leases = new Map<number, PartitionLease>()
  const oldestFirst = [...byName].sort(([one, a], [other, b]) => a.generation - b.generation || (one < other ? -1 : 1))
  for (const [member, { owned, revoking }] of oldestFirst) {
    for (const partition of owned) {
      leases.set(partition, { partition, member, isRevoked: revoking.includes(partition) })
    }
  }
  const held = [...leases.values()].filter(it => it.partition < partitions)
  const { grants, revokes } = balance(partitions, [...byName.keys()], held)
  const kept = held.filter(it => !it.isRevoked && !revokes.includes(it.partition))
  return new Map([...byName].map(([name, { memberId }]) => [
    memberId, [...kept, ...grants].filter(it => it.member === name).map(it => it.partition).sort((a, b) => a - b)
  ]))
}
