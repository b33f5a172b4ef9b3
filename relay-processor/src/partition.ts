import { levels, MINUTE_MS, type Topic } from 'relay-common'

import { Arrivals } from './arrivals.ts'
import type { DeadLetter } from './dead-letters.ts'
import { SeriesTable } from './series-table.ts'
import type { Claim } from './store.ts'

/** All that the processor holds of one source partition that it owns. Dropped whole when the partition is lost. */
export interface Partition {
  readonly topic: Topic
  readonly partition: number
  /** our turn at this partition: writes under an older one are refused */
  readonly epoch: bigint
  readonly series: SeriesTable
  /** offset behind the last record that was folded */
  nextOffset: bigint
  /** offset that the newest finished or running write brings the database to */
  writtenOffset: bigint
  /** end of the partition's log when it was last heard of */
  endOffset: bigint
  /** newest event time that was folded, in ms; -Infinity: none */
  eventTimeMaxMs: number
  /** what it was when the last flush was settled: so far the database is, or will be with the write on its way */
  settledTimeMaxMs: number
  /** readings since the last settling */
  readonly arrivals: Arrivals
  /** how many of them there are */
  readonly arrivedReadings: number
  /** records that could not be taken since the last flush */
  deadLetters: DeadLetter[]
  deadLetterBytes: number
}

/** The state of a partition that was just claimed. */
export function createPartition (topic: Topic, partition: number, claim: Claim): Partition {
  const arrivals = new Arrivals()
  return {
    topic,
    partition,
    epoch: claim.epoch,
    series: new SeriesTable(claim.eventTimeMaxMs),
    nextOffset: claim.nextOffset,
    writtenOffset: claim.nextOffset,
    endOffset: claim.nextOffset,
    eventTimeMaxMs: claim.eventTimeMaxMs,
    settledTimeMaxMs: claim.eventTimeMaxMs,
    arrivals,
    get arrivedReadings () { return arrivals.length },
    deadLetters: [],
    deadLetterBytes: 0
  }
}

/** How many records the log has, as far as we have heard, that were not folded. */
export function lagOf ({ endOffset, nextOffset }: Pick<Partition, 'endOffset' | 'nextOffset'>): number {
  return Number(endOffset - nextOffset)
}

/** How many rows of devices what has arrived will be, roughly, where it came in the order of time. */
export function expectedRows ({ arrivals, series, eventTimeMaxMs }: Partition): number {
  const { length, timesMs } = arrivals
  if (length === 0) return 0
  const minutes = 1 + (eventTimeMaxMs - timesMs[0]) / MINUTE_MS
  return Math.min(length, series.size * minutes) + Math.min(length, series.size) * (levels.length - 1)
}
