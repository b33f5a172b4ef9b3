/**
 * The event log, and its ends, for comparison with progress. Ends are read at most once per second with a short limit;
 * an unreachable log is skipped for a while.
 */
import { setTimeout as delay } from 'node:timers/promises'

import { RelayError, type Database, type Logger } from 'relay-common'
import { openEventLog, type EventLog, type PartitionOffsets } from 'relay-event-log'

import type { ApiConfig } from './config.ts'

/** The ends of all partitions, not older than a time. */
export interface KnownEnds {
  readonly atMs: number
  readonly topicId: string
  readonly offsets: readonly PartitionOffsets[]
}

/** When they were read, by a clock that is never set. */
interface HeldEnds extends KnownEnds {
  readonly readAtMs: number
}

export interface EventLogEnds {
  /** The log itself. @throws RelayError RELAY_EVENT_LOG_UNREACHABLE */
  open (): Promise<EventLog>
  /** @returns undefined: this API has no log, or it is unreachable */
  read (): Promise<KnownEnds | undefined>
  /**
   * When the first record at or after an offset was appended, ms since the epoch.
   * @param endOffset of the partition
   * @returns undefined: none, or the log is unreachable
   */
  appendedMs (partition: number, offset: bigint, endOffset: bigint): Promise<number | undefined>
  close (): Promise<void>
}

/** Older ends are read again. */
const ENDS_KEPT_MS = 1_000
/** An answer does not wait longer for the log. */
const WAIT_MAX_MS = 1_000
/** How long an unreachable log is skipped. */
const AWAY_MS = 5_000

export function openLogEnds (config: ApiConfig, database: Database, log: Logger): EventLogEnds {
  let opening: Promise<EventLog> | undefined
  let ends: HeldEnds | undefined
  let asking: Promise<void> | undefined
  let awayUntilMs = -Infinity
  const closing = new AbortController()

  const open = () => (opening ??= openEventLog(config, database, log).catch(error => {
    opening = undefined
    awayUntilMs = performance.now() + AWAY_MS
    throw error
  }))
  const ask = async () => {
    try {
      const eventLog = await open()
      const [atMs, readAtMs] = [Date.now(), performance.now()]
      const topic = await eventLog.describeTopic(config.EVENTS_TOPIC)
      ends = topic &&
        { atMs, readAtMs, topicId: topic.topicId, offsets: await eventLog.readOffsets(config.EVENTS_TOPIC) }
      if (ends === undefined) awayUntilMs = readAtMs + AWAY_MS
    } catch (error) {
      ends = undefined
      awayUntilMs = performance.now() + AWAY_MS
      log.debug({ err: error }, 'could not read the end offsets of the event log')
    }
  }
  const first = async (partition: number, fromOffset: bigint, toOffset: bigint) => {
    const records =
      (await open()).readRecords(config.EVENTS_TOPIC, partition, fromOffset, toOffset)[Symbol.asyncIterator]()
    const { value, done } = await records.next()
    await records.return?.()
    return done ? undefined : value.appendedMs
  }

  return {
    async open () {
      const isLeftAlone = closing.signal.aborted || (!opening && performance.now() < awayUntilMs)
      if (isLeftAlone) throw new RelayError('RELAY_EVENT_LOG_UNREACHABLE', 'the event log did not answer a moment ago')
      return await open()
    },
    async read () {
      const nowMs = performance.now()
      if (ends !== undefined && nowMs - ends.readAtMs < ENDS_KEPT_MS) return ends
      if (nowMs < awayUntilMs) return undefined
      asking ??= ask().finally(() => { asking = undefined })
      const waiting = AbortSignal.any([closing.signal, AbortSignal.timeout(WAIT_MAX_MS)])
      await Promise.race([asking, delay(WAIT_MAX_MS, undefined, { signal: waiting, ref: false }).catch(() => {})])
      return ends !== undefined && nowMs - ends.readAtMs < ENDS_KEPT_MS ? ends : undefined
    },
    async appendedMs (partition, offset, endOffset) {
      if (!opening || closing.signal.aborted) return undefined
      // one record is a small read; if there is none (the end of a transaction), all later ones are searched
      return await first(partition, offset, offset + 1n) ?? await first(partition, offset + 1n, endOffset)
    },
    async close () {
      closing.abort()
      await asking
      await (await opening?.catch(() => undefined))?.close()
    }
  }
}
