/**
 * Membership of a consumer group by Kafka's newer protocol (KIP-848): the broker assigns partitions, in its answers to
 * heartbeats.
 *
 *     joining ──assignment──▶ member ──partition no longer in the assignment──▶ revoking ──release()──▶ member
 *        ▲                       │                                                 │
 *        └───────── fenced (`lost`: somebody else may own everything by now) ◀─────┘
 *
 * A revoked partition stays in our heartbeats until the owner has released it. The broker gives it to nobody before,
 * unless we exceed the session timeout, and then it fences us.
 *
 * A named member (`instanceId`) uses its name as member id and does not leave when it closes. A member that joins with
 * that id gets the partitions at once, after a restart or a kill -9. Kafka's static membership (group.instance.id) only
 * covers the restart: after a kill it refuses the name until the old session times out.
 *
 * We do not use the library's `Consumer`. It releases partitions at once, so an owner could not write what it holds. A
 * member that the broker has forgotten (UNKNOWN_MEMBER_ID, after a session timeout) never joins again. For older
 * brokers see `classic-membership.ts`.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

import {
  ConfigResourceTypes, IncrementalAlterConfigOperationTypes, type consumerGroupHeartbeatV1
} from '@platformatic/kafka'

import { type Logger, RelayError, Wakeup } from 'relay-common'
import { HeldPartitions } from '../held-partitions.ts'
import {
  describeError, hasCode, isLoading, isRetriable, kafkaErrors, topicMissing, type KafkaClient
} from './client.ts'
import {
  committedOffsets, GroupCoordinator, heartbeatIntervalMs, MissingTopic, type KafkaMembershipProtocol,
  type MembershipEvents
} from './coordinator.ts'
import { groupForeign, isUnsupported } from './group-protocol.ts'
import type { ConsumerSettings } from '../port.ts'

type Heartbeat = consumerGroupHeartbeatV1.ConsumerGroupHeartbeatResponse

const EPOCH_JOINING = 0
const EPOCH_LEAVING = -1

const RETRY_DELAY_MIN_MS = 100
const RETRY_DELAY_MAX_MS = 2_000
const LEAVE_TIMEOUT_MS = 2_000

export class KafkaMembership implements KafkaMembershipProtocol {
  readonly #client: KafkaClient
  readonly #settings: ConsumerSettings
  readonly #events: MembershipEvents
  readonly #log: Logger
  readonly #memberId: string
  readonly #coordinator: GroupCoordinator
  readonly #missing = new MissingTopic()
  readonly #closing = new AbortController()
  readonly #done: Promise<void>
  /** what the broker believes that we hold */
  readonly #held = new HeldPartitions()
  /** signalled when there is news for the broker */
  readonly #wakeup = new Wakeup()
  #ownedTopicId = ''
  #epoch = EPOCH_JOINING

  constructor (client: KafkaClient, settings: ConsumerSettings, log: Logger, events: MembershipEvents) {
    this.#client = client
    this.#coordinator = new GroupCoordinator(client, settings.group)
    this.#settings = settings
    this.#memberId = settings.instanceId ?? randomUUID()
    this.#events = events
    this.#log = log
    this.#done = this.#run()
  }

  /** Releases revoked partitions: the next heartbeat, sent at once, does not claim them. */
  release (partitions: readonly number[]): void {
    if (this.#held.release(partitions)) this.#wakeup.wake()
  }

  /** Commits offsets to the group; the broker refuses partitions that are not ours (any more). */
  async commit (nextOffsets: ReadonlyMap<number, bigint>): Promise<void> {
    const { group, topic } = this.#settings
    await this.#client.call('OffsetCommit', await this.#coordinator.connection(),
      group, this.#epoch, this.#memberId, null, committedOffsets(topic, nextOffsets))
  }

  async close (): Promise<void> {
    this.#closing.abort()
    await Promise.race([this.#done, delay(LEAVE_TIMEOUT_MS, undefined, { ref: false })])
    if (this.#epoch <= EPOCH_JOINING || this.#settings.instanceId !== undefined) return
    const leaving = this.#heartbeat(EPOCH_LEAVING, []).catch(error =>
      this.#log.warn({ reason: describeError(error) }, 'could not tell the group that this consumer leaves'))
    await Promise.race([leaving, delay(LEAVE_TIMEOUT_MS, undefined, { ref: false })])
  }

  async #run (): Promise<void> {
    const intervalMs = heartbeatIntervalMs(this.#settings.sessionTimeoutMs)
    let delayMs = RETRY_DELAY_MIN_MS
    let isConfigured = false
    while (!this.#closing.signal.aborted) {
      try {
        if (!isConfigured) await this.#configureGroup()
        isConfigured = true
        const answer = await this.#heartbeat(this.#epoch, [...this.#held.owned])
        this.#epoch = answer.memberEpoch
        if (this.#closing.signal.aborted) return
        delayMs = RETRY_DELAY_MIN_MS
        const hasChanged = await this.#follow(answer)
        // the group treats a deleted topic as one without partitions, so it would wait forever
        if (this.#held.owned.size === 0 && this.#missing.isGone(
          await this.#client.describe(this.#settings.topic) !== undefined
        )) {
          return this.#events.failed(topicMissing(this.#settings.topic, this.#client.servers))
        }
        // just after its configuration the coordinator may not know it, and answer five seconds
        if (!hasChanged) await this.#wakeup.wait(Math.min(answer.heartbeatIntervalMs, intervalMs), this.#closing.signal)
      } catch (error) {
        if (this.#closing.signal.aborted) return
        if (!this.#recover(error)) return this.#events.failed(this.#explain(error))
        await this.#wakeup.wait(delayMs, this.#closing.signal)
        delayMs = Math.min(2 * delayMs, RETRY_DELAY_MAX_MS)
      }
    }
  }

  /**
   * The session timeout is a setting of the group on the broker, so all members set the same one. Brokers have a
   * minimum (45 s by default) and may forbid the change; then theirs applies.
   */
  async #configureGroup (): Promise<void> {
    const { group, sessionTimeoutMs } = this.#settings
    const set = (name: string, value: number) =>
      ({ name, value: String(value), configOperation: IncrementalAlterConfigOperationTypes.SET })
    try {
      await this.#client.call('IncrementalAlterConfigs', await this.#client.anyBroker(), [{
        resourceType: ConfigResourceTypes.GROUP,
        resourceName: group,
        configs: [
          set('consumer.session.timeout.ms', sessionTimeoutMs),
          set('consumer.heartbeat.interval.ms', heartbeatIntervalMs(sessionTimeoutMs))
        ]
      }], false)
    } catch (error) {
      if (isRetriable(error)) throw error
      this.#log.warn({ group, sessionTimeoutMs, reason: describeError(error) },
        'could not set the session timeout of this group: the default of the broker applies')
    }
  }

  async #heartbeat (epoch: number, owned: number[]): Promise<Heartbeat> {
    const { group, topic, sessionTimeoutMs } = this.#settings
    const holds = owned.length > 0 ? [{ topicId: this.#ownedTopicId, partitions: owned }] : []
    return await this.#client.call<Heartbeat>('ConsumerGroupHeartbeat', await this.#coordinator.connection(),
      group, this.#memberId, epoch, null, null, sessionTimeoutMs, [topic], null, null, holds)
  }

  /** @returns whether to report the result of the assignment at once */
  async #follow ({ assignment }: Heartbeat): Promise<boolean> {
    if (!assignment) return false
    const wanted = new Map(assignment.topicPartitions.map(it => [it.topicId, new Set(it.partitions)]))

    const keeps = wanted.get(this.#ownedTopicId)
    const revoked = this.#held.revoke([...this.#held.owned].filter(it => !keeps?.has(it)))
    if (revoked.length > 0) this.#events.revoked(revoked)
    // the next assignment waits for the release: a partition of a recreated topic has the same number as an old one
    if (this.#held.revoking.size > 0) return false

    for (const [topicId, partitions] of wanted) {
      const assigned = [...partitions].filter(it => topicId !== this.#ownedTopicId || !this.#held.owned.has(it))
      if (assigned.length === 0) continue
      await this.#events.assigned(topicId, assigned)
      this.#ownedTopicId = topicId
      this.#held.add(assigned)
      return true
    }
    return false
  }

  /** @returns whether the next heartbeat can continue or rejoin */
  #recover (error: unknown): boolean {
    if (hasCode(error, kafkaErrors.FENCED_MEMBER_EPOCH) || hasCode(error, kafkaErrors.UNKNOWN_MEMBER_ID)) {
      this.#epoch = EPOCH_JOINING
      const lost = this.#held.drop()
      this.#log.warn({ lost, reason: describeError(error) }, 'the group removed this consumer; rejoining')
      if (lost.length > 0) this.#events.lost(lost)
      return true
    }
    if (isUnsupported(error)) return false
    this.#coordinator.forget()
    if (!isRetriable(error) && !(error instanceof RelayError && error.retry)) return false
    this.#log[isLoading(error) ? 'debug' : 'warn'](
      { reason: describeError(error) }, 'heartbeat to the group failed; retrying')
    return true
  }

  #explain (error: unknown): unknown {
    // a group of the other protocol that the broker may not convert counts as missing
    if (hasCode(error, kafkaErrors.GROUP_ID_NOT_FOUND)) {
      return groupForeign(this.#settings.group, this.#client.servers, error)
    }
    if (!isUnsupported(error)) return this.#client.explain(error)
    return new RelayError('RELAY_EVENT_LOG_UNSUPPORTED',
      `Kafka at ${this.#client.servers} does not support the consumer group protocol of KIP-848 that KAFKA_GROUP_PROTOCOL ` +
      'requires. It needs Kafka 4.0 or newer; group.coordinator.rebalance.protocols, if set there, must ' +
      'include consumer. KAFKA_GROUP_PROTOCOL=auto falls back to the classic protocol', { cause: error })
  }
}
