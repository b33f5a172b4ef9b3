/**
 * Reads ahead: keeps two fetches in progress per broker, each for half of its partitions, as long as the buffer has
 * room, while the owner works on earlier records.
 *
 *     start(partition, offset) ──▶ fetching ──records──▶ buffer ──take()──▶ the owner
 *              ▲                      │ └── leader moved, broker away: layout forgotten, asked for again, with backoff
 *              └────── gap ◀──────────┘ offset out of range, or another record in place of the last one that was read
 *
 * A broker that is restored from an older copy, or elected without the newest records, fills the lost offsets again. So
 * wherever the log may be another one, which is at the start and with each new connection or leader, a fetch begins
 * with the record that was read last.
 *
 * Fetches use no session (KIP-227): a request with a few dozen partitions is smaller than one batch, and no session can
 * become stale. The connections are separate from those of the membership, because a broker answers the requests of a
 * connection in order, and a heartbeat must not wait behind a fetch. Two fetches are independent, so that the broker
 * works while an answer is read.
 */
import { setTimeout as delay } from 'node:timers/promises'

import type { Logger } from 'relay-common'
import { describeError, kafkaErrors, type KafkaClient, type TopicLayout } from './client.ts'
import { PartitionCursor } from './cursor.ts'
import { fetchRaw, type FetchedPartition } from './fetch.ts'
import { PlainFetchConnection, type FetchConnection } from './fetch-connection.ts'
import { endSeenMs, FetchWait } from './fetch-wait.ts'
import { findGap } from './gap.ts'
import { KafkaRecordSet } from './records.ts'
import { SecuredFetchConnection } from './secured-fetch.ts'
import type { ConsumerNews, ReadSettings, RecordMark, Topic } from '../port.ts'
import { ReadPace } from '../read-pace.ts'
import { ReceiveBuffers, type Received } from './receive-buffers.ts'

export interface FetcherEvents {
  /** there is something to take */
  ready (): void
  failed (error: unknown): void
}

/** parallel fetches per broker; one on a secured connection, which they would share */
const LANES = 2
const PARTITION_MAX_BYTES = 1024 * 1024
/** with its header it fits a buffer of 4 MB */
const RESPONSE_MAX_BYTES = 4 * 1024 * 1024 - 64 * 1024
/** with less room than this a fetch is not worth its request */
const RESPONSE_MIN_BYTES = 64 * 1024
const RETRY_DELAY_MIN_MS = 50
const RETRY_DELAY_MAX_MS = 2_000

/** An entry of the buffer: records, or the gap after them. */
interface BufferedNews { readonly partition: number, readonly sizeBytes: number, readonly news: ConsumerNews }

export class KafkaFetcher {
  readonly #client: KafkaClient
  readonly #settings: ReadSettings
  readonly #events: FetcherEvents
  readonly #log: Logger
  /** a further start() creates another one, and fetches for the one before are dropped */
  readonly #cursors = new Map<number, PartitionCursor>()
  readonly #lanes: number
  /** lanes of brokers with a fetch in progress */
  readonly #busy = new Set<string>()
  /** number of the last fetch, by lane */
  readonly #fetchNumbers = new Map<string, number>()
  readonly #paces = new Map<string, ReadPace>()
  readonly #connections = new Map<string, FetchConnection>()
  readonly #receiveBuffers: ReceiveBuffers
  readonly #wait = new FetchWait()
  readonly #closing = new AbortController()
  #buffer: BufferedNews[] = []
  #bufferedBytes = 0
  #reservedBytes = 0
  #topic: Topic | undefined
  #layout: TopicLayout | undefined
  #started = 0
  #fetches = 0
  #isLooking = false
  #isScheduled = false
  #retryDelayMs = RETRY_DELAY_MIN_MS

  constructor (client: KafkaClient, settings: ReadSettings, log: Logger, events: FetcherEvents) {
    this.#client = client
    this.#lanes = client.isSecured ? 1 : LANES
    this.#settings = settings
    this.#receiveBuffers = new ReceiveBuffers(settings.fetchBufferMaxBytes)
    this.#log = log
    this.#events = events
  }

  /** Sets the topic of the partitions; stop the readings of another topic first. */
  setTopic (topic: TopicLayout): void {
    this.#topic = topic
    this.#layout = topic
    this.#retryDelayMs = RETRY_DELAY_MIN_MS
  }

  start (partition: number, offset: bigint, lastRecord?: RecordMark): void {
    this.stop(partition)
    this.#wait.start(performance.now())
    const lane = this.#started++ % this.#lanes
    this.#cursors.set(partition, new PartitionCursor(partition, lane, offset, lastRecord))
    this.#schedule()
  }

  /** Stops a partition, and drops its part of the buffer. */
  stop (partition: number): void {
    this.#cursors.delete(partition)
    this.#buffer = this.#buffer.filter(it => it.partition !== partition)
    this.#bufferedBytes = this.#buffer.reduce((sum, it) => sum + it.sizeBytes, 0)
  }

  /** Takes the oldest entry of the buffer. */
  take (): ConsumerNews | undefined {
    const first = this.#buffer.shift()
    if (!first) return undefined
    this.#bufferedBytes -= first.sizeBytes
    this.#schedule()
    return first.news
  }

  async close (): Promise<void> {
    this.#closing.abort()
    this.#cursors.clear()
    for (const connection of this.#connections.values()) connection.close()
    await this.#client.close()
  }

  /** After the caller is done: partitions are started one by one, but share a request. */
  #schedule (): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    queueMicrotask(() => {
      this.#isScheduled = false
      this.#pump()
    })
  }

  #pump (): void {
    if (this.#closing.signal.aborted || this.#cursors.size === 0 || !this.#topic) return
    const layout = this.#layout
    if (!layout) {
      this.#look()
      return
    }
    const cursors = [...this.#cursors.values()].filter(it => !it.isPaused)
    const laneOf = ({ partition, lane }: PartitionCursor) => `${layout.leaders[partition] ?? -1}/${lane}`
    const lanes = [...Map.groupBy(cursors, laneOf)]
    // no lane may take all the room, or more before others had any: a lane without records asks again at once
    const shareBytes = Math.min(RESPONSE_MAX_BYTES, Math.floor(this.#settings.fetchBufferMaxBytes / lanes.length))
    lanes.sort(([a], [b]) => (this.#fetchNumbers.get(a) ?? 0) - (this.#fetchNumbers.get(b) ?? 0))
    for (const [lane, ofLane] of lanes) {
      const address = layout.brokers.get(Number.parseInt(lane))
      if (!address) {
        this.#layout = undefined // no leader at the moment, or a new partition
        this.#look()
      } else if (!this.#busy.has(lane)) {
        const room = this.#settings.fetchBufferMaxBytes - this.#bufferedBytes - this.#reservedBytes
        if (room < RESPONSE_MIN_BYTES && this.#bufferedBytes + this.#reservedBytes > 0) return
        const bytes = Math.max(RESPONSE_MIN_BYTES, Math.min(room, shareBytes))
        this.#reservedBytes += bytes
        this.#busy.add(lane)
        this.#fetchNumbers.set(lane, ++this.#fetches)
        this.#fetch(lane, address, ofLane, bytes).catch(async error => {
          if (this.#closing.signal.aborted) return
          const broker = `${address.host}:${address.port}`
          this.#log.warn({ broker, reason: describeError(error) }, 'fetch failed; retrying')
          this.#layout = undefined
          await this.#backOff()
        }).finally(() => {
          this.#reservedBytes -= bytes
          this.#busy.delete(lane)
          this.#schedule()
        }).catch(error => this.#events.failed(error))
      }
    }
  }

  async #fetch (
    lane: string, address: { host: string, port: number }, cursors: PartitionCursor[], maxBytes: number
  ): Promise<void> {
    const askedMs = Date.now()
    const connection = this.#connectionTo(lane, address, cursors)
    const asked = new Map(cursors.map(cursor => {
      const { partition, offset, isInDoubt } = cursor
      const checked = isInDoubt ? cursor.lastRecord : undefined
      cursor.isInDoubt = checked !== undefined
      return [partition, { partition, cursor, checked, offset: checked?.offset ?? offset }]
    }))
    const startedMs = performance.now()
    const waitMaxMs = this.#wait.maxMs(startedMs)
    const { partitions, received } = await fetchRaw(connection, {
      topicId: this.#topic!.topicId,
      partitions: [...asked.values()],
      waitMaxMs,
      maxBytes,
      partitionMaxBytes: PARTITION_MAX_BYTES
    })
    const isEmpty = partitions.every(it => it.errorCode === kafkaErrors.NONE && !it.batches?.length)
    const seenMs = endSeenMs(askedMs, performance.now() - startedMs, waitMaxMs, isEmpty)

    let isLayoutWrong = false
    let bytes = 0
    let hasAll = true
    for (const answer of partitions) {
      const { cursor, offset, checked } = asked.get(answer.partition)!
      if (this.#cursors.get(answer.partition) !== cursor) continue // stopped, or started elsewhere, meanwhile
      switch (answer.errorCode) {
        case kafkaErrors.NONE:
          if (checked) {
            this.#compare(cursor, checked, answer)
            break
          }
          bytes += this.#keep(cursor, offset, answer, received)
          hasAll &&= cursor.offset >= answer.lastStableOffset
          cursor.end = { offset: answer.highWatermark, atMs: seenMs }
          break
        case kafkaErrors.OFFSET_OUT_OF_RANGE:
          this.#explain(cursor, false)
          break
        case kafkaErrors.TOPIC_AUTHORIZATION_FAILED:
          this.#events.failed(this.#client.unreachable(new Error(`not authorized to read ${this.#topic!.name}`)))
          return
        default: // the leader moved, or the topic was deleted: the layout will show
          isLayoutWrong = true
      }
    }
    received.release()
    if (isLayoutWrong) {
      this.#layout = undefined
      await this.#backOff()
    } else {
      this.#retryDelayMs = RETRY_DELAY_MIN_MS
    }
    if (this.#buffer.length > 0) this.#events.ready()
    const pace = this.#paces.get(lane) ?? new ReadPace(this.#settings)
    this.#paces.set(lane, pace)
    const delayMs = Math.min(pace.delayMs(startedMs, bytes, hasAll), waitMaxMs)
    if (delayMs > 0) await delay(delayMs, undefined, { signal: this.#closing.signal }).catch(() => {})
  }

  #connectionTo (
    lane: string, { host, port }: { host: string, port: number }, cursors: readonly PartitionCursor[]
  ): FetchConnection {
    const key = `${lane} ${host}:${port}`
    let connection = this.#connections.get(key)
    if (!connection || connection.isClosed) {
      connection = this.#client.isSecured
        ? new SecuredFetchConnection(this.#client, { host, port }, this.#receiveBuffers)
        : new PlainFetchConnection({ host, port }, this.#client.clientId!, this.#receiveBuffers)
      this.#connections.set(key, connection)
      for (const cursor of cursors) cursor.isInDoubt = true // its broker may have been away
    }
    return connection
  }

  /** The answer is not kept: the next one starts after the record. */
  #compare (cursor: PartitionCursor, lastRecord: RecordMark, answer: FetchedPartition): void {
    const found = cursor.compare(lastRecord, answer)
    if (found === 'same') cursor.isInDoubt = false
    else if (found !== 'unknown') this.#explain(cursor, found === 'replaced')
  }

  /** @returns the bytes of the records */
  #keep (
    cursor: PartitionCursor, offset: bigint, { partition, highWatermark, aborted, batches }: FetchedPartition,
    received: Received
  ): number {
    if (!batches || batches.length === 0) return 0
    received.share()
    const { end } = cursor
    const notBeforeMs = end !== undefined && end.offset <= offset ? end.atMs : undefined
    const set = new KafkaRecordSet(
      partition, offset, highWatermark, batches, aborted, () => received.release(), notBeforeMs
    )
    cursor.moveAfter(set)
    this.#buffer.push({ partition, sizeBytes: set.sizeBytes, news: { kind: 'records', records: set } })
    this.#bufferedBytes += set.sizeBytes
    // the broker fills its answer in the order of the request, so partitions that got records move to the end
    this.#cursors.delete(partition)
    this.#cursors.set(partition, cursor)
    return set.sizeBytes
  }

  /** Pauses a partition until it is known whether it has a gap. */
  #explain (cursor: PartitionCursor, isReplaced: boolean): void {
    cursor.isPaused = true
    this.#findGap(cursor, isReplaced).catch(error => this.#events.failed(error))
  }

  async #findGap (cursor: PartitionCursor, isReplaced: boolean): Promise<void> {
    const isStill = () => this.#cursors.get(cursor.partition) === cursor && !this.#closing.signal.aborted
    const { partition } = cursor
    while (isStill()) {
      try {
        const found = await findGap(this.#client, this.#topic!.name, cursor, isReplaced)
        if (!isStill()) return
        if (found === 'none' || found === 'uncomparable') {
          if (found === 'uncomparable') cursor.isInDoubt = false
          cursor.isPaused = false
          this.#schedule()
          return
        }
        this.#cursors.delete(partition)
        // after the records that were fetched before it
        this.#buffer.push({ partition, sizeBytes: 0, news: found })
        this.#events.ready()
        return
      } catch (error) {
        this.#log.warn({ partition, reason: describeError(error) }, 'could not read offsets; retrying')
        await this.#backOff()
      }
    }
  }

  /** Looks up the leaders. */
  #look (): void {
    if (this.#isLooking) return
    this.#isLooking = true
    this.#lookOnce().catch(async error => {
      if (this.#closing.signal.aborted) return
      this.#log.warn({ reason: describeError(error) }, 'could not read the metadata of the topic; retrying')
      await this.#backOff()
    }).finally(() => {
      this.#isLooking = false
      this.#schedule()
    }).catch(error => this.#events.failed(error))
  }

  async #lookOnce (): Promise<void> {
    const layout = await this.#client.describe(this.#topic!.name)
    // the membership reports a deleted or recreated topic, and revokes these readings
    const isOurs = layout?.topicId === this.#topic!.topicId
    if (!isOurs || layout.leaders.includes(-1)) await this.#backOff()
    if (!isOurs || layout.topicId !== this.#topic!.topicId) return
    this.#layout = layout
    for (const cursor of this.#cursors.values()) cursor.isInDoubt = true // its leader may be another one
  }

  async #backOff (): Promise<void> {
    const ms = this.#retryDelayMs
    this.#retryDelayMs = Math.min(2 * ms, RETRY_DELAY_MAX_MS)
    await delay(ms, undefined, { signal: this.#closing.signal }).catch(() => {})
  }
}
