import type { Topic } from 'relay-common'

import type { DeadLetter } from './dead-letters.ts'
import { SeriesTable } from './series-table.ts'
import type { Claim } from './store.ts'
import type { MinuteWindow } from './windows.ts'

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
  /** minutes in which readings have arrived since the last settling */
  dirtyMinutes: MinuteWindow[]
  /** readings that have arrived since then */
  arrivedReadings: number
  /** records that could not be taken since the last flush */
  deadLetters: DeadLetter[]
  deadLetterBytes: number
}

/** The state of a partition that was just claimed. */
export function createPartition (topic: Topic, partition: number, claim: Claim): Partition {
  return {
    topic,
    partition,
    epoch: claim.epoch,
    series: new SeriesTable(claim.eventTimeMaxMs),
    nextOffset: claim.nextOffset,
    writtenOffset: claim.nextOffset,
    endOffset: claim.nextOffset,
    eventTimeMaxMs: claim.eventTimeMaxMs,
    dirtyMinutes: [],
    arrivedReadings: 0,
    deadLetters: [],
    deadLetterBytes: 0
  }
}
