/**
 * Keeps a consumer in its group: sends heartbeats, and turns the state of the group into news.
 *
 * The connection of the heartbeats also listens: for appends, which wake the fetcher, and for changes of the group,
 * which trigger a heartbeat. After it is lost, another one is opened, and everything may have changed: a partition with
 * a different lease is lost, even if it was granted to us again.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

import { type Database, type Logger, type PoolClient, Wakeup, within } from 'relay-common'
import type { ConsumerSettings, GroupEvents, Topic } from '../port.ts'
import { describeError, isPassing, listen, topicMissing } from './connection.ts'
import { heartbeat, leave, replacedError, type HeldLease, type GroupMember } from './leases.ts'
import { SteadyWaits } from './steady-waits.ts'
import { describeTopic } from './topics.ts'

const HEARTBEATS_PER_SESSION = 4
const LEAVE_TIMEOUT_MS = 2_000
const RETRY_DELAY_MIN_MS = 50
const RETRY_DELAY_MAX_MS = 2_000

export class PostgresMembership {
  readonly #database: Database
  readonly #description: string
  readonly #settings: ConsumerSettings
  readonly #member: GroupMember
  readonly #events: GroupEvents
  readonly #log: Logger
  readonly #owned = new Map<number, HeldLease>()
  /** released by the owner, not written yet */
  readonly #releasing = new Set<number>()
  readonly #wakeup = new Wakeup()
  readonly #closing = new AbortController()
  readonly #done: Promise<void>
  /** of all members of the group */
  readonly #waits: SteadyWaits
  #topic: Topic
  #client: PoolClient | undefined
  #hasJoined = false

  constructor (
    database: Database, description: string, topic: Topic, settings: ConsumerSettings, log: Logger,
    events: GroupEvents
  ) {
    this.#database = database
    this.#description = description
    this.#topic = topic
    this.#settings = settings
    this.#events = events
    this.#log = log
    this.#member = {
      group: settings.group,
      name: settings.instanceId ?? randomUUID(),
      sessionId: randomUUID(),
      sessionTimeoutMs: settings.sessionTimeoutMs
    }
    this.#waits = new SteadyWaits(2 * settings.sessionTimeoutMs / HEARTBEATS_PER_SESSION)
    this.#done = this.#run()
  }

  /** Releases revoked partitions, by a heartbeat at once. */
  release (partitions: readonly number[]): void {
    const revoked = partitions.filter(it => this.#owned.get(it)?.isRevoked)
    for (const partition of revoked) this.#releasing.add(partition)
    if (revoked.length > 0) this.#wakeup.wake()
  }

  async close (): Promise<void> {
    this.#closing.abort()
    try {
      await within(LEAVE_TIMEOUT_MS, this.#leave())
    } catch (error) {
      this.#log.warn({ reason: describeError(error) }, 'could not tell the group that this consumer leaves')
    }
    this.#disconnect() // ends pending statements
    await this.#done
  }

  async #leave (): Promise<void> {
    await this.#done // a heartbeat may be in progress
    if (!this.#client) return
    const isNamed = this.#settings.instanceId !== undefined
    await leave(this.#client, this.#topic, this.#member, isNamed, [...this.#releasing])
  }

  async #run (): Promise<void> {
    const { signal } = this.#closing
    let retryDelayMs = RETRY_DELAY_MIN_MS
    while (!signal.aborted) {
      try {
        await this.#beat()
        retryDelayMs = RETRY_DELAY_MIN_MS
        await this.#wakeup.wait(this.#settings.sessionTimeoutMs / HEARTBEATS_PER_SESSION, signal)
      } catch (error) {
        this.#disconnect()
        if (signal.aborted) return
        if (!isPassing(error)) return this.#events.failed(error)
        this.#log.warn({ reason: describeError(error) }, 'heartbeat to the event log failed; retrying')
        await delay(retryDelayMs, undefined, { signal }).catch(() => {})
        retryDelayMs = Math.min(2 * retryDelayMs, RETRY_DELAY_MAX_MS)
      }
    }
  }

  async #beat (): Promise<void> {
    const client = this.#client ??= await this.#connect()
    this.#closing.signal.throwIfAborted() // a member that left must not join again
    const releasing = [...this.#releasing]
    const standing = await within(this.#settings.sessionTimeoutMs,
      heartbeat(client, this.#topic, this.#member, this.#hasJoined, this.#waits, releasing))
    switch (standing.kind) {
      case 'member':
        this.#hasJoined = true
        this.#topic = { ...this.#topic, partitions: standing.partitions }
        return this.#applyLeases(standing.leases, releasing)
      case 'replaced':
        this.#loseAll()
        throw replacedError(this.#topic, this.#member)
      case 'topic-gone':
        this.#loseAll()
        return this.#followTopic()
    }
  }

  async #connect (): Promise<PoolClient> {
    const client = await listen(this.#database, this.#topic.topicId, payload => {
      if (payload === '') this.#events.appended()
      else if (payload === this.#settings.group) this.#wakeup.wake()
    }, () => this.#wakeup.wake())
    this.#events.appended()
    return client
  }

  /** Ends the connection, because one that listened must not return to the pool. */
  #disconnect (): void {
    this.#client?.release(true)
    this.#client = undefined
  }

  /** Compares the stored leases with ours, and reports the difference to the owner. */
  #applyLeases (leases: readonly HeldLease[], releasing: readonly number[]): void {
    const released = new Set(releasing)
    for (const partition of released) this.#releasing.delete(partition)

    const current = new Map(leases.map(it => [it.partition, it]))
    const gone = [...this.#owned.keys()]
      .filter(partition => current.get(partition)?.leaseId !== this.#owned.get(partition)!.leaseId)
    const lost = gone.filter(it => !released.has(it))
    for (const partition of gone) {
      this.#owned.delete(partition)
      this.#releasing.delete(partition)
    }

    const revoked: number[] = []
    const assigned: number[] = []
    for (const [partition, lease] of current) {
      const known = this.#owned.get(partition)
      if (lease.isRevoked && known && !known.isRevoked) revoked.push(partition)
      if (!lease.isRevoked && !known) assigned.push(partition)
      // granted and revoked before we saw it: the owner need not know
      if (lease.isRevoked && !known) this.#releasing.add(partition)
      this.#owned.set(partition, lease)
    }

    if (lost.length > 0) this.#events.lost(lost)
    if (revoked.length > 0) this.#events.revoked(revoked)
    if (assigned.length > 0) this.#events.assigned(this.#topic, assigned)
    if (this.#releasing.size > 0) this.#wakeup.wake()
  }

  #loseAll (): void {
    const lost = [...this.#owned.keys()].filter(it => !this.#releasing.has(it))
    this.#owned.clear()
    this.#releasing.clear()
    if (lost.length > 0) this.#events.lost(lost)
  }

  /** The topic was deleted: from now on read the recreated one with the same name. */
  async #followTopic (): Promise<void> {
    const topic = await describeTopic(this.#database, this.#topic.name)
    if (!topic) throw topicMissing(this.#topic.name, this.#description)
    this.#topic = topic
    this.#hasJoined = false
    this.#disconnect()
    this.#wakeup.wake()
  }
}
