import { LINKS_MAX, type TraceContext } from 'relay-common'

/** A record that carries the trace of its producer. */
export interface TracedRecord {
  readonly context: TraceContext
  readonly offset: bigint
}

/** Traced records of a partition since the last flush: the first of them, and their number. */
export class TracedRecords {
  readonly kept: TracedRecord[] = []
  count = 0

  add (record: TracedRecord): void {
    this.count++
    if (this.kept.length < LINKS_MAX) this.kept.push(record)
  }
}
