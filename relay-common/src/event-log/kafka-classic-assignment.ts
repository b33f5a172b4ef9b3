/**
 * What members of a classic group tell one another: each the leader what it reads and holds (its subscription), the
 * leader each what it gets (its assignment). The broker passes both on as bytes.
 *
 * Cooperative and sticky (KIP-429): a member keeps what it holds while the others agree, and a partition that moves is
 * in nobody's assignment until its owner says, in the next rebalance, that it holds it no longer.
 *
 *     rebalance n:    a holds 0 1 2 3, b nothing   ->  a gets 0 1, b nothing     a writes 2 and 3, and releases them
 *     rebalance n+1:  a holds 0 1, b nothing       ->  a gets 0 1, b gets 2 3
 */
import {
  decodeConsumerProtocolAssignment, decodeConsumerProtocolSubscription, encodeConsumerProtocolAssignment,
  encodeConsumerProtocolSubscription
} from '@platformatic/kafka'

import { balance, type Lease } from './balance.ts'

/** What a member tells the leader. */
export interface Subscription {
  readonly topic: string
  /** the topic as the member knows it: when that changes, so does the subscription, and the group shares out anew */
  readonly topicId: string
  readonly partitions: number
  /** what it holds, with those that it has been asked to give up and still writes */
  readonly owned: readonly number[]
  readonly revoking: readonly number[]
  /** since which generation of the group: of two that claim a partition the newer one has it */
  readonly generation: number
}

export interface Subscriber extends Subscription {
  readonly memberId: string
  /** its stable name, where it has one */
  readonly instanceId: string | null
}

/** of the encoding: owned partitions since 1, generation since 2 */
const VERSION = 3

/** What Kafka's own format has no place for. */
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

/** @throws Error the bytes are not of a member of ours */
export function decodeSubscription (bytes: Buffer): Subscription {
  const { topics: [topic], userData, ownedPartitions, generationId } = decodeConsumerProtocolSubscription(bytes)
  const { topicId, partitions, revoking }: UserData = JSON.parse(String(userData))
  const owned = ownedPartitions.find(it => it.topic === topic)?.partitions ?? []
  return { topic, topicId, partitions, owned, revoking, generation: generationId }
}

export function encodeAssignment (topic: string, partitions: readonly number[]): Buffer {
  return encodeConsumerProtocolAssignment({ version: VERSION, assignedPartitions: [{ topic, partitions: [...partitions] }] })
}

/** @returns partitions of the topic; what is of another one is not for us */
export function decodeAssignment (topic: string, bytes: Buffer): number[] {
  return decodeConsumerProtocolAssignment(bytes).assignedPartitions.find(it => it.topic === topic)?.partitions ?? []
}

/**
 * Shares the partitions of one topic out among those who read it.
 * @param partitions how many the topic has now: it may have been made anew with fewer than somebody holds
 * @returns for each member what it keeps and gets; nothing in it is held by another one
 */
export function shareOut (partitions: number, subscribers: readonly Subscriber[]): Map<string, number[]> {
  const byName = new Map(subscribers.map(it => [it.instanceId ?? it.memberId, it]))
  const leases = new Map<number, Lease>()
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
