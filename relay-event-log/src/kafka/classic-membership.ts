/**
 * Membership of a consumer group by Kafka's classic protocol, for brokers without KIP-848. Members assign partitions
 * themselves, cooperatively (KIP-429); one of them, the leader, decides.
 *
 *     joining ──JoinGroup, SyncGroup──▶ member ──Heartbeat: "rebalance in progress"──▶ joining (keeps what it holds)
 *        ▲                                │ ▲
 *        │                        revoked │ │ release(): joins again, without what it has released
 *        │                                ▼ │
 *        └── unknown member, or generation: `lost`, somebody else may own everything by now
 *
 * A join is answered when all members have joined, or the missing ones have timed out. All members read meanwhile. A
 * revoked partition stays in our claim until the owner has released it, and no assignment contains it before
 * (`classic-assignment.ts`). No member waits until another has written.
 *
 * A named member (`instanceId`) is static (KIP-345): it does not leave when it closes. A member that joins under its
 * name, after a restart or a kill -9, gets its partitions at once, without a rebalance.
 */
import { setTimeout as delay } from 'node:timers/promises'

import type { joinGroupV9, syncGroupV5 } from '@platformatic/kafka'

import { type Logger, RelayError, Wakeup } from 'relay-common'
import { HeldPartitions } from '../held-partitions.ts'
import {
  decodeAssignment, decodeSubscription, encodeAssignment, encodeSubscription, shareOut, type Subscriber
} from './classic-assignment.ts'
import {
  describeError, hasCode, isLoading, isRetriable, KafkaClient, kafkaErrors, topicMissing, type KafkaSettings
} from './client.ts'
import {
  committedOffsets, GroupCoordinator, heartbeatIntervalMs, MissingTopic, type KafkaMembershipProtocol,
  type MembershipEvents
} from './coordinator.ts'
import { groupForeign } from './group-protocol.ts'
import type { ConsumerSettings } from '../port.ts'

type Joined = joinGroupV9.JoinGroupResponse
type Synced = syncGroupV5.SyncGroupResponse

/** The kind of group that Kafka's tools can show. */
const PROTOCOL_TYPE = 'consumer'
/** Our own assignment protocol. The broker lets no member of another program into such a group. */
const PROTOCOL = 'relay-cooperative-sticky'
const NO_GENERATION = -1

const RETRY_DELAY_MIN_MS = 100
const RETRY_DELAY_MAX_MS = 2_000
const LEAVE_TIMEOUT_MS = 2_000
/** Members answer a rebalance within a heartbeat, even while they write, so this only concerns dead members. */
const REBALANCE_TIMEOUT_MIN_MS = 10_000
/** how much later than that a join may be answered */
const JOIN_MARGIN_MS = 10_000
/** Session timeouts to try if the broker refuses ours: the minimum and the default of brokers. */
const SESSION_TIMEOUTS_MS = [6_000, 45_000]

export class KafkaClassicMembership implements KafkaMembershipProtocol {
  readonly #client: KafkaClient
  /** only for joins: a broker answers the requests of a connection in order, and a join waits for other members */
  readonly #joinClient: KafkaClient
  readonly #settings: ConsumerSettings
  readonly #events: MembershipEvents
  readonly #log: Logger
  readonly #coordinator: GroupCoordinator
  readonly #missing = new MissingTopic()
  readonly #closing = new AbortController()
  readonly #done: Promise<void>
  readonly #held = new HeldPartitions()
  /** signalled when there is news for the group */
  readonly #wakeup = new Wakeup()
  #ownedTopicId = ''
  #topic = { topicId: '', partitions: 0 }
  #isTopicGone = false
  #isLooking = false
  #memberId = ''
  #generation = NO_GENERATION
  #sessionTimeoutMs: number
  #mustJoin = true

  constructor (
    cluster: KafkaSettings, client: KafkaClient, settings: ConsumerSettings, log: Logger, events: MembershipEvents
  ) {
    this.#client = client
    this.#joinClient = new KafkaClient(cluster, rebalanceTimeoutMs(settings.sessionTimeoutMs) + JOIN_MARGIN_MS)
    this.#settings = settings
    this.#sessionTimeoutMs = settings.sessionTimeoutMs
    this.#events = events
    this.#log = log
    this.#coordinator = new GroupCoordinator(client, settings.group)
    this.#done = this.#run()
  }

  release (partitions: readonly number[]): void {
    if (this.#held.release(partitions)) this.#mustJoin = true
    if (this.#mustJoin) this.#wakeup.wake()
  }

  async commit (nextOffsets: ReadonlyMap<number, bigint>): Promise<void> {
    const { group, topic, instanceId = null } = this.#settings
    await this.#client.call('OffsetCommit', await this.#coordinator.connection(),
      group, this.#generation, this.#memberId, instanceId, committedOffsets(topic, nextOffsets))
  }

  async close (): Promise<void> {
    this.#closing.abort()
    await Promise.race([this.#done, delay(LEAVE_TIMEOUT_MS, undefined, { ref: false })])
    await this.#joinClient.close()
    if (this.#memberId === '' || this.#settings.instanceId !== undefined) return
    const leaving = this.#leave().catch(error =>
      this.#log.warn({ reason: describeError(error) }, 'could not tell the group that this consumer leaves'))
    await Promise.race([leaving, delay(LEAVE_TIMEOUT_MS, undefined, { ref: false })])
  }

  async #run (): Promise<void> {
    let delayMs = RETRY_DELAY_MIN_MS
    while (!this.#closing.signal.aborted) {
      try {
        if (this.#topic.topicId === '') await this.#look()
        else this.#lookMeanwhile()
        if (this.#isTopicGone) return this.#events.failed(topicMissing(this.#settings.topic, this.#client.servers))
        if (this.#mustJoin) await this.#join()
        else await this.#heartbeat()
        delayMs = RETRY_DELAY_MIN_MS
        if (!this.#mustJoin) await this.#wakeup.wait(heartbeatIntervalMs(this.#sessionTimeoutMs), this.#closing.signal)
      } catch (error) {
        if (this.#closing.signal.aborted) return
        const then = this.#recover(error)
        if (then === 'fail') return this.#events.failed(this.#explain(error))
        if (then === 'join') continue
        await this.#wakeup.wait(delayMs, this.#closing.signal)
        delayMs = Math.min(2 * delayMs, RETRY_DELAY_MAX_MS)
      }
    }
  }

  /**
   * Checks the topic. New partitions are assigned in a rebalance; partitions of a deleted or recreated topic are
   * revoked.
   */
  async #look (): Promise<void> {
    const layout = await this.#client.describe(this.#settings.topic)
    const { topicId, partitions } = layout ?? { topicId: '', partitions: 0 }
    if (topicId !== this.#ownedTopicId) this.#revoke([...this.#held.owned])
    if (layout && (topicId !== this.#topic.topicId || partitions !== this.#topic.partitions)) {
      this.#topic = { topicId, partitions }
      this.#mustJoin = true
      this.#wakeup.wake()
    }
    this.#isTopicGone = this.#missing.isGone(layout !== undefined) && this.#held.owned.size === 0
  }

  /** Heartbeats do not wait for this, because the broker that is asked may hang. */
  #lookMeanwhile (): void {
    if (this.#isLooking) return
    this.#isLooking = true
    this.#look()
      .catch(error => this.#log.debug(
        { reason: describeError(error) }, 'could not read the metadata of the topic; retrying'
      ))
      .finally(() => { this.#isLooking = false })
  }

  async #heartbeat (): Promise<void> {
    const { group, instanceId = null } = this.#settings
    await this.#client.call(
      'Heartbeat', await this.#coordinator.connection(), group, this.#generation, this.#memberId, instanceId
    )
  }

  /** Reports what we hold, waits for all members, and follows the assignment of the leader. */
  async #join (): Promise<void> {
    const { group, instanceId = null, topic } = this.#settings
    this.#mustJoin = false // the report does not include later releases
    const metadata = encodeSubscription({
      topic,
      ...this.#topic,
      owned: [...this.#held.owned],
      revoking: [...this.#held.revoking],
      generation: this.#generation
    })
    try {
      const connection = await this.#joinClient.broker(await this.#coordinator.address())
      const joined = await this.#unlessClosing(this.#joinClient.call<Joined>('JoinGroup', connection, group,
        this.#sessionTimeoutMs, rebalanceTimeoutMs(this.#sessionTimeoutMs), this.#memberId, instanceId, PROTOCOL_TYPE,
        [{ name: PROTOCOL, metadata }], null))
      this.#memberId = joined.memberId
      this.#generation = joined.generationId
      const isLeading = joined.leader === joined.memberId && !joined.skipAssignment
      const assignments = isLeading ? await this.#assign(joined) : []
      const { assignment } = await this.#unlessClosing(this.#joinClient.call<Synced>('SyncGroup', connection, group,
        this.#generation, this.#memberId, instanceId, PROTOCOL_TYPE, PROTOCOL, assignments))
      await this.#follow(new Set(decodeAssignment(topic, assignment)))
    } catch (error) {
      this.#mustJoin = true
      throw error
    }
  }

  /** The leader's part: shares each topic among its readers. */
  async #assign ({ members }: Joined) {
    const subscribers = members.map(it => this.#subscriberOf(it))
    const assignments: { memberId: string, assignment: Buffer }[] = []
    for (const [topic, readers] of Map.groupBy(subscribers, it => it.topic)) {
      const layout = await this.#client.describe(topic)
      for (const [memberId, partitions] of shareOut(layout?.partitions ?? 0, readers)) {
        assignments.push({ memberId, assignment: encodeAssignment(topic, partitions) })
      }
    }
    return assignments
  }

  #subscriberOf ({ memberId, groupInstanceId, metadata }: Joined['members'][number]): Subscriber {
    try {
      return { memberId, instanceId: groupInstanceId ?? null, ...decodeSubscription(metadata!) }
    } catch (error) {
      throw groupForeign(this.#settings.group, this.#client.servers, error)
    }
  }

  async #follow (assigned: ReadonlySet<number>): Promise<void> {
    this.#revoke([...this.#held.owned].filter(it => !assigned.has(it)))
    const { topicId } = this.#topic
    // the next assignment waits for the release: a partition of a recreated topic has the same number as an old one
    if (this.#held.owned.size > 0 && topicId !== this.#ownedTopicId) return
    const added = [...assigned].filter(it => !this.#held.owned.has(it))
    if (added.length === 0) return
    await this.#events.assigned(topicId, added)
    this.#ownedTopicId = topicId
    this.#held.add(added)
  }

  /** Asks the owner for partitions, once. */
  #revoke (partitions: readonly number[]): void {
    const revoked = this.#held.revoke(partitions)
    if (revoked.length > 0) this.#events.revoked(revoked)
  }

  #recover (error: unknown): 'join' | 'wait' | 'fail' {
    const has = (code: number) => hasCode(error, code)
    if (has(kafkaErrors.REBALANCE_IN_PROGRESS)) {
      this.#mustJoin = true
      return 'join'
    }
    if (has(kafkaErrors.MEMBER_ID_REQUIRED)) {
      this.#memberId = (error as { response: Joined }).response.memberId
      return 'join'
    }
    if (has(kafkaErrors.UNKNOWN_MEMBER_ID) || has(kafkaErrors.ILLEGAL_GENERATION)) {
      if (has(kafkaErrors.UNKNOWN_MEMBER_ID)) this.#memberId = ''
      this.#lose(error)
      return 'join'
    }
    if (has(kafkaErrors.INVALID_SESSION_TIMEOUT)) return this.#askForLongerSession(error) ? 'join' : 'fail'
    if (has(kafkaErrors.FENCED_INSTANCE_ID)) {
      this.#lose(error)
      return 'fail'
    }
    this.#coordinator.forget()
    if (!isRetriable(error) && !(error instanceof RelayError && error.retry)) return 'fail'
    this.#log[isLoading(error) ? 'debug' : 'warn'](
      { reason: describeError(error) }, 'no answer from the group coordinator; retrying')
    return 'wait'
  }

  #lose (error: unknown): void {
    this.#generation = NO_GENERATION
    this.#mustJoin = true
    const lost = this.#held.drop()
    this.#log.warn({ lost, reason: describeError(error) }, 'the group removed this consumer')
    if (lost.length > 0) this.#events.lost(lost)
  }

  #askForLongerSession (error: unknown): boolean {
    const longer = SESSION_TIMEOUTS_MS.find(it => it > this.#sessionTimeoutMs)
    if (longer === undefined) return false
    this.#log.warn({
      group: this.#settings.group, sessionTimeoutMs: this.#sessionTimeoutMs, reason: describeError(error)
    },
      `the broker refused the session timeout; retrying with ${longer} ms`)
    this.#sessionTimeoutMs = longer
    return true
  }

  #explain (error: unknown): unknown {
    const { group, instanceId } = this.#settings
    if (hasCode(error, kafkaErrors.INCONSISTENT_GROUP_PROTOCOL)) return groupForeign(group, this.#client.servers, error)
    if (hasCode(error, kafkaErrors.FENCED_INSTANCE_ID)) {
      return new RelayError('RELAY_PARTITION_FENCED',
        `another consumer joined the group ${group} as ${instanceId}; give each processor its own CONSUMER_INSTANCE_ID`, {
          cause: error
        })
    }
    return this.#client.explain(error)
  }

  async #leave (): Promise<void> {
    const member = { memberId: this.#memberId, groupInstanceId: null, reason: null }
    await this.#client.call('LeaveGroup', await this.#coordinator.connection(), this.#settings.group, [member])
  }

  /** A broker may delay a join for a whole rebalance; closing does not wait for it. */
  async #unlessClosing<T> (answer: Promise<T>): Promise<T> {
    const { promise: closing, reject } = Promise.withResolvers<never>()
    const end = () => reject(new Error('the membership was closed'))
    this.#closing.signal.addEventListener('abort', end)
    if (this.#closing.signal.aborted) end()
    try {
      return await Promise.race([answer, closing])
    } finally {
      this.#closing.signal.removeEventListener('abort', end)
    }
  }
}

function rebalanceTimeoutMs (sessionTimeoutMs: number): number {
  return Math.max(sessionTimeoutMs, REBALANCE_TIMEOUT_MIN_MS)
}
