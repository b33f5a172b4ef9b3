/** Where a partition is read, and whether its log is still the one that was read so far. */
import type { FetchedPartition } from './fetch.ts'
import { firstRecord, type KafkaRecordSet } from './records.ts'
import type { RecordMark } from '../port.ts'

/** A partition that is being read. */
export class PartitionCursor {
  readonly partition: number
  readonly lane: number
  offset: bigint
  isPaused = false
  /** the log may be another one */
  isInDoubt = true
  /** end of the log in the last answer, and when that was requested: records after it were appended later */
  end: { readonly offset: bigint, readonly atMs: number } | undefined
  #read: Pick<KafkaRecordSet, 'lastRecord'>

  /** @param lastRecord the last one that was read before `offset`, if known */
  constructor (partition: number, lane: number, offset: bigint, lastRecord: RecordMark | undefined) {
    this.partition = partition
    this.lane = lane
    this.offset = offset
    this.#read = { lastRecord }
  }

  /** the last record that was read before `offset`, if known */
  get lastRecord (): RecordMark | undefined { return this.#read.lastRecord }

  moveAfter (records: KafkaRecordSet): void {
    this.offset = records.nextOffset
    this.#read = records
  }

  /**
   * Compares the log with what was read.
   * @param answer to a fetch from the offset of `lastRecord` on
   * @returns 'ended': the log ends before `offset`; 'unknown': other partitions had all the room of the answer
   */
  compare (lastRecord: RecordMark, { batches, aborted, highWatermark }: FetchedPartition):
    'same' | 'replaced' | 'ended' | 'unknown' {
    if (!batches || batches.length === 0) return highWatermark < this.offset ? 'ended' : 'unknown'
    const found = firstRecord(lastRecord.offset, batches, aborted)
    if (!found) return 'same' // damaged since then
    return found.offset === lastRecord.offset && found.valueCrc === lastRecord.valueCrc ? 'same' : 'replaced'
  }
}
