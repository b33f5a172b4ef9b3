/**
 * The line: handles the news of the event log, and decides when to flush.
 *
 *     assigned ──claim──▶ records ──fold──▶ … ──flush──▶ …        revoked ──flush, forget, release
 *                                                                 lost, fenced ──forget
 *     the database is of another history ──forget, claim again
 *
 * One loop does everything in order; only the write of a flush runs beside it.
 */
import {
  RelayError, type ConsumerNews, type EventConsumer, type EventLog, type EventProducer, type Logger,
  type PartitionOffsets, type Readiness, type Topic, type Tracer
} from 'relay-common'

import type { Clock } from './clock.ts'
import { Flusher, type FlushSettings } from './flush.ts'
import { isFlushDue, type LastFlush, type PaceSettings } from './flush-pace.ts'
import { toTracedRecords } from './flush-trace.ts'
import { Folder, type FoldRules } from './fold.ts'
import type { JournalSettings } from './journal.ts'
import type { ProcessorMetrics } from './metrics.ts'
import { takeReturned } from './misplaced.ts'
import {
  createPartition, expectedRows, isAhead, lagOf, noteOffsets, unstoredOf, type Partition
} from './partition.ts'
import { createRetry, type Retry } from './retry.ts'
import type { Gap, Store } from './store.ts'

export interface LineSettings extends FlushSettings, PaceSettings {
  readonly topic: string
  readonly deadLettersTopic: string
  /** name of this process in `progress` */
  readonly owner: string
  readonly gapPolicy: 'stop' | 'continue'
  /** with unread records, time without a flush after which the line is not ready */
  readonly flushStalledMs: number
  readonly rules: FoldRules
  readonly journal: JournalSettings
}

export interface LineParts {
  readonly store: Store
  readonly eventLog: Pick<EventLog, 'readOffsets'>
  readonly consumer: EventConsumer
  readonly producer: EventProducer
  readonly clock: Clock
  readonly metrics: ProcessorMetrics
  readonly log: Logger
  /** undefined: tracing is off */
  readonly tracer?: Tracer | undefined
}

export interface Line {
  /** settles when the loop ends, with the error that ended it */
  readonly done: Promise<void>
  readiness (): Readiness
  /** Reports the ends of the log from outside, because a line that waits for the database reads nothing. */
  noteEnds (offsets: ReadonlyArray<Pick<PartitionOffsets, 'partition' | 'endOffset'>>): void
  /** Updates the metrics that a line waiting for the database would leave outdated. */
  observe (): void
  /**
   * Writes what is in memory, then ends.
   * @throws RelayError RELAY_FLUSH_UNFINISHED if the database was unreachable for too long. Nothing is lost: it will be
   *   read from the log again
   */
  close (): Promise<void>
}

const WAIT_MAX_MS = 500
/** how often we check while a flush is due and the previous one is still written */
const WAIT_MIN_MS = 2
/**
 * before claiming again a partition that another process claimed while the log assigns it to us: time for the log to
 * settle
 */
const RECLAIM_DELAY_MS = 5_000
/** partitions count as taken over at once within this time */
const TAKEOVER_MS = 10_000
/** how often we check our claims while nothing is written */
const STANDING_INTERVAL_MS = 5_000
/** how often we look for misplaced readings while there are none */
const LOOK_INTERVAL_MS = 1_000
/** how long a closing line may write, so that a processor ends within 5 s of a SIGTERM */
const CLOSE_MAX_MS = 3_500

/** Starts the line on an open store, consumer and producer; the caller closes them after the line. */
export function startLine (settings: LineSettings, parts: LineParts): Line {
  const giveUp = new AbortController()
  const loop = new Loop(settings, parts, giveUp.signal)
  const overdue = Promise.withResolvers<never>()
  const done = Promise.race([loop.run().finally(() => giveUp.abort()), overdue.promise])
  done.catch(() => {}) // whoever awaits it gets the error
  return {
    done,
    readiness: () => loop.readiness(),
    noteEnds: offsets => loop.noteEnds(offsets),
    observe: () => loop.observe(),
    close: async () => {
      loop.stop()
      parts.clock.delay(CLOSE_MAX_MS, giveUp.signal).then(() => {
        if (giveUp.signal.aborted) return // it has ended
        const { rollups: fault = 'it took too long' } = loop.readiness()
        overdue.reject(new RelayError('RELAY_FLUSH_UNFINISHED',
          `stopped before the readings in memory were written; they will be read from the log again. ${fault}`))
        giveUp.abort()
      })
      await done
    }
  }
}

class Loop {
  readonly #settings: LineSettings
  readonly #parts: LineParts
  readonly #folder: Folder
  readonly #flusher: Flusher
  readonly #retry: Retry
  /** for work that a stopping line can skip, because nothing in memory depends on it yet */
  readonly #retryUntilStopped: Retry
  readonly #partitions = new Map<number, Partition>()
  /** partitions that the log assigns to us and another process claimed; when to claim them again */
  readonly #reclaimAtMs = new Map<number, number>()
  #takeoverEndsAtMs = -Infinity
  /** partitions that the log assigns to us and that we have not claimed yet, and since when */
  readonly #unclaimedSinceMs = new Map<number, number>()
  #wasStalled = false
  readonly #stopping = new AbortController()
  #topic: Topic | undefined
  #lookForMisplacedAtMs = 0
  #lookForStandingAtMs = 0
  #lastFlush: Omit<LastFlush, 'isWriting'> = { startedMs: 0, readings: 0, rows: 0, tookMs: 0 }
  readonly #faults = new Map<string, string>()

  constructor (settings: LineSettings, parts: LineParts, signal: AbortSignal) {
    this.#settings = settings
    this.#parts = parts
    this.#folder = new Folder({ ...settings.rules, isTraced: parts.tracer !== undefined })
    const sinks = { faults: this.#faults, clock: parts.clock, metrics: parts.metrics, log: parts.log }
    this.#retry = createRetry({ ...sinks, signal })
    this.#retryUntilStopped = createRetry({ ...sinks, signal: AbortSignal.any([signal, this.#stopping.signal]) })
    this.#flusher = new Flusher(parts.store, settings, {
      sendDeadLetters: async (partition, letters, span) => {
        const source = { topic: partition.topic.name, partition: partition.partition }
        await parts.producer.send(
          settings.deadLettersTopic, toTracedRecords(parts.tracer, span, letters, source, parts.clock.nowMs())
        )
        for (const { reason } of letters) parts.metrics.deadLetters.inc({ reason })
      },
      written: (nextOffsets, appended) => {
        const nowMs = parts.clock.nowMs()
        for (const { appendedMs, readings } of appended) {
          parts.metrics.freshness.observe(Math.max(0, nowMs - appendedMs) / 1000, readings)
        }
        for (const [number, storedOffset] of nextOffsets) {
          const partition = this.#partitions.get(number)
          if (partition && storedOffset > partition.storedOffset) noteOffsets(partition, { storedOffset }, nowMs)
        }
        parts.consumer.commit(nextOffsets).catch(error => parts.log.debug(
          { err: error }, 'could not commit offsets to the log'
        ))
      },
      fenced: (partition, historyId) => this.#onFenced(partition, historyId)
    }, parts.metrics, this.#retry, parts.tracer)
  }

  stop (): void {
    this.#stopping.abort()
  }

  readiness (): Readiness {
    return { rollups: this.#faults.size > 0 ? [...this.#faults.values()].join('; ') : undefined, flush: this.#stall() }
  }

  noteEnds (offsets: ReadonlyArray<Pick<PartitionOffsets, 'partition' | 'endOffset'>>): void {
    for (const { partition: number, endOffset } of offsets) {
      const partition = this.#partitions.get(number)
      if (partition) noteOffsets(partition, { endOffset }, this.#parts.clock.nowMs())
    }
    this.observe()
  }

  observe (): void {
    const { metrics, log } = this.#parts
    for (const it of this.#partitions.values()) metrics.lag.set({ partition: it.partition }, unstoredOf(it))
    const stall = this.#stall()
    metrics.flushStalled.set(stall === undefined ? 0 : 1)
    if (stall !== undefined && !this.#wasStalled) log.warn({ stall }, 'flushes are stalled')
    if (stall === undefined && this.#wasStalled) log.info('flushes work again')
    this.#wasStalled = stall !== undefined
  }

  /** Data that the log has had for too long without the database having it. This detects any kind of hang. */
  #stall (): string | undefined {
    const { flushStalledMs } = this.#settings
    const sinceMs = this.#parts.clock.nowMs() - flushStalledMs
    const behind = [...this.#partitions.values()].filter(it => it.behindSinceMs !== undefined &&
      it.behindSinceMs < sinceMs)
    const unclaimed = [...this.#unclaimedSinceMs].filter(([, atMs]) => atMs < sinceMs).map(([number]) => number)
    const said: string[] = []
    if (behind.length > 0) {
      const records = behind.reduce((sum, it) => sum + unstoredOf(it), 0)
      said.push(`no flush for over ${flushStalledMs} ms, and the log has ${records} unread records in ` +
        `partitions ${behind.map(it => it.partition).join(', ')}`)
    }
    if (unclaimed.length > 0) {
      said.push(`could not claim partitions ${unclaimed.join(', ')} for over ${flushStalledMs} ms`)
    }
    return said.length > 0 ? said.join('; ') : undefined
  }

  async run (): Promise<void> {
    try {
      while (!this.#stopping.signal.aborted) {
        const news = await this.#parts.consumer.next(this.#waitMs(), this.#stopping.signal)
        await this.#take(news)
        await this.#lookForStanding()
        await this.#reclaim()
        await this.#takeMisplaced()
        if (this.#isFlushDue()) await this.#flush()
      }
      await this.#flushAndWait()
    } finally {
      await this.#flusher.close()
    }
  }

  async #take (news: ConsumerNews): Promise<void> {
    switch (news.kind) {
      case 'records': {
        const partition = this.#partitions.get(news.records.partition)
        if (!partition) return
        this.#folder.fold(partition, news.records, this.#parts.clock.nowMs())
        noteOffsets(partition, {}, this.#parts.clock.nowMs())
        return
      }
      case 'assigned':
        this.#topic = news.topic
        for (const number of news.partitions) this.#unclaimedSinceMs.set(number, this.#parts.clock.nowMs())
        return await this.#claim(news.topic, news.partitions)
      case 'revoked':
        await this.#flushAndWait()
        this.#forget(news.partitions)
        await this.#parts.consumer.release(news.partitions)
        return
      case 'lost':
        this.#forget(news.partitions)
        return
      case 'gap':
        return await this.#retry('recording a gap', () => this.#onGap(news))
      case 'idle':
    }
  }

  async #claim (topic: Topic, numbers: readonly number[]): Promise<void> {
    const { eventLog, log } = this.#parts
    try {
      const offsets = await this.#retryUntilStopped('reading offsets', () => eventLog.readOffsets(topic.name))
      const startOffsets = new Map(offsets.map(it => [it.partition, it.startOffset]))
      for (const number of numbers) {
        await this.#retryUntilStopped('claiming a partition', () =>
          this.#claimOne(topic, number, startOffsets.get(number) ?? 0n))
      }
    } catch (error) {
      if (!this.#stopping.signal.aborted) throw error
      log.warn({ err: error, partitions: numbers }, 'stopped before all assigned partitions were claimed')
    }
  }

  /** @param startOffset start of the partition in the log */
  async #claimOne (topic: Topic, number: number, startOffset: bigint): Promise<void> {
    const { store, consumer, log } = this.#parts
    const gap = await store.findGap(topic, number, startOffset)
    if (gap) {
      await store.recordGap(topic, gap, undefined)
      this.#meetGap(topic, gap)
    }
    const claim = await store.claim(topic, number, this.#settings.owner, startOffset)
    this.#partitions.set(
      number, createPartition(topic, number, claim, this.#settings.journal, this.#parts.clock.nowMs())
    )
    this.#unclaimedSinceMs.delete(number)
    consumer.start(number, claim.nextOffset)
    log.info({ partition: number, epoch: String(claim.epoch), offset: String(claim.nextOffset) }, 'partition claimed')
  }

  #forget (numbers: readonly number[]): void {
    for (const number of numbers) {
      this.#partitions.delete(number)
      this.#reclaimAtMs.delete(number)
      this.#unclaimedSinceMs.delete(number)
      this.#parts.metrics.lag.remove({ partition: String(number) })
      this.#parts.metrics.eventTime.remove({ partition: String(number) })
    }
  }

  #onFenced (partition: Partition, historyId: string | null = partition.historyId): void {
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
    const nowMs = this.#parts.clock.nowMs()
    if (nowMs < this.#takeoverEndsAtMs) return
    this.#takeoverEndsAtMs = nowMs + TAKEOVER_MS
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
    this.#reclaimAtMs.set(number, this.#parts.clock.nowMs() + reclaimDelayMs)
    this.#unclaimedSinceMs.set(number, this.#parts.clock.nowMs())
  }

  /** A writing line learns from its writes if claims no longer hold; a line without writes must check. */
  async #lookForStanding (): Promise<void> {
    const { clock } = this.#parts
    if (this.#partitions.size === 0 || clock.nowMs() < this.#lookForStandingAtMs) return
    this.#lookForStandingAtMs = clock.nowMs() + STANDING_INTERVAL_MS
    const partitions = [...this.#partitions.values()]
    const look = () => this.#checkStanding(partitions)
    await this.#retryUntilStopped('reading the claims', look).catch(error => {
      if (!this.#stopping.signal.aborted) throw error
    })
  }

  async #checkStanding (partitions: readonly Partition[]): Promise<void> {
    const { historyId, epochs } = await this.#parts.store.readStanding(
      partitions[0].topic.topicId, partitions.map(it => it.partition)
    )
    this.#onHistory(historyId)
    for (const it of partitions) if (epochs.get(it.partition) !== it.epoch) this.#onFenced(it)
  }

  /** Takes in readings that arrived in other partitions and have their home in ours. */
  async #takeMisplaced (): Promise<void> {
    const { clock, store } = this.#parts
    if (this.#partitions.size === 0 || clock.nowMs() < this.#lookForMisplacedAtMs) return
    const wanted = new Map([...this.#partitions.values()].map(it => [it.partition, new Set(it.returning)]))
    const returned = await this.#retryUntilStopped('reading misplaced readings', () => store.readMisplaced(wanted))
      .catch(error => {
        if (!this.#stopping.signal.aborted) throw error
        return [] // the next owner finds them
      })
    this.#lookForMisplacedAtMs = clock.nowMs() + (returned.length > 0
      ? this.#settings.flushIntervalMs
      : LOOK_INTERVAL_MS)
    for (const readings of returned) {
      const partition = this.#partitions.get(readings.homePartition) // it may have been fenced meanwhile
      if (partition) takeReturned(partition, readings)
    }
  }

  /** Every partition that the log finally assigns to us must be claimed in the database too. */
  async #reclaim (): Promise<void> {
    for (const [number, atMs] of this.#reclaimAtMs) {
      if (this.#parts.clock.nowMs() < atMs) continue
      this.#reclaimAtMs.delete(number)
      await this.#claim(this.#topic!, [number])
    }
  }

  async #onGap (news: Extract<ConsumerNews, { kind: 'gap' }>): Promise<void> {
    const partition = this.#partitions.get(news.partition)
    if (!partition) return
    const { topic } = partition
    await this.#flushAndWait()
    // after the end: the log has lost records that were read; new records continue at its end
    const availableOffset = news.expectedOffset < news.startOffset ? news.startOffset : news.endOffset
    const { expectedOffset } = news
    const gap = { kind: 'offset-out-of-range', partition: news.partition, expectedOffset, availableOffset } as const
    const { store, consumer } = this.#parts
    if (!await store.recordGap(topic, gap, partition)) return await this.#onRefusedGap(partition)
    this.#meetGap(topic, gap)
    if (!await store.skipGap(topic, gap, partition)) return await this.#onRefusedGap(partition)
    partition.nextOffset = partition.writtenOffset = availableOffset
    noteOffsets(partition, { storedOffset: availableOffset }, this.#parts.clock.nowMs())
    consumer.start(partition.partition, availableOffset)
  }

  async #onRefusedGap (partition: Partition): Promise<void> {
    await this.#checkStanding([partition])
    this.#onFenced(partition) // its progress is elsewhere
  }

  /** Reports a recorded gap. @throws RelayError RELAY_OFFSET_GAP if the policy is to stop */
  #meetGap (topic: Topic, gap: Gap): void {
    this.#parts.metrics.gaps.inc({ kind: gap.kind })
    const what = gap.kind === 'topic-recreated'
      ? `topic ${topic.name} was deleted and created again: ` +
        `partition ${gap.partition} had been read to offset ${gap.expectedOffset}`
      : `partition ${gap.partition} of ${topic.name} should continue at offset ${gap.expectedOffset}, ` +
        `but the log continues at ${gap.availableOffset}`
    if (this.#settings.gapPolicy === 'stop') {
      throw new RelayError('RELAY_OFFSET_GAP',
        `${what}; the gap is recorded in the table gaps. Set GAP_POLICY=continue to continue after it`)
    }
    this.#parts.log.error(gap, `${what}; continuing because GAP_POLICY is continue`)
  }

  #waitMs (): number {
    if (!this.#partitions.values().some(isAhead)) return WAIT_MAX_MS // a flush has nothing to do
    const untilFlushMs = this.#lastFlush.startedMs + this.#settings.flushIntervalMs - this.#parts.clock.nowMs()
    return Math.min(WAIT_MAX_MS, Math.max(WAIT_MIN_MS, untilFlushMs))
  }

  #isFlushDue (): boolean {
    const waiting = { readings: 0, deadLetterBytes: 0, lag: 0, rows: 0 }
    let isAnyAhead = false
    for (const partition of this.#partitions.values()) {
      waiting.readings += partition.arrivedReadings
      waiting.deadLetterBytes += partition.deadLetterBytes
      waiting.lag += lagOf(partition)
      waiting.rows += expectedRows(partition)
      isAnyAhead ||= isAhead(partition) || partition.journal.isDue(this.#parts.clock.nowMs())
    }
    const last = { ...this.#lastFlush, isWriting: this.#flusher.isWriting }
    return isAnyAhead && isFlushDue(this.#settings, waiting, last, this.#parts.clock.nowMs())
  }

  async #flush (): Promise<void> {
    const { clock } = this.#parts
    const startedMs = clock.nowMs()
    const readings = this.#partitions.values().reduce((sum, it) => sum + it.arrivedReadings, 0)
    const rows = await this.#flusher.flush([...this.#partitions.values()], startedMs)
    const flush = this.#lastFlush = { startedMs, readings, rows, tookMs: 0 }
    // others handle its errors
    this.#flusher.written().then(() => { flush.tookMs = clock.nowMs() - startedMs }, () => {})
    for (const it of this.#partitions.values()) {
      const { partition, eventTimeMaxMs } = it
      if (eventTimeMaxMs > 0) this.#parts.metrics.eventTime.set({ partition }, eventTimeMaxMs / 1000)
    }
  }

  async #flushAndWait (): Promise<void> {
    await this.#flush()
    await this.#flusher.written()
  }
}
