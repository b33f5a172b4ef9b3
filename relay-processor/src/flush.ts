/**
 * A flush: arrivals become rows, and rows and progress become one transaction.
 *
 *     1  wait for the write before            nothing: what it wrote is complete or will be read again
 *     2  name series, read back windows       nothing
 *     3  settle, encode (no await in here)    nothing: memory goes with the process, the log is read again
 *     4  dead letters (dead-letters.ts)       they may be there twice
 *     5  progress, rows (write-flush.ts)      all or nothing, of these partitions: one transaction
 *     6  commit offsets to the log            lag tools show too much lag for a moment
 *
 * The right column is what a crash after the step leaves behind. Steps 4 to 6 continue while the next records are
 * folded. A very large flush goes through steps 2 to 6 in parts, some partitions at a time.
 */
import type { Span, Tracer } from 'relay-common'
import { bucketStartMs, DAY_MS } from 'relay-rollups'

import { admit } from './admit.ts'
import type { Appended } from './appended.ts'
import type { DeadLetter, SendDeadLetters } from './dead-letters.ts'
import { FlushRows } from './flush-rows.ts'
import { startFlushSpan } from './flush-trace.ts'
import type { ProcessorMetrics } from './metrics.ts'
import { isAhead, type Partition } from './partition.ts'
import { nameSeries, readBack } from './read-back.ts'
import type { Retry } from './retry.ts'
import { findArrived, planFlush, type Arrived, type FlushPlan } from './plan-flush.ts'
import { settle, type SettleRules } from './settle.ts'
import type { PartitionRows, RollupStore } from './store.ts'

export interface FlushSettings extends SettleRules {
  readonly seriesInMemoryMax: number
  /** a flush with more minutes of devices is written in parts of at least this many; left out: MINUTES_PER_PART */
  readonly minutesPerPart?: number
  /**
   * by index of the level: rows that start earlier are past their retention and not written; -Infinity: all are written
   */
  readonly keptFromMs: () => readonly number[]
}

/**
 * Minutes of devices that are worth a transaction. A very large flush is written in parts of some partitions each: the
 * database writes one while the next is settled, and only the rows of one are in memory.
 */
const MINUTES_PER_PART = 50_000

/** Receivers of what a flush does not handle itself. */
export interface FlushSinks {
  readonly sendDeadLetters: SendDeadLetters
  /**
   * called after a write, with the offsets that the database has reached, and when its readings were appended
   * @param span of the flush, if it is traced
   */
  onWritten (nextOffsets: ReadonlyMap<number, bigint>, appended: readonly Appended[], span: Span | undefined): void
  /**
   * called for a partition that another owner has taken over, or whose state differs from the database: drop it
   * @param historyId current history of the database, if known: if it is not that of the partition, there is no other
   *   owner
   */
  onFenced (partition: Partition, historyId?: string | null): void
}

/** A partition with sorted arrivals, and their content. */
interface Target {
  readonly partition: Partition
  readonly arrived: Arrived
}

/** The plan for it. */
interface Planned {
  readonly partition: Partition
  readonly plan: FlushPlan
}

/** The pending write of one partition. */
interface PartitionWrite extends PartitionRows {
  readonly partition: Partition
  readonly deadLetters: readonly DeadLetter[]
  readonly appended: readonly Appended[]
}

export class Flusher {
  readonly #store: RollupStore
  readonly #settings: FlushSettings
  readonly #sinks: FlushSinks
  readonly #metrics: ProcessorMetrics
  readonly #retry: Retry
  readonly #tracer: Tracer | undefined
  readonly #rows = new FlushRows()
  #flushNumber = 0
  #writing: Promise<void> = Promise.resolve()
  #isWriting = false

  constructor (
    store: RollupStore, settings: FlushSettings, sinks: FlushSinks, metrics: ProcessorMetrics, retry: Retry,
    tracer?: Tracer
  ) {
    this.#store = store
    this.#settings = settings
    this.#sinks = sinks
    this.#metrics = metrics
    this.#retry = retry
    this.#tracer = tracer
  }

  /** whether a write is in progress: another flush would wait for it */
  get isWriting (): boolean { return this.#isWriting }

  /**
   * Starts a flush of everything that these partitions hold. Returns when the rows are encoded, and folding may
   * continue; `written` waits for the rest.
   * @param steadyMs as of a `Clock`
   * @returns the number of rows
   */
  async flush (partitions: readonly Partition[], steadyMs: number): Promise<number> {
    await this.#writing
    const ahead = partitions.filter(it => isAhead(it) || it.journal.isDue(steadyMs))
    if (ahead.length === 0) return 0

    const flushNumber = ++this.#flushNumber
    const span = startFlushSpan(this.#tracer, ahead, flushNumber)
    try {
      const rows = await this.#flushAhead(ahead, flushNumber, steadyMs, span)
      this.#forgetCold(partitions, flushNumber)
      this.#writing.then(() => span?.end(), error => span?.end(error))
      return rows
    } catch (error) {
      span?.end(error)
      throw error
    }
  }

  async #flushAhead (
    ahead: readonly Partition[], flushNumber: number, steadyMs: number, span: Span | undefined
  ): Promise<number> {
    const { minutesPerPart = MINUTES_PER_PART } = this.#settings
    let part: Target[] = []
    let minutes = 0
    let rows = 0
    for (const partition of ahead) {
      const arrived = findArrived(partition)
      part.push({ partition, arrived })
      minutes += arrived.minutes
      if (minutes < minutesPerPart && partition !== ahead.at(-1)) continue
      rows += await this.#flushPart(part, flushNumber, steadyMs, span)
      part = []
      minutes = 0
    }
    return rows
  }

  /** Waits until everything that was flushed is in the store. */
  async written (): Promise<void> {
    await this.#writing
  }

  /** Waits until no write is in progress, whatever its outcome. */
  async close (): Promise<void> {
    await this.#writing.catch(() => {})
  }

  async #flushPart (
    part: readonly Target[], flushNumber: number, steadyMs: number, span: Span | undefined
  ): Promise<number> {
    const reading = span?.child('read back')
    await this.#retry(
      'naming series', () => nameSeries(this.#store, part.flatMap(it => [...it.arrived.unnamed])), reading
    )
    const planned = part.filter(it => this.#noteIds(it)).map(({ partition, arrived }): Planned =>
      ({ partition, plan: planFlush(partition, arrived, this.#settings, steadyMs) }))
    await this.#retry('reading rollups back', () => this.#readBack(planned), reading)
    reading?.end()
    const settling = span?.child('settle')
    const endTimer = this.#metrics.settleSeconds.startTimer()
    const writes = planned.map(it => this.#settle(it, flushNumber))
    endTimer()
    this.#metrics.partitionFlushes.inc(writes.length)
    settling?.end()
    await this.#writing // of the part before, which the database wrote meanwhile
    this.#isWriting = true
    const { topicId } = part[0].partition.topic
    this.#writing = this.#write(writes, topicId, span).finally(() => { this.#isWriting = false })
    this.#writing.catch(() => {}) // whoever awaits it gets the error
    return writes.reduce((sum, it) => sum + it.rowCount, 0)
  }

  /** @returns whether to continue with the partition: not if its ids are of another history than the new ones */
  #noteIds ({ partition, arrived }: Target): boolean {
    const areTheirs = partition.series.noteIds(arrived.unnamed)
    if (!areTheirs) this.#sinks.onFenced(partition, null)
    return areTheirs
  }

  async #readBack (planned: readonly Planned[]): Promise<void> {
    for (const { partition, plan: { unknown } } of planned) {
      if (unknown.size === 0) continue
      await readBack(this.#store, partition, unknown)
      this.#metrics.readBackWindows.inc(unknown.size)
    }
  }

  #settle ({ partition, plan }: Planned, flushNumber: number): PartitionWrite {
    const keptFromMs = this.#settings.keptFromMs()
    this.#rows.begin(partition.partition, keptFromMs, plan.kind === 'rows')
    const { readings, duplicates, misplaced, arrivals: counts } = plan.kind === 'rows'
      ? settle(partition, this.#settings, this.#rows, flushNumber)
      : admit(partition, this.#settings, plan, this.#rows, flushNumber)
    const journal = partition.journal.takeChanges()
    const { daysMs, ...rows } = this.#rows.take()
    // kept as long as the level with the longest retention
    const arrivals = counts.filter(it => it.hourMs >= Math.min(...keptFromMs))
      .map(({ series, ...count }) => ({ ...count, seriesId: series.seriesId }))
    daysMs.push(new Set(arrivals.map(it => bucketStartMs(DAY_MS, it.hourMs))))
    this.#metrics.late.inc(counts.reduce((sum, it) => sum + (it.series.group ? it.late : 0), 0))
    this.#metrics.duplicates.inc(duplicates)
    this.#metrics.misplaced.inc(misplaced)
    this.#metrics.readings.inc(readings)
    const move = {
      partition: partition.partition,
      epoch: partition.epoch,
      historyId: partition.historyId,
      fromOffset: partition.writtenOffset,
      toOffset: partition.nextOffset,
      lastRecord: partition.lastRecord,
      eventTimeMaxMs: partition.eventTimeMaxMs,
      taken: partition.taken
    }
    partition.taken = []
    const appended = partition.appended
    partition.appended = []
    partition.writtenOffset = partition.nextOffset
    return {
      partition,
      move,
      ...rows,
      journal,
      daysMs,
      arrivals,
      misplaced: partition.misplaced.take(),
      deadLetters: partition.deadLetters.take(),
      appended
    }
  }

  /**
   * Limits memory: drops windows of idle series, and with too many series also those that the last flushes did not
   * touch.
   */
  #forgetCold (partitions: readonly Partition[], flushNumber: number): void {
    for (const { series, eventTimeMaxMs } of partitions) series.forgetIdleWindows(eventTimeMaxMs)
    const { seriesInMemoryMax } = this.#settings
    const count = () => partitions.reduce((sum, it) => sum + it.series.size, 0)
    if (count() > seriesInMemoryMax) {
      // the coldest first: halves the age each time until it fits
      for (let age = flushNumber - 1; age > 0 && count() > seriesInMemoryMax; age = Math.floor(age / 2)) {
        for (const partition of partitions) partition.series.forget(flushNumber - age)
      }
    }
    this.#metrics.seriesInMemory.set(count())
  }

  async #write (writes: PartitionWrite[], topicId: string, span: Span | undefined): Promise<void> {
    const endTimer = this.#metrics.writeSeconds.startTimer()
    const unsent = writes.filter(it => it.deadLetters.length > 0)
    await this.#retry('writing dead letters', async () => {
      for (; unsent.length > 0; unsent.shift()) { // a retry does not send again what was sent
        await this.#sinks.sendDeadLetters(unsent[0].partition, unsent[0].deadLetters, span)
      }
    }, span)

    let left = writes
    let isUncertain = false // a commit was sent without an answer
    await this.#retry('writing rollups', async () => {
      if (isUncertain) left = await this.#resolveUncertain(left, topicId, span)
      isUncertain = false
      while (left.length > 0) {
        const outcome = await this.#store.write(topicId, left, span)
        if (outcome.kind === 'committed') return
        if (outcome.kind === 'unknown') {
          isUncertain = true
          throw outcome.error
        }
        // partitions that are no longer ours are skipped
        const refused = new Set(outcome.partitions)
        for (const write of left) {
          if (refused.has(write.move.partition)) this.#sinks.onFenced(write.partition, outcome.historyId)
        }
        left = left.filter(it => !refused.has(it.move.partition))
      }
    }, span)

    for (const { partition, move } of left) for (const it of move.taken) partition.returning.delete(it)
    if (left.length > 0) {
      this.#metrics.rowsWritten.inc(left.reduce((sum, it) => sum + it.rowCount, 0))
      this.#sinks.onWritten(
        new Map(left.map(it => [it.partition.partition, it.move.toOffset])), left.flatMap(it => it.appended), span
      )
    }
    endTimer()
  }

  /** After a commit without an answer: the partitions whose rows are not written yet. */
  async #resolveUncertain (
    writes: PartitionWrite[], topicId: string, span: Span | undefined
  ): Promise<PartitionWrite[]> {
    const left: PartitionWrite[] = []
    const done = new Map<number, bigint>()
    const appended: Appended[] = []
    for (const write of writes) {
      const outcome = await this.#store.readOutcome(topicId, write.move)
      if (outcome === 'not-moved') left.push(write)
      else if (outcome === 'fenced') this.#sinks.onFenced(write.partition)
      else {
        done.set(write.partition.partition, write.move.toOffset)
        appended.push(...write.appended)
        for (const it of write.move.taken) write.partition.returning.delete(it)
      }
    }
    if (done.size > 0) this.#sinks.onWritten(done, appended, span)
    return left
  }
}
