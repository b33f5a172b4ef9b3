/**
 * The line: handles the news of the event log, and decides when to flush.
 *
 *     assigned ──claim──▶ records ──fold──▶ … ──flush──▶ …        revoked ──flush, forget, release
 *                                                                 lost ──forget
 *     gap ──flush, skip (gaps.ts)                                 fenced ──forget, claim again (claims.ts)
 *
 * One loop does everything in order; only the write of a flush runs beside it.
 */
import { RelayError, type Readiness, type Tracer } from 'relay-common'
import type { ConsumerNews, EventProducer, PartitionOffsets } from 'relay-event-log'

import { Claims, type ClaimParts, type ClaimSettings } from './claims.ts'
import { createDeadLetterSender } from './dead-letters.ts'
import { Flusher, type FlushSettings } from './flush.ts'
import { isFlushDue, nextFlushMs, type LastFlush, type PaceSettings } from './flush-pace.ts'
import { describeStall } from './flush-stall.ts'
import { Folder, type FoldRules } from './fold.ts'
import { Gaps, type GapPolicy } from './gaps.ts'
import { takeReturned } from './misplaced.ts'
import { expectedRows, isAhead, lagOf, noteOffsets, unstoredOf } from './partition.ts'
import { createRetry, type Retry } from './retry.ts'

export interface LineSettings extends ClaimSettings, FlushSettings, PaceSettings {
  readonly topic: string
  readonly deadLettersTopic: string
  readonly gapPolicy: GapPolicy
  /** with unread records, time without a flush after which the line is not ready */
  readonly flushStalledMs: number
  readonly rules: FoldRules
}

export interface LineParts extends ClaimParts {
  readonly producer: EventProducer
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
  readonly #gaps: Gaps
  readonly #claims: Claims
  #wasStalled = false
  readonly #stopping = new AbortController()
  #lookForMisplacedAtMs = 0
  #lastFlush: Omit<LastFlush, 'isWriting'> = { startedMs: 0, readings: 0, rows: 0, tookMs: 0 }
  readonly #faults = new Map<string, string>()

  constructor (settings: LineSettings, parts: LineParts, signal: AbortSignal) {
    this.#settings = settings
    this.#parts = parts
    this.#folder = new Folder({ ...settings.rules, isTraced: parts.tracer !== undefined })
    const sinks = { faults: this.#faults, clock: parts.clock, metrics: parts.metrics, log: parts.log }
    this.#retry = createRetry({ ...sinks, signal })
    this.#retryUntilStopped = createRetry({ ...sinks, signal: AbortSignal.any([signal, this.#stopping.signal]) })
    this.#gaps = new Gaps(settings.gapPolicy, parts)
    this.#claims = new Claims(settings, parts, this.#gaps, this.#retryUntilStopped, this.#stopping.signal)
    this.#flusher = new Flusher(parts.store, settings, {
      sendDeadLetters: createDeadLetterSender(settings.deadLettersTopic, parts),
      onWritten: (nextOffsets, appended, span) => {
        const [nowMs, steadyMs] = [parts.clock.nowMs(), parts.clock.steadyMs()]
        for (const { appendedMs, readings } of appended) {
          parts.metrics.freshness.observe(Math.max(0, nowMs - appendedMs) / 1000, readings, span?.traceId)
        }
        for (const [number, storedOffset] of nextOffsets) {
          const partition = this.#claims.partitions.get(number)
          if (partition && storedOffset > partition.storedOffset) noteOffsets(partition, { storedOffset }, steadyMs)
        }
        parts.consumer.commit(nextOffsets).catch(error => parts.log.debug(
          { err: error }, 'could not commit offsets to the log'
        ))
      },
      onFenced: (partition, historyId) => this.#claims.onFenced(partition, historyId)
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
      const partition = this.#claims.partitions.get(number)
      if (partition) noteOffsets(partition, { endOffset }, this.#parts.clock.steadyMs())
    }
    this.observe()
  }

  observe (): void {
    const { metrics, log } = this.#parts
    for (const it of this.#claims.partitions.values()) metrics.lag.set({ partition: it.partition }, unstoredOf(it))
    const stall = this.#stall()
    metrics.flushStalled.set(stall === undefined ? 0 : 1)
    if (stall !== undefined && !this.#wasStalled) log.warn({ stall }, 'flushes are stalled')
    if (stall === undefined && this.#wasStalled) log.info('flushes work again')
    this.#wasStalled = stall !== undefined
  }

  #stall (): string | undefined {
    const { partitions, unclaimedSinceMs } = this.#claims
    const limitMs = this.#settings.flushStalledMs
    return describeStall(partitions.values(), unclaimedSinceMs, limitMs, this.#parts.clock.steadyMs())
  }

  async run (): Promise<void> {
    try {
      while (!this.#stopping.signal.aborted) {
        const news = await this.#parts.consumer.next(this.#waitMs(), this.#stopping.signal)
        await this.#take(news)
        await this.#claims.keepUp()
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
        const partition = this.#claims.partitions.get(news.records.partition)
        if (!partition) return
        const { clock, metrics } = this.#parts
        const startedMs = clock.steadyMs()
        this.#folder.fold(partition, news.records, clock.nowMs())
        const foldedMs = clock.steadyMs()
        metrics.foldSeconds.inc(Math.max(0, foldedMs - startedMs) / 1000)
        noteOffsets(partition, {}, foldedMs)
        return
      }
      case 'assigned':
        return await this.#claims.take(news.topic, news.partitions)
      case 'revoked':
        await this.#flushAndWait()
        this.#claims.forget(news.partitions)
        await this.#parts.consumer.release(news.partitions)
        return
      case 'lost':
        this.#claims.forget(news.partitions)
        return
      case 'gap':
        return await this.#retry('recording a gap', () => this.#onGap(news))
      case 'idle':
    }
  }

  /** Takes in readings that arrived in other partitions and have their home in ours. */
  async #takeMisplaced (): Promise<void> {
    const { clock, store } = this.#parts
    if (this.#claims.partitions.size === 0 || clock.steadyMs() < this.#lookForMisplacedAtMs) return
    const wanted = new Map([...this.#claims.partitions.values()].map(it => [it.partition, new Set(it.returning)]))
    const returned = await this.#retryUntilStopped('reading misplaced readings', () => store.readMisplaced(wanted))
      .catch(error => {
        if (!this.#stopping.signal.aborted) throw error
        return [] // the next owner finds them
      })
    this.#lookForMisplacedAtMs = clock.steadyMs() + (returned.length > 0
      ? this.#settings.flushIntervalMs
      : LOOK_INTERVAL_MS)
    for (const readings of returned) {
      const partition = this.#claims.partitions.get(readings.homePartition) // it may have been fenced meanwhile
      if (partition) takeReturned(partition, readings)
    }
  }

  async #onGap (news: Extract<ConsumerNews, { kind: 'gap' }>): Promise<void> {
    const partition = this.#claims.partitions.get(news.partition)
    if (!partition) return
    await this.#flushAndWait()
    const nextOffset = await this.#gaps.whileReading(partition, news)
    if (nextOffset === undefined) return await this.#claims.onRefused(partition)
    partition.nextOffset = partition.writtenOffset = nextOffset
    partition.lastRecord = undefined
    noteOffsets(partition, { storedOffset: nextOffset }, this.#parts.clock.steadyMs())
    this.#parts.consumer.start(partition.partition, nextOffset)
  }

  #waitMs (): number {
    if (!this.#claims.partitions.values().some(isAhead)) return WAIT_MAX_MS // a flush has nothing to do
    const untilFlushMs = nextFlushMs(this.#settings, this.#lastFlush.startedMs) - this.#parts.clock.steadyMs()
    return Math.min(WAIT_MAX_MS, Math.max(WAIT_MIN_MS, untilFlushMs))
  }

  #isFlushDue (): boolean {
    const waiting = { readings: 0, deadLetterBytes: 0, lag: 0, rows: 0 }
    let isAnyAhead = false
    for (const partition of this.#claims.partitions.values()) {
      waiting.readings += partition.arrivedReadings
      waiting.deadLetterBytes += partition.deadLetters.bytes
      waiting.lag += lagOf(partition)
      waiting.rows += expectedRows(partition)
      isAnyAhead ||= isAhead(partition) || partition.journal.isDue(this.#parts.clock.steadyMs())
    }
    const last = { ...this.#lastFlush, isWriting: this.#flusher.isWriting }
    return isAnyAhead && isFlushDue(this.#settings, waiting, last, this.#parts.clock.steadyMs())
  }

  async #flush (): Promise<void> {
    const { clock } = this.#parts
    const startedMs = clock.steadyMs()
    const readings = this.#claims.partitions.values().reduce((sum, it) => sum + it.arrivedReadings, 0)
    const rows = await this.#flusher.flush([...this.#claims.partitions.values()], startedMs)
    const flush = this.#lastFlush = { startedMs, readings, rows, tookMs: 0 }
    // others handle its errors
    this.#flusher.written().then(() => { flush.tookMs = clock.steadyMs() - startedMs }, () => {})
    for (const it of this.#claims.partitions.values()) {
      const { partition, eventTimeMaxMs } = it
      if (eventTimeMaxMs > 0) this.#parts.metrics.eventTime.set({ partition }, eventTimeMaxMs / 1000)
    }
  }

  async #flushAndWait (): Promise<void> {
    await this.#flush()
    await this.#flusher.written()
  }
}
