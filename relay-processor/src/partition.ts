import type { RecordMark, Topic } from 'relay-event-log'
import { levels, MINUTE_MS } from 'relay-rollups'

import type { Appended } from './appended.ts'
import { Arrivals } from './arrivals.ts'
import { DeadLetters } from './dead-letters.ts'
import { Journal, NO_JOURNAL } from './journal.ts'
import { Misplaced } from './misplaced.ts'
import type { Homes } from './home.ts'
import { SeriesTable } from './series-table.ts'
import type { Claim } from './store.ts'
import { TracedRecords } from './traced-records.ts'

/**
 * Everything that the processor holds of a source partition that it owns. Dropped completely when the partition is
 * lost.
 */
export interface Partition {
  readonly topic: Topic
  readonly partition: number
  /** epoch of our claim: writes with an older one are refused */
  readonly epoch: bigint
  /** history of the database in which this claim, and ids of series and misplaced readings, are valid */
  readonly historyId: string
  readonly series: SeriesTable
  /** offset after the last folded record */
  nextOffset: bigint
  /** the last record before `nextOffset` that could be read, as far as known */
  lastRecord: RecordMark | undefined
  /** offset that the database will have after the newest write */
  writtenOffset: bigint
  /** offset that the database has confirmed */
  storedOffset: bigint
  /** last known end of the partition's log */
  endOffset: bigint
  /** since when the log has records that the database does not, without progress; undefined: none */
  behindSinceMs: number | undefined
  /** newest folded event time, in ms; -Infinity: none */
  eventTimeMaxMs: number
  /** its value when the last flush was settled, which the database has or will have after the current write */
  settledTimeMaxMs: number
  /** readings since the last settling */
  readonly arrivals: Arrivals
  /** their number */
  readonly arrivedReadings: number
  /** when they were appended, if known, without those that arrived in other partitions */
  appended: Appended[]
  /** its journal */
  readonly journal: Journal
  /** homes of devices */
  readonly homes: Homes
  /** readings that arrived here since the last flush and count elsewhere */
  readonly misplaced: Misplaced
  /** rows of misplaced readings that reached their home here and are among the arrivals */
  taken: bigint[]
  /** those, and the ones being written to the database */
  readonly returning: Set<bigint>
  /** by series and minute of readings that reached their home: see `lateBeforeMs` */
  readonly returnedSettledMs: Map<number, number>
  /** invalid records since the last flush */
  readonly deadLetters: DeadLetters
  /** traced records since the last flush */
  traced: TracedRecords
}

/** The state of a newly claimed partition. */
export function createPartition (
  topic: Topic, partition: number, claim: Claim, journal = NO_JOURNAL, steadyMs = 0
): Partition {
  const arrivals = new Arrivals()
  return {
    topic,
    partition,
    epoch: claim.epoch,
    historyId: claim.historyId,
    series: new SeriesTable(partition, claim.homes, claim.eventTimeMaxMs),
    nextOffset: claim.nextOffset,
    lastRecord: claim.lastRecord,
    writtenOffset: claim.nextOffset,
    storedOffset: claim.nextOffset,
    endOffset: claim.nextOffset,
    behindSinceMs: undefined,
    eventTimeMaxMs: claim.eventTimeMaxMs,
    settledTimeMaxMs: claim.eventTimeMaxMs,
    arrivals,
    get arrivedReadings () { return arrivals.length },
    appended: [],
    journal: new Journal(partition, claim.journal, journal, steadyMs),
    homes: claim.homes,
    misplaced: new Misplaced(),
    taken: [],
    returning: new Set(),
    returnedSettledMs: new Map(),
    deadLetters: new DeadLetters(),
    traced: new TracedRecords()
  }
}

/** Whether a flush has anything to write. */
export function isAhead ({ nextOffset, writtenOffset, taken }: Partition): boolean {
  return nextOffset > writtenOffset || taken.length > 0
}

/** Number of unread records in the log, as far as known. */
export function lagOf ({ endOffset, nextOffset }: Pick<Partition, 'endOffset' | 'nextOffset'>): number {
  return Number(endOffset - nextOffset)
}

/** Number of records in the log that are not in the database, including those in memory, as far as known. */
export function unstoredOf (
  { endOffset, nextOffset, storedOffset }: Pick<Partition, 'endOffset' | 'nextOffset' | 'storedOffset'>
): number {
  return Number((endOffset > nextOffset ? endOffset : nextOffset) - storedOffset)
}

/** Updates the known offsets of log and database, and `behindSinceMs`. */
export function noteOffsets (
  partition: Partition, offsets: { readonly endOffset?: bigint, readonly storedOffset?: bigint }, steadyMs: number
): void {
  const { endOffset, storedOffset } = offsets
  if (endOffset !== undefined && endOffset > partition.endOffset) partition.endOffset = endOffset
  if (storedOffset !== undefined) {
    partition.storedOffset = storedOffset
    partition.behindSinceMs = undefined
  }
  partition.behindSinceMs = unstoredOf(partition) > 0 ? partition.behindSinceMs ?? steadyMs : undefined
}

/** Estimated number of device rows of the arrivals, if they arrived in the order of time. */
export function expectedRows ({ arrivals, series, eventTimeMaxMs }: Partition): number {
  const { length, timesMs } = arrivals
  if (length === 0) return 0
  const minutes = 1 + (eventTimeMaxMs - timesMs[0]) / MINUTE_MS
  return Math.min(length, series.size * minutes) + Math.min(length, series.size) * (levels.length - 1)
}
