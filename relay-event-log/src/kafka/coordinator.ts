/**
 * Membership of a group, whatever the protocol, and its coordinator: the broker that manages the group.
 * `membership.ts` speaks the protocol of KIP-848, `classic-membership.ts` the older one.
 */
import { FindCoordinatorKeyTypes, type Connection, type findCoordinatorV6 } from '@platformatic/kafka'

import type { KafkaClient } from './client.ts'

/** Events that a membership reports to its consumer. */
export interface MembershipEvents {
  /** partitions of a topic were assigned; those of an older topic with the same name were revoked before */
  assigned (topicId: string, partitions: number[]): Promise<void>
  revoked (partitions: number[]): void
  lost (partitions: number[]): void
  failed (error: unknown): void
}

export interface KafkaMembershipProtocol {
  /** Releases revoked partitions, and reports it to the group at once. */
  release (partitions: readonly number[]): void
  /** Commits offsets to the group; the broker refuses partitions that are not ours (any more). */
  commit (nextOffsets: ReadonlyMap<number, bigint>): Promise<void>
  close (): Promise<void>
}

/** how long a topic may be missing before it counts as deleted: recreating it deletes it first */
const MISSING_MAX_MS = 5_000
/** heartbeats per session timeout, as in Kafka's defaults, 5 s and 45 s */
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

  /** The coordinator may have moved: the next connection looks it up. */
  forget (): void {
    this.#address = undefined
  }

  async #find () {
    const { coordinators: [{ host, port }] } = await this.#client.call<findCoordinatorV6.FindCoordinatorResponse>(
      'FindCoordinator', await this.#client.anyBroker(), FindCoordinatorKeyTypes.GROUP, [this.#group])
    return { host, port }
  }
}

/** Offsets in the format of OffsetCommit. */
export function committedOffsets (topic: string, nextOffsets: ReadonlyMap<number, bigint>) {
  const partitions = [...nextOffsets].map(([partitionIndex, committedOffset]) =>
    ({ partitionIndex, committedOffset, committedLeaderEpoch: -1, committedMetadata: null }))
  return [{ name: topic, partitions }]
}

/** Distinguishes a deleted topic from one that is being recreated. */
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
