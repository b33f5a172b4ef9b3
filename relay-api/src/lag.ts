/**
 * Lag of the rollups behind the event log, as seen by the API: also if no processor runs.
 *
 *     ends of the log ──minus progress──▶ records that were not read
 *                     └──the first of them──▶ its age, seconds
 *
 * If the log or the database is unreachable, there are no values; other alerts cover that.
 */
import { Gauge, within, type Database, type Logger, type Registry } from 'relay-common'
import { readNextOffsets } from 'relay-rollups'

import type { KnownEnds, EventLogEnds } from './log-ends.ts'

/** A scrape does not wait longer for them. */
const WAIT_MAX_MS = 2_000

export interface Unread {
  readonly partition: number
  /** next offset */
  readonly offset: bigint
  readonly endOffset: bigint
}

/** By partition, records of the log that are not in the rollups. An unread partition starts at its beginning. */
export function unreadOf ({ offsets }: Pick<KnownEnds, 'offsets'>, nextOffsets: ReadonlyMap<number, bigint>): Unread[] {
  return offsets.map(({ partition, startOffset, endOffset }) => {
    const next = nextOffsets.get(partition) ?? startOffset
    const offset = next > startOffset ? next : startOffset // deleted records can't be read any more
    return { partition, offset: offset < endOffset ? offset : endOffset, endOffset }
  })
}

/** End of a partition at a time: records after it were appended later. */
interface SeenEnd { readonly endOffset: bigint, readonly atMs: number }

/** Ends kept per partition: some hours without progress, with one per scrape. */
const ENDS_MAX = 1_024

/**
 * Derives append times of records from observed ends of partitions, because times of records may be event times: Kafka
 * lets producers choose.
 */
export class SeenEnds {
  /** by partition; ends and times ascend */
  readonly #ends = new Map<number, SeenEnd[]>()
  readonly #endsMax: number

  /** @param endsMax ends kept per partition */
  constructor (endsMax = ENDS_MAX) {
    this.#endsMax = endsMax
  }

  /** @param atMs not before an earlier one of the same partition */
  note (partition: number, endOffset: bigint, atMs: number): void {
    const ends = this.#ends.get(partition) ?? []
    // this one bounds more records, and later: an end moves back if a leader lost records
    while (ends.length > 0 && ends.at(-1)!.endOffset >= endOffset) ends.pop()
    ends.push({ endOffset, atMs })
    // fewer times are still times before which a record was not there
    this.#ends.set(partition, ends.length > this.#endsMax ? ends.filter((_, n) => n % 2 === 0) : ends)
  }

  /**
   * The latest known time at which a record was not there yet; -Infinity: unknown.
   * @param offset not before an earlier one of the same partition
   */
  notBeforeMs (partition: number, offset: bigint): number {
    const ends = this.#ends.get(partition) ?? []
    const behind = ends.findIndex(it => it.endOffset > offset)
    const last = (behind === -1 ? ends.length : behind) - 1
    if (last > 0) ends.splice(0, last)
    return last === -1 ? -Infinity : ends[0].atMs
  }
}

/** What is unread of a partition, and since when. */
export interface PartitionLag extends Unread {
  /** when the oldest unread record was appended, ms since the epoch; undefined: there is none, or it is not known */
  readonly appendedMs: number | undefined
}

export interface Lag {
  /**
   * Of all partitions. Whoever asks meanwhile gets the same answer.
   * @returns undefined: the log is away, or this API knows none
   * @throws DOMException TimeoutError, or what the database threw
   */
  read (): Promise<readonly PartitionLag[] | undefined>
}

/** How long ago the oldest unread record was appended, s; 0: there is none. */
export function lagSeconds ({ appendedMs }: PartitionLag, nowMs: number): number {
  return appendedMs === undefined ? 0 : Math.max(0, nowMs - appendedMs) / 1000
}

export function openLag (ends: EventLogEnds, database: Database): Lag {
  /** when the oldest unread record of a partition was appended: it stays the oldest until it is read */
  let known = new Map<number, { readonly offset: bigint, readonly appendedMs: number }>()
  let seen = new SeenEnds()
  let seenTopicId = ''

  const appendedMs = async ({ partition, offset, endOffset }: Unread) => {
    const before = known.get(partition)
    if (before?.offset === offset) return before.appendedMs
    const timeMs = await ends.appendedMs(partition, offset, endOffset)
    return timeMs === undefined ? undefined : Math.max(timeMs, seen.notBeforeMs(partition, offset))
  }
  const read = async (): Promise<PartitionLag[] | undefined> => {
    const ofLog = await ends.read()
    if (!ofLog) return undefined
    if (ofLog.topicId !== seenTopicId) seen = new SeenEnds()
    seenTopicId = ofLog.topicId
    for (const { partition, endOffset } of ofLog.offsets) seen.note(partition, endOffset, ofLog.atMs)
    const unread = unreadOf(ofLog, await readNextOffsets(database, ofLog.topicId))
    const partitions = await Promise.all(unread.map(async it =>
      ({ ...it, appendedMs: it.offset < it.endOffset ? await appendedMs(it) : undefined })))
    known = new Map(partitions.flatMap(({ partition, offset, appendedMs }) =>
      appendedMs === undefined ? [] : [[partition, { offset, appendedMs }]]))
    return partitions
  }
  let reading: ReturnType<typeof read> | undefined
  return {
    async read () {
      reading ??= read().finally(() => { reading = undefined })
      return await within(WAIT_MAX_MS, reading)
    }
  }
}

/** Adds the gauges `relay_api_lag_records` and `relay_api_lag_seconds`. */
export function measureLag (lag: Lag, metrics: Registry, log: Logger): void {
  const records = new Gauge({
    name: 'relay_api_lag_records',
    help: 'Records in the event log that are not in the rollups yet; reported even if no processor runs',
    labelNames: ['partition'],
    registers: [metrics],
    collect: () => refreshTogether()
  })
  const seconds = new Gauge({
    name: 'relay_api_lag_seconds',
    help: 'Time since the oldest record that is not in the rollups yet was appended; 0: no such record',
    labelNames: ['partition'],
    registers: [metrics],
    collect: () => refreshTogether()
  })
  /** for both gauges, which are read together */
  let refreshing: Promise<void> | undefined
  const refreshTogether = () => (refreshing ??= refresh().finally(() => { refreshing = undefined }))
  const refresh = async () => {
    records.reset()
    seconds.reset()
    try {
      const partitions = await lag.read() ?? []
      const nowMs = Date.now()
      for (const it of partitions) {
        records.set({ partition: it.partition }, Number(it.endOffset - it.offset))
        seconds.set({ partition: it.partition }, lagSeconds(it, nowMs))
      }
    } catch (error) {
      log.debug({ err: error }, 'could not measure how far the rollups are behind the log')
    }
  }
}
