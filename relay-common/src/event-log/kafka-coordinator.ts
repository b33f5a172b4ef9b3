/**
 * What membership of a group is, whichever protocol it goes by, and the broker that a group asks: its coordinator.
 * `kafka-membership.ts` speaks the protocol of KIP-848, `kafka-classic-membership.ts` the one before.
 */
import { FindCoordinatorKeyTypes, type Connection, type findCoordinatorV6 } from '@platformatic/kafka'

import type { KafkaClient } from './kafka-client.ts'

/** What a membership tells the consumer that it is for. */
export interface MembershipEvents {
  /** partitions of a topic are ours; partitions of another topic of that name were revoked before */
  assigned (topicId: string, partitions: number[]): Promise<void>
  revoked (partitions: number[]): void
  lost (partitions: number[]): void
  failed (error: unknown): void
}

export interface Membership {
  /** Lets revoked partitions go: the group hears of it at once. */
  release (partitions: readonly number[]): void
  /** Tells the group how far it has come; a partition that is not ours (any more) makes the broker refuse. */
  commit (nextOffsets: ReadonlyMap<number, bigint>): Promise<void>
  close (): Promise<void>
}

/** how long a topic may be missing before it is gone: whoever makes it anew deletes it first */
const MISSING_MAX_MS = 5_000
/** heartbeats in a session: the proportion of Kafka's own defaults, 5 s and 45 s */
const HEARTBEATS_PER_SESSION = 9

export function heartbeatIntervalMs (sessionTimeoutMs: number): number {
  return Math.ceil(sessionTimeoutMs / HEARTBEATS_PER_SESSION)
}

export class GroupCoordinator {
  readonly #client: KafkaClient
  readonly #group: string
  #address: { readonly host: string, readonly port: number } | undefined

  constructor (client: KafkaClient, group: string) {
    this.#client = client
    this.#group = group
  }

  async connection (): Promise<Connection> {
    return await this.#client.broker(await this.address())
  }

  async address (): Promise<{ readonly host: string, readonly port: number }> {
    return (this.#address ??= await this.#find())
  }

  /** It may have moved: the next connection asks where it is. */
  forget (): void {
    this.#address = undefined
  }

  async #find () {
    const { coordinators: [{ host, port }] } = await this.#client.call<findCoordinatorV6.FindCoordinatorResponse>(
      'FindCoordinator', await this.#client.anyBroker(), FindCoordinatorKeyTypes.GROUP, [this.#group])
    return { host, port }
  }
}

/** Offsets as an OffsetCommit has them. */
export function committedOffsets (topic: string, nextOffsets: ReadonlyMap<number, bigint>) {
  const partitions = [...nextOffsets].map(([partitionIndex, committedOffset]) =>
    ({ partitionIndex, committedOffset, committedLeaderEpoch: -1, committedMetadata: null }))
  return [{ name: topic, partitions }]
}

/** Tells a topic that is gone from one that is being made anew. */
export class MissingTopic {
  #sinceMs: number | undefined

  /** @returns whether it has been missing for too long */
  isGone (isThere: boolean): boolean {
    if (isThere) {
      this.#sinceMs = undefined
      return false
    }
    this.#sinceMs ??= performance.now()
    return performance.now() - this.#sinceMs > MISSING_MAX_MS
  }
}
