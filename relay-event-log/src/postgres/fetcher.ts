/**
 * Reads ahead: one statement at a time for all partitions with unread records and room in the buffer, while the owner
 * works on earlier records.
 *
 *     start(partition, offset) ──▶ reading ──records──▶ buffer ──take()──▶ the owner
 *              ▲                      │ └── connection lost: again, with backoff
 *              └────── gap ◀──────────┘ the offset is before the start of the log or after its end
 *
 * The statement runs on a connection of the pool, not on the one that listens: heartbeats must not wait behind a long
 * answer, and a COPY swallows notifications.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { addAbortSignal } from 'node:stream'

import { to as copyTo } from 'pg-copy-streams'

import { type Database, type Logger, Wakeup } from 'relay-common'
import type { ConsumerNews, ReadSettings, Topic } from '../port.ts'
import { ReadPace } from '../read-pace.ts'
import { describeError, isPassing } from './connection.ts'
import { decodeFetched, PostgresRecordSet, type FetchedPartition, type StoredBatch } from './records.ts'

export interface FetcherEvents {
  /** there is something to take */
  ready (): void
  failed (error: unknown): void
}

/** appends are announced; this covers a missed notification */
const POLL_INTERVAL_MS = 2_000
const PARTITION_MAX_BYTES = 1024 * 1024
/** about a batch: a partition with less room waits for its turn */
const PARTITION_MIN_BYTES = 128 * 1024
/** batches that the log lists, but that can't be found for this time, are deleted */
const GONE_AFTER_MS = 1_000
/** longest wait for an answer: a disconnected server sends nothing at all */
const ANSWER_TIMEOUT_MS = 30_000
const RETRY_DELAY_MIN_MS = 50
const RETRY_DELAY_MAX_MS = 2_000

/** A partition that is being read. A further start() creates another one, and fetches for this one are dropped. */
interface PartitionCursor {
  readonly partition: number
  offset: bigint
  /** segment of `offset`, or one before it */
  segment: number
  isPaused: boolean
  /** since when the batch of `offset` can't be found */
  missingSinceMs: number | undefined
}

/** An entry of the buffer: records, or the gap after them. */
interface BufferedNews { readonly partition: number, readonly sizeBytes: number, readonly news: ConsumerNews }

export class PostgresFetcher {
  readonly #database: Database
  readonly #bufferMaxBytes: number
  readonly #pace: ReadPace
  readonly #events: FetcherEvents
  readonly #log: Logger
  /** the one that has waited longest is first */
  readonly #cursors = new Map<number, PartitionCursor>()
  readonly #wakeup = new Wakeup()
  /** ends the delay between two reads */
  readonly #started = new Wakeup()
  readonly #closing = new AbortController()
  readonly #done: Promise<void>
  #buffer: BufferedNews[] = []
  #bufferedBytes = 0
  /** some partitions must wait until records are taken */
  #needsRoom = false
  #topic: Topic | undefined

  constructor (database: Database, settings: ReadSettings, log: Logger, events: FetcherEvents) {
    this.#database = database
    this.#bufferMaxBytes = settings.fetchBufferMaxBytes
    this.#pace = new ReadPace(settings)
    this.#log = log
    this.#events = events
    this.#done = this.#run()
  }

  /** Sets the topic of the partitions; stop the readings of another topic first. */
  setTopic (topic: Topic): void {
    this.#topic = topic
  }

  start (partition: number, offset: bigint): void {
    this.stop(partition)
    this.#cursors.set(partition, { partition, offset, segment: 0, isPaused: false, missingSinceMs: undefined })
    this.#started.wake()
    this.#wakeup.wake()
  }

  /** Stops a partition, and drops its part of the buffer. */
  stop (partition: number): void {
    this.#cursors.delete(partition)
    this.#buffer = this.#buffer.filter(it => it.partition !== partition)
    this.#bufferedBytes = this.#buffer.reduce((sum, it) => sum + it.sizeBytes, 0)
    this.#wakeup.wake()
  }

  take (): ConsumerNews | undefined {
    const fetched = this.#buffer.shift()
    if (!fetched) return undefined
    this.#bufferedBytes -= fetched.sizeBytes
    if (this.#needsRoom) this.#wakeup.wake()
    return fetched.news
  }

  /** Signals that there may be more to read. */
  wake (): void {
    this.#wakeup.wake()
  }

  async close (): Promise<void> {
    this.#closing.abort()
    await this.#done
  }

  async #run (): Promise<void> {
    const { signal } = this.#closing
    let retryDelayMs = RETRY_DELAY_MIN_MS
    while (!signal.aborted) {
      try {
        const cursors = this.#choose()
        const startedMs = performance.now()
        const { bytes, isMore } = await this.#read(cursors)
        retryDelayMs = RETRY_DELAY_MIN_MS
        const delayMs = this.#pace.delayMs(startedMs, bytes, !isMore)
        if (isMore) continue
        if (delayMs > 0) await this.#started.wait(delayMs, signal) // each append is announced, and may be small
        await this.#wakeup.wait(POLL_INTERVAL_MS, signal)
      } catch (error) {
        if (signal.aborted) return
        if (!isPassing(error)) return this.#events.failed(error)
        this.#log.warn({ reason: describeError(error) }, 'could not read the event log; retrying')
        await delay(retryDelayMs, undefined, { signal }).catch(() => {})
        retryDelayMs = Math.min(2 * retryDelayMs, RETRY_DELAY_MAX_MS)
      }
    }
  }

  /** As many partitions as there is room for, in turn. */
  #choose (): PartitionCursor[] {
    const roomBytes = this.#bufferMaxBytes - this.#bufferedBytes
    if (!this.#topic) return []
    const count = roomBytes <= 0 ? 0 : Math.max(1, Math.floor(roomBytes / PARTITION_MIN_BYTES))
    const cursors = [...this.#cursors.values()].filter(it => !it.isPaused)
    const chosen = cursors.slice(0, count)
    this.#needsRoom = chosen.length < cursors.length
    for (const cursor of chosen) {
      this.#cursors.delete(cursor.partition)
      this.#cursors.set(cursor.partition, cursor)
    }
    return chosen
  }

  /** Fetches once into the buffer. @returns the bytes of new records, and whether the log may have more */
  async #read (cursors: readonly PartitionCursor[]): Promise<{ readonly bytes: number, readonly isMore: boolean }> {
    if (cursors.length === 0) return { bytes: 0, isMore: false }
    const roomBytes = this.#bufferMaxBytes - this.#bufferedBytes
    const bytesMax = Math.min(PARTITION_MAX_BYTES, Math.max(1, Math.floor(roomBytes / cursors.length)))
    const bytes = await this.#fetch(this.#topic!.topicId, cursors, bytesMax)
    const fetched = new Map(decodeFetched(bytes).map(it => [it.partition, it]))
    let isMore = false
    const before = this.#bufferedBytes
    for (const cursor of cursors) {
      const answer = fetched.get(cursor.partition)
      // no answer: the topic is deleted, and the membership reports it
      if (!answer || this.#cursors.get(cursor.partition) !== cursor) continue
      const hasProgressed = this.#takeAnswer(cursor, answer, bytes)
      isMore ||= hasProgressed && (this.#needsRoom || cursor.offset < answer.endOffset)
    }
    if (this.#buffer.length > 0) this.#events.ready()
    return { bytes: this.#bufferedBytes - before, isMore }
  }

  async #fetch (topicId: string, cursors: readonly PartitionCursor[], bytesMax: number): Promise<Buffer> {
    const list = (numbers: (number | bigint)[]) => `'{${numbers.join()}}'`
    const client = await this.#database.connect()
    let failure: Error | undefined
    try {
      const stream = client.query(copyTo(`copy (select * from read_event_log_with_headers('${topicId}',
        ${list(cursors.map(it => it.partition))}, ${list(cursors.map(it => it.segment))},
        ${list(cursors.map(it => it.offset))}, ${bytesMax})) to stdout (format binary)`))
      const chunks: Buffer[] = []
      const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)])
      for await (const chunk of addAbortSignal(signal, stream)) chunks.push(chunk)
      return Buffer.concat(chunks)
    } catch (error) {
      failure = error as Error
      throw error
    } finally {
      client.release(failure)
    }
  }

  /** Handles the answer for a partition. Returns whether it has progressed. */
  #takeAnswer (cursor: PartitionCursor, answer: FetchedPartition, bytes: Buffer): boolean {
    const { partition, offset } = cursor
    const { startOffset, endOffset } = answer
    if (offset < startOffset || offset > endOffset) return this.#pause(cursor, startOffset, endOffset)
    if (offset === endOffset) return false

    const batches = consecutive(answer.batches, offset)
    if (batches.length === 0) {
      // a segment was opened or dropped during the read, and the next answer is whole; otherwise somebody deleted rows
      const isNew = cursor.missingSinceMs === undefined
      cursor.missingSinceMs ??= performance.now()
      if (performance.now() - cursor.missingSinceMs < GONE_AFTER_MS) return isNew
      return this.#pause(cursor, answer.batches[0]?.firstOffset ?? endOffset, endOffset)
    }
    cursor.missingSinceMs = undefined
    const records = new PostgresRecordSet(bytes, answer, batches, offset)
    cursor.offset = records.nextOffset
    cursor.segment = batches.at(-1)!.segment
    this.#put({ partition, sizeBytes: records.sizeBytes, news: { kind: 'records', records } })
    return true
  }

  #pause (cursor: PartitionCursor, startOffset: bigint, endOffset: bigint): boolean {
    const { partition, offset: expectedOffset } = cursor
    cursor.isPaused = true
    this.#put({
      partition,
      sizeBytes: 0,
      news: { kind: 'gap', gap: 'offset-out-of-range', partition, expectedOffset, startOffset, endOffset }
    })
    return false
  }

  #put (fetched: BufferedNews): void {
    this.#buffer.push(fetched)
    this.#bufferedBytes += fetched.sizeBytes
  }
}

/** Consecutive batches without a gap, from the one that holds `offset`. */
function consecutive (batches: readonly StoredBatch[], offset: bigint): StoredBatch[] {
  let next = offset
  const found: StoredBatch[] = []
  for (const batch of batches) {
    if (batch.firstOffset > next) break
    found.push(batch)
    next = batch.lastOffset + 1n
  }
  return found
}
