/**
 * The simulated event log of brokers: topics that grow, lose their oldest records, and are deleted and recreated; and
 * groups that share partitions by KIP-848: a partition moves only when its owner has released it, or was silent for a
 * session.
 */
import { RelayError } from 'relay-common'
import type { PartitionOffsets, Topic } from 'relay-event-log'

import type { World } from './world.ts'

export interface LogTopic {
  readonly topicId: string
  readonly name: string
  readonly partitions: LogPartition[]
}

export interface LogPartition {
  /** by offset; those before `startOffset` are kept only for checks */
  readonly records: Array<Buffer | null>
  startOffset: number
}

interface Member {
  readonly group: string
  lastHeardMs: number
}

/** A partition in a group. */
interface Share {
  /** who may read it; undefined: free */
  owner: string | undefined
  /** who should read it */
  target: string | undefined
}

export type HeartbeatAnswer =
  | { readonly kind: 'unknown-member' }
  | { readonly kind: 'assignment', readonly topic: Topic, readonly partitions: readonly number[] }

export const SESSION_TIMEOUT_MS = 3_000

export class Log {
  /** the newest is read and written; a recreated topic is appended */
  readonly topics: LogTopic[] = []
  /** by value, which is unique here */
  readonly deadLetters = new Set<string>()
  isAway = false
  readonly #world: World
  readonly #members = new Map<string, Member>()
  readonly #shares = new Map<string, Share>()
  readonly #listeners = new Set<() => void>()
  #memberNumber = 0

  constructor (world: World, partitions: number) {
    this.#world = world
    this.createTopic(partitions)
  }

  get topic (): LogTopic { return this.topics.at(-1)! }

  describe (): Topic {
    const { topicId, name, partitions } = this.topic
    return { topicId, name, partitions: partitions.length }
  }

  /** Creates or recreates the topic. */
  createTopic (partitions: number): void {
    this.topics.push({ topicId: `topic-${this.topics.length + 1}`, name: 'iot-events', partitions: [] })
    this.addPartitions(partitions)
  }

  addPartitions (count: number): void {
    for (let n = 0; n < count; n++) this.topic.partitions.push({ records: [], startOffset: 0 })
    this.rebalance()
  }

  append (partition: number, records: ReadonlyArray<Buffer | null>): void {
    this.topic.partitions[partition].records.push(...records)
    for (const tell of this.#listeners) tell()
  }

  /** Notifies a consumer of new records. */
  listen (tell: () => void): void {
    this.#listeners.add(tell)
  }

  unlisten (tell: () => void): void {
    this.#listeners.delete(tell)
  }

  checkReachable (): void {
    if (this.isAway) throw new RelayError('RELAY_EVENT_LOG_UNREACHABLE', 'the brokers are away')
  }

  readOffsets (): PartitionOffsets[] {
    this.checkReachable()
    return this.topic.partitions.map(({ startOffset, records }, partition) =>
      ({ partition, startOffset: BigInt(startOffset), endOffset: BigInt(records.length) }))
  }

  join (group: string): string {
    this.checkReachable()
    const memberId = `member-${++this.#memberNumber}`
    this.#members.set(memberId, { group, lastHeardMs: this.#world.nowMs })
    this.rebalance()
    return memberId
  }

  leave (memberId: string): void {
    if (!this.#members.delete(memberId)) return
    for (const share of this.#shares.values()) if (share.owner === memberId) share.owner = undefined
    this.rebalance()
  }

  /** Shares partitions in a random order: the same members need not get the same ones again. */
  rebalance (): void {
    const { topicId, partitions } = this.topic
    for (const share of this.#shares.values()) share.target = undefined
    for (const [group, members] of Map.groupBy(this.#members.keys(), it => this.#members.get(it)!.group)) {
      const first = this.#world.chance.below(members.length)
      for (const partition of partitions.keys()) {
        const key = shareKey(group, topicId, partition)
        const share = this.#shares.get(key) ?? { owner: undefined, target: undefined }
        share.target = members[(first + partition) % members.length]
        this.#shares.set(key, share)
      }
    }
  }

  /** @param owned what the member still holds, of one topic */
  heartbeat (memberId: string, ownedTopicId: string, owned: readonly number[]): HeartbeatAnswer {
    this.checkReachable()
    this.#expire()
    const member = this.#members.get(memberId)
    if (!member) return { kind: 'unknown-member' }
    member.lastHeardMs = this.#world.nowMs

    const { group } = member
    const holds = new Set(owned.map(it => shareKey(group, ownedTopicId, it)))
    const { topicId, partitions } = this.topic
    for (const [key, share] of this.#shares) {
      if (share.owner === memberId && !holds.has(key) && share.target !== memberId) share.owner = undefined // released
      if (share.target === memberId) share.owner ??= memberId
    }
    const mine = [...partitions.keys()].filter(it => {
      const share = this.#shares.get(shareKey(group, topicId, it))
      return share?.owner === memberId && share.target === memberId
    })
    return { kind: 'assignment', topic: this.describe(), partitions: mine }
  }

  #expire (): void {
    for (const [memberId, { lastHeardMs }] of this.#members) {
      if (this.#world.nowMs - lastHeardMs <= SESSION_TIMEOUT_MS) continue
      this.#world.note(`${memberId} was not heard of: its session is over`)
      this.leave(memberId)
    }
  }
}

function shareKey (group: string, topicId: string, partition: number): string {
  return `${group} ${topicId} ${partition}`
}
