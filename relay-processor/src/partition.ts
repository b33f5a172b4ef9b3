import { levels, MINUTE_MS, type Topic } from 'relay-common'

import type { Appended } from './appended.ts'
import { Arrivals } from './arrivals.ts'
import type { DeadLetter } from './dead-letters.ts'
import { Journal, NO_JOURNAL } from './journal.ts'
import { Misplaced } from './misplaced.ts'
import type { Homes } from './home.ts'
import { SeriesTable } from './series-table.ts'
import type { Claim } from './store.ts'

/** All that the processor holds of one source partition that it owns. Dropped whole when the partition is lost. */
export interface Partition {
  readonly topic: Topic
  readonly partition: number
  /** our turn at this partition: writes under an older one are refused */
  readonly epoch: bigint
  /** of the database: that is where this claim holds, and ids of series and of misplaced readings do */
  readonly historyId: string
  readonly series: SeriesTable
  /** offset behind the last record that was folded */
  nextOffset: bigint
  /** offset that the newest finished or running write brings the database to */
  writtenOffset: bigint
  /** offset that the database has come to, as far as its answers say */
  storedOffset: bigint
  /** end of the partition's log when it was last heard of */
  endOffset: bigint
  /** since when the log has had records that the database has not, and nothing was stored; undefined: it has all */
  behindSinceMs: number | undefined
  /** newest event time that was folded, in ms; -Infinity: none */
  eventTimeMaxMs: number
  /** what it was when the last flush was settled: so far the database is, or will be with the write on its way */
  settledTimeMaxMs: number
  /** readings since the last settling */
  readonly arrivals: Arrivals
  /** how many of them there are */
  readonly arrivedReadings: number
  /** when they were appended to the log, as far as it says so; those that came by other partitions are not among them */
  appended: Appended[]
  /** what of it is in the journal */
  readonly journal: Journal
  /** where devices are at home */
  readonly homes: Homes
  /** readings that have come by here since the last flush, and count elsewhere */
  readonly misplaced: Misplaced
  /** rows of misplaced readings that have come home here, and are among the arrivals */
  taken: bigint[]
  /** those, and the ones that are on their way to the database */
  readonly returning: Set<bigint>
  /** by series and minute of readings that have come home: see `lateBeforeMs` */
  readonly returnedSettledMs: Map<number, number>
  /** records that could not be taken since the last flush */
  deadLetters: DeadLetter[]
  deadLetterBytes: number
}

/** The state of a partition that was just claimed. */
export function createPartition (
  topic: Topic, partition: number, claim: Claim, journal = NO_JOURNAL, nowMs = 0
): Partition {
  const arrivals = new Arrivals()
  return {
    topic,
    partition,
    epoch: claim.epoch,
    historyId: claim.historyId,
    series: new SeriesTable(partition, claim.homes, claim.eventTimeMaxMs),
    nextOffset: claim.nextOffset,
    writtenOffset: claim.nextOffset,
    storedOffset: claim.nextOffset,
    endOffset: claim.nextOffset,
    behindSinceMs: undefined,
    eventTimeMaxMs: claim.eventTimeMaxMs,
    settledTimeMaxMs: claim.eventTimeMaxMs,
    arrivals,
    get arrivedReadings () { return arrivals.length },
    appended: [],
    journal: new Journal(partition, claim.journal, journal, nowMs),
    homes: claim.homes,
    misplaced: new Misplaced(),
    taken: [],
    returning: new Set(),
    returnedSettledMs: new Map(),
    deadLetters: [],
    deadLetterBytes: 0
  }
}

/** Whether a flush has anything to write of it. */
export function isAhead ({ nextOffset, writtenOffset, taken }: Partition): boolean {
  return nextOffset > writtenOffset || taken.length > 0
}

/** How many records the log has, as far as we have heard, that were not folded. */
export function lagOf ({ endOffset, nextOffset }: Pick<Partition, 'endOffset' | 'nextOffset'>): number {
  return Number(endOffset - nextOffset)
}

/** How many records the log has, as far as we have heard, that are not in the database: those in memory among them. */
export function unstoredOf ({ endOffset, nextOffset, storedOffset }: Pick<Partition, 'endOffset' | 'nextOffset' | 'storedOffset'>): number {
  return Number((endOffset > nextOffset ? endOffset : nextOffset) - storedOffset)
}

/** Notes what the log has, or the database has got: `behindSinceMs` follows from it. */
export function noteOffsets (
  partition: Partition, offsets: { readonly endOffset?: bigint, readonly storedOffset?: bigint }, nowMs: number
): void {
  const { endOffset, storedOffset } = offsets
  if (endOffset !== undefined && endOffset > partition.endOffset) partition.endOffset = endOffset
  if (storedOffset !== undefined) {
    partition.storedOffset = storedOffset
    partition.behindSinceMs = undefined
  }
  partition.behindSinceMs = unstoredOf(partition) > 0 ? partition.behindSinceMs ?? nowMs : undefined
}

/** How many rows of devices what has arrived will be, roughly, where it came in the order of time. */
export function expectedRows ({ arrivals, series, eventTimeMaxMs }: Partition): number {
  const { length, timesMs } = arrivals
  if (length === 0) return 0
  const minutes = 1 + (eventTimeMaxMs - timesMs[0]) / MINUTE_MS
  return Math.min(length, series.size * minutes) + Math.min(length, series.size) * (levels.length - 1)
}
