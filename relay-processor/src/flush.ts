/**
 * A flush: what has arrived becomes rows, and rows and progress become one transaction.
 *
 *     1  wait for the write before            nothing: what it wrote is complete or will be read again
 *     2  open and read back windows           nothing
 *     3  settle, encode (no await in here)    nothing: memory goes with the process, the log is read again
 *     4  dead letters to the log              they may be there twice
 *     5  transaction: progress, rows          all or nothing
 *     6  commit offsets to the log            lag tools show too much lag for a moment
 *
 * Behind each step: what a crash right after it leaves. Steps 4 to 6 run on while the next records are folded.
 */
import { levels, type Database, type PoolClient } from 'relay-common'

import { RowEncoder } from './copy-rows.ts'
import type { DeadLetter } from './dead-letters.ts'
import type { ProcessorMetrics } from './metrics.ts'
import type { Partition } from './partition.ts'
import { moveProgress, readOutcome, type ProgressMove } from './progress.ts'
import type { Retry } from './retry.ts'
import { ensureSeries, prepareIncoming, readBack, RollupPartitions, writeRows } from './rollup-store.ts'
import type { Series } from './series-table.ts'
import { openTargets, settle, type Settled, type SettleRules } from './settle.ts'

export interface FlushSettings extends SettleRules {
  readonly seriesInMemoryMax: number
  /** by index of the level: rows that begin earlier are past their retention and not written; -Infinity: all are */
  readonly keptFromMs: (nowMs: number) => readonly number[]
}

/** Where a flush hands over what is not its own. */
export interface FlushSinks {
  /** makes dead letters durable; throws while it can't */
  sendDeadLetters (partition: Partition, letters: readonly DeadLetter[]): Promise<void>
  /** called when a write is through, with the offsets it brought the database to */
  written (nextOffsets: ReadonlyMap<number, bigint>): void
  /** called for a partition that another owner has taken over, or whose state is not the database's: drop it */
  fenced (partition: Partition): void
}

/** The rows of one partition, on their way. */
interface PartitionWrite {
  readonly partition: Partition
  readonly move: ProgressMove
  readonly rows: Buffer
  readonly rowCount: number
  readonly levelsUsed: ReadonlySet<number>
  readonly deadLetters: readonly DeadLetter[]
}

export class Flusher {
  readonly #database: Database
  readonly #rollupPartitions: RollupPartitions
  readonly #settings: FlushSettings
  readonly #sinks: FlushSinks
  readonly #metrics: ProcessorMetrics
  readonly #retry: Retry
  readonly #encoder = new RowEncoder()
  #flushNumber = 0
  #writing: Promise<void> = Promise.resolve()
  #isWriting = false
  #client: PoolClient | undefined

  constructor (
    database: Database, rollupPartitions: RollupPartitions, settings: FlushSettings, sinks: FlushSinks,
    metrics: ProcessorMetrics, retry: Retry
  ) {
    this.#database = database
    this.#rollupPartitions = rollupPartitions
    this.#settings = settings
    this.#sinks = sinks
    this.#metrics = metrics
    this.#retry = retry
  }

  /** whether a write is still on its way: another flush would have to wait for it */
  get isWriting (): boolean { return this.#isWriting }

  /**
   * Starts a flush of all that these partitions hold. Returns when the rows are encoded and folding may go on; `written`
   * waits for the rest.
   */
  async flush (partitions: readonly Partition[], nowMs: number): Promise<void> {
    await this.#writing
    const ahead = partitions.filter(it => it.nextOffset > it.writtenOffset)
    if (ahead.length === 0) return

    await this.#retry('reading rollups back', () => this.#readBack(ahead))
    const flushNumber = ++this.#flushNumber
    const endTimer = this.#metrics.settleSeconds.startTimer()
    const settled = ahead.map(partition => ({ partition, settled: settle(partition, this.#settings, flushNumber) }))
    endTimer()
    const unnamed = unnamedSeries(settled.map(it => it.settled))
    await this.#retry('naming series', () => ensureSeries(this.#database, unnamed))
    const writes = settled.map(it => this.#encode(it.partition, it.settled, nowMs))
    this.#forgetCold(partitions, flushNumber)

    this.#isWriting = true
    this.#writing = this.#write(writes, ahead[0].topic.topicId).finally(() => { this.#isWriting = false })
    this.#writing.catch(() => {}) // whoever waits for it hears of it
  }

  /** Waits until all that was flushed is in the database. */
  async written (): Promise<void> {
    await this.#writing
  }

  async close (): Promise<void> {
    await this.#writing.catch(() => {})
    this.#client?.release(true)
    this.#client = undefined
  }

  async #readBack (partitions: readonly Partition[]): Promise<void> {
    for (const partition of partitions) {
      const unknown = openTargets(partition)
      if (unknown.minutes.length + unknown.rollups.length === 0) continue
      // windows of a series without an id: it may have one in the database all the same
      const series = new Set([...unknown.minutes, ...unknown.rollups].map(it => it.series))
      await ensureSeries(this.#database, [...series].filter(it => it.seriesId === 0))
      await readBack(this.#database, partition, unknown)
      this.#metrics.readBackWindows.inc(unknown.minutes.length + unknown.rollups.length)
    }
  }

  #encode (partition: Partition, settled: Settled, nowMs: number): PartitionWrite {
    const keptFromMs = this.#settings.keptFromMs(nowMs)
    const encoder = this.#encoder
    const sourcePartition = partition.partition
    const levelsUsed = new Set<number>()
    const use = (levelIndex: number, bucketMs: number) => {
      if (bucketMs < keptFromMs[levelIndex]) return false
      levelsUsed.add(levelIndex)
      this.#rollupPartitions.want(levelIndex, bucketMs)
      return true
    }

    for (const { window, total } of settled.minutes) {
      if (!use(0, window.bucketMs)) continue
      const key = { levelIndex: 0, seriesId: window.series.seriesId, bucketMs: window.bucketMs, sourcePartition }
      if (window.kept!.kind === 'readings') encoder.appendReadings(key, total, window.kept!.readings)
      else encoder.appendRollup(key, total)
    }
    for (const { series, level, bucketMs, rollup } of settled.rollups) {
      const levelIndex = levels.indexOf(level)
      if (!use(levelIndex, bucketMs)) continue
      encoder.appendRollup({ levelIndex, seriesId: series.seriesId, bucketMs, sourcePartition }, rollup!)
    }
    this.#metrics.duplicates.inc(settled.duplicates)
    this.#metrics.readings.inc(settled.readings)

    const rowCount = encoder.rows
    const move = {
      partition: sourcePartition,
      epoch: partition.epoch,
      fromOffset: partition.writtenOffset,
      toOffset: partition.nextOffset,
      eventTimeMaxMs: partition.eventTimeMaxMs
    }
    const deadLetters = partition.deadLetters
    partition.deadLetters = []
    partition.deadLetterBytes = 0
    partition.writtenOffset = partition.nextOffset
    return { partition, move, rows: encoder.take(), rowCount, levelsUsed, deadLetters }
  }

  /** Bounds memory: when there are too many series, those go that the last flushes did not touch. */
  #forgetCold (partitions: readonly Partition[], flushNumber: number): void {
    const count = () => partitions.reduce((sum, it) => sum + it.series.size, 0)
    if (count() > this.#settings.seriesInMemoryMax) {
      // first what is coldest: half of the way each time, until it fits
      for (let age = flushNumber - 1; age > 0 && count() > this.#settings.seriesInMemoryMax; age = Math.floor(age / 2)) {
        for (const partition of partitions) partition.series.forget(flushNumber - age)
      }
    }
    this.#metrics.seriesInMemory.set(count())
  }

  async #write (writes: PartitionWrite[], topicId: string): Promise<void> {
    const endTimer = this.#metrics.writeSeconds.startTimer()
    await this.#retry('writing dead letters', async () => {
      for (const { partition, deadLetters } of writes) {
        if (deadLetters.length > 0) await this.#sinks.sendDeadLetters(partition, deadLetters)
      }
    })
    await this.#retry('making partitions of rollups', () => this.#rollupPartitions.ensure())

    let left = writes
    let isUncertain = false // a commit was sent and not answered
    await this.#retry('writing rollups', async () => {
      if (isUncertain) left = await this.#settleUncertain(left, topicId)
      isUncertain = true
      left = await this.#transact(left, topicId)
      isUncertain = false
    })

    if (left.length > 0) {
      this.#metrics.rowsWritten.inc(left.reduce((sum, it) => sum + it.rowCount, 0))
      this.#sinks.written(new Map(left.map(it => [it.partition.partition, it.move.toOffset])))
    }
    endTimer()
  }

  /** One transaction for all partitions; those that are not ours any more are left out and it is tried again. */
  async #transact (writes: PartitionWrite[], topicId: string): Promise<PartitionWrite[]> {
    let left = writes
    while (left.length > 0) {
      const client = await this.#connected()
      try {
        await client.query('begin')
        const notMoved = new Set(await moveProgress(client, topicId, left.map(it => it.move)))
        if (notMoved.size === 0) {
          await writeRows(client, left.map(it => it.rows), new Set(left.flatMap(it => [...it.levelsUsed])))
          await client.query('commit')
          return left
        }
        await client.query('rollback')
        for (const write of left) if (notMoved.has(write.partition.partition)) this.#sinks.fenced(write.partition)
        left = left.filter(it => !notMoved.has(it.partition.partition))
      } catch (error) {
        this.#client = undefined
        client.release(true) // whatever state it is in: the next try gets a fresh one
        throw error
      }
    }
    return left
  }

  /** After a commit without an answer: the partitions whose rows are still to be written. */
  async #settleUncertain (writes: PartitionWrite[], topicId: string): Promise<PartitionWrite[]> {
    const left: PartitionWrite[] = []
    const done = new Map<number, bigint>()
    for (const write of writes) {
      const outcome = await readOutcome(this.#database, topicId, write.move)
      if (outcome === 'not-moved') left.push(write)
      else if (outcome === 'fenced') this.#sinks.fenced(write.partition)
      else done.set(write.partition.partition, write.move.toOffset)
    }
    if (done.size > 0) this.#sinks.written(done)
    return left
  }

  async #connected (): Promise<PoolClient> {
    if (this.#client) return this.#client
    const client = await this.#database.connect()
    try {
      await prepareIncoming(client)
    } catch (error) {
      client.release(true)
      throw error
    }
    return (this.#client = client)
  }
}

function unnamedSeries (settled: readonly Settled[]): Series[] {
  const unnamed = new Set<Series>()
  for (const { minutes, rollups } of settled) {
    for (const { window } of minutes) if (window.series.seriesId === 0) unnamed.add(window.series)
    for (const { series } of rollups) if (series.seriesId === 0) unnamed.add(series)
  }
  return [...unnamed]
}
