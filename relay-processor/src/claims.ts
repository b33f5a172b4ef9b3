/**
 * The claims of a line: which partitions are ours, by the log's assignment and by our epoch in the database.
 *
 *     assigned ──claim──▶ ours ──revoked, lost──▶ forgotten
 *                  ▲        │ fenced: another process claimed it            dropped; claimed again after a delay
 *                  └────────┘ the database is of another history            dropped; claimed again at once
 *     assigned ──claim──▶ standing by: of another generation (generations.ts) ──ours now──▶ claim
 *
 * Every partition that the log finally assigns to us, and that belongs to our generation, must be claimed in the
 * database too. Dropping a partition drops its unwritten readings; its owner reads them from the log.
 */
import type { Logger } from 'relay-common'
import type { EventConsumer, EventLog, Topic } from 'relay-event-log'

import type { Clock } from './clock.ts'
import type { Gaps } from './gaps.ts'
import type { JournalSettings } from './journal.ts'
import type { ProcessorMetrics } from './metrics.ts'
import { createPartition, type Partition } from './partition.ts'
import type { Retry } from './retry.ts'
import type { Store } from './store.ts'

export interface ClaimSettings {
  /** name of this process in `progress` */
  readonly owner: string
  readonly journal: JournalSettings
}

export interface ClaimParts {
  readonly store: Store
  readonly eventLog: Pick<EventLog, 'readOffsets'>
  readonly consumer: EventConsumer
  readonly clock: Clock
  readonly metrics: ProcessorMetrics
  readonly log: Logger
}

/** before claiming again what another process claimed while the log assigns it to us: time for the log to settle */
const RECLAIM_DELAY_MS = 5_000
/** partitions count as taken over at once within this time */
const TAKEOVER_MS = 10_000
/** how often we check our claims while nothing is written */
const CHECK_INTERVAL_MS = 5_000
/** how often we ask whether partitions of another generation are ours now */
const STANDBY_INTERVAL_MS = 1_000

export class Claims {
  readonly #settings: ClaimSettings
  readonly #parts: ClaimParts
  readonly #gaps: Gaps
  /** ends when the line stops: nothing in memory depends on unfinished claims */
  readonly #retry: Retry
  readonly #stopping: AbortSignal
  readonly #partitions = new Map<number, Partition>()
  /** partitions that the log assigns to us and another process claimed; when to claim them again */
  readonly #reclaimAtMs = new Map<number, number>()
  readonly #unclaimedSinceMs = new Map<number, number>()
  /** partitions that the log assigns to us and that belong to another generation */
  readonly #standingBy = new Set<number>()
  #askWhoseAtMs = 0
  #topic: Topic | undefined
  #takeoverEndsAtMs = -Infinity
  #checkAtMs = 0

  constructor (settings: ClaimSettings, parts: ClaimParts, gaps: Gaps, retry: Retry, stopping: AbortSignal) {
    this.#settings = settings
    this.#parts = parts
    this.#gaps = gaps
    this.#retry = retry
    this.#stopping = stopping
  }

  /** ours, by number */
  get partitions (): ReadonlyMap<number, Partition> { return this.#partitions }

  /** partitions that the log assigns to us and that we have not claimed yet, and since when */
  get unclaimedSinceMs (): ReadonlyMap<number, number> { return this.#unclaimedSinceMs }

  /** The log has assigned these to us. */
  async take (topic: Topic, numbers: readonly number[]): Promise<void> {
    this.#topic = topic
    for (const number of numbers) this.#unclaimedSinceMs.set(number, this.#parts.clock.steadyMs())
    await this.#claim(topic, numbers)
  }

  /** The log has taken these from us. */
  forget (numbers: readonly number[]): void {
    for (const number of numbers) {
      this.#partitions.delete(number)
      this.#reclaimAtMs.delete(number)
      this.#unclaimedSinceMs.delete(number)
      this.#standingBy.delete(number)
      this.#parts.metrics.lag.remove({ partition: String(number) })
      this.#parts.metrics.eventTime.remove({ partition: String(number) })
    }
    this.#parts.metrics.standby.set(this.#standingBy.size)
  }

  /** Claims again what is due, and checks whether the other claims still hold. Call it periodically. */
  async keepUp (): Promise<void> {
    await this.#checkRegularly()
    await this.#reclaim()
    await this.#takeOwn()
  }

  async #claim (topic: Topic, numbers: readonly number[]): Promise<void> {
    const { eventLog, log } = this.#parts
    try {
      const offsets = await this.#retry('reading offsets', () => eventLog.readOffsets(topic.name))
      const startOffsets = new Map(offsets.map(it => [it.partition, it.startOffset]))
      for (const number of numbers) {
        await this.#retry('claiming a partition', () =>
          this.#claimOne(topic, number, startOffsets.get(number) ?? 0n))
      }
    } catch (error) {
      if (!this.#stopping.aborted) throw error
      log.warn({ err: error, partitions: numbers }, 'stopped before all assigned partitions were claimed')
    }
  }

  /** @param startOffset start of the partition in the log */
  async #claimOne (topic: Topic, number: number, startOffset: bigint): Promise<void> {
    const { store, consumer, clock, log } = this.#parts
    await this.#gaps.beforeClaim(topic, number, startOffset)
    const claim = await store.claim(topic, number, this.#settings.owner, startOffset)
    if ('ownedBy' in claim) return this.#standBy(number, claim.ownedBy)
    this.#partitions.set(number, createPartition(topic, number, claim, this.#settings.journal, clock.steadyMs()))
    this.#unclaimedSinceMs.delete(number)
    consumer.start(number, claim.nextOffset, claim.lastRecord)
    log.info({ partition: number, epoch: String(claim.epoch), offset: String(claim.nextOffset) }, 'partition claimed')
  }

  #standBy (number: number, generation: string): void {
    const { clock, metrics, log } = this.#parts
    this.#unclaimedSinceMs.delete(number)
    this.#standingBy.add(number)
    this.#askWhoseAtMs = clock.steadyMs() + STANDBY_INTERVAL_MS
    metrics.standby.set(this.#standingBy.size)
    metrics.lag.remove({ partition: String(number) }) // its owner reports it
    metrics.eventTime.remove({ partition: String(number) })
    log.info({ partition: number, generation }, 'standing by: the partition belongs to another generation')
  }

  /** Claims partitions that were of another generation and are ours now. */
  async #takeOwn (): Promise<void> {
    const { clock, store, metrics } = this.#parts
    if (this.#standingBy.size === 0 || clock.steadyMs() < this.#askWhoseAtMs) return
    this.#askWhoseAtMs = clock.steadyMs() + STANDBY_INTERVAL_MS
    const topic = this.#topic!
    const owned = await this.#retry('reading the generations', () =>
      store.readOwned(topic.topicId, [...this.#standingBy])).catch(error => {
      if (!this.#stopping.aborted) throw error
      return []
    })
    if (owned.length === 0) return
    for (const number of owned) {
      this.#standingBy.delete(number)
      this.#unclaimedSinceMs.set(number, clock.steadyMs())
    }
    metrics.standby.set(this.#standingBy.size)
    await this.#claim(topic, owned)
  }

  async #reclaim (): Promise<void> {
    for (const [number, atMs] of this.#reclaimAtMs) {
      if (this.#parts.clock.steadyMs() < atMs) continue
      this.#reclaimAtMs.delete(number)
      await this.#claim(this.#topic!, [number])
    }
  }

  /** A writing line learns from its writes if claims no longer hold; a line without writes must check. */
  async #checkRegularly (): Promise<void> {
    const { clock } = this.#parts
    if (this.#partitions.size === 0 || clock.steadyMs() < this.#checkAtMs) return
    this.#checkAtMs = clock.steadyMs() + CHECK_INTERVAL_MS
    const partitions = [...this.#partitions.values()]
    await this.#retry('reading the claims', () => this.#check(partitions)).catch(error => {
      if (!this.#stopping.aborted) throw error
    })
  }

  async #check (partitions: readonly Partition[]): Promise<void> {
    const { historyId, epochs } = await this.#parts.store.readStanding(
      partitions[0].topic.topicId, partitions.map(it => it.partition)
    )
    this.#onHistory(historyId)
    for (const it of partitions) if (epochs.get(it.partition) !== it.epoch) this.onFenced(it)
  }

  /** The database refused a claim: finds out why, and drops the partition. */
  async onRefused (partition: Partition): Promise<void> {
    await this.#check([partition])
    this.onFenced(partition) // its progress is elsewhere
  }

  /** @param historyId current history of the database, if known */
  onFenced (partition: Partition, historyId: string | null = partition.historyId): void {
    const number = partition.partition
    if (this.#partitions.get(number) !== partition) return // dropped meanwhile
    if (historyId !== partition.historyId) return this.#onHistory(historyId)
    this.#drop(number, RECLAIM_DELAY_MS)
    this.#parts.metrics.fenced.inc()
    this.#countTakeover()
    this.#parts.log.warn({ partition: number, epoch: String(partition.epoch) },
      'another processor took over the partition; unwritten readings are dropped here and read there')
  }

  #countTakeover (): void {
    const steadyMs = this.#parts.clock.steadyMs()
    if (steadyMs < this.#takeoverEndsAtMs) return
    this.#takeoverEndsAtMs = steadyMs + TAKEOVER_MS
    this.#parts.metrics.takeovers.inc()
  }

  /** Drops claims of another history of the database, and claims again at once. */
  #onHistory (historyId: string | null): void {
    const others = [...this.#partitions.values()].filter(it => it.historyId !== historyId)
    if (others.length === 0) return
    for (const { partition } of others) this.#drop(partition, 0)
    this.#parts.metrics.historyChanges.inc()
    this.#parts.log.warn({ before: others[0].historyId, now: historyId, partitions: others.map(it => it.partition) },
      'the database was restored, restarted or replaced: readings in memory are dropped and read again from ' +
        'its progress')
  }

  #drop (number: number, reclaimDelayMs: number): void {
    this.#partitions.delete(number)
    this.#reclaimAtMs.set(number, this.#parts.clock.steadyMs() + reclaimDelayMs)
    this.#unclaimedSinceMs.set(number, this.#parts.clock.steadyMs())
  }
}
