/**
 * Completeness of answers: the event time up to which every partition of the log was read into the rollups.
 *
 *     a partition that was read to its end at a moment      has been read up to that moment: nothing waits in it
 *     one that is behind                                    up to the newest event time that was read of it
 *
 * Readings on their way to their device's home partition were read but are not in the rollups yet, so the oldest limits
 * completeness. A partition without new events does not. The ends of the log are read before the progress, at most once
 * per second. Progress that has passed all of them is not read again for the same ends: later readings were appended
 * after them. If the log can't be read, because this API has none or it is unreachable, completeness is unknown, and
 * answers say so.
 */
import type { Database } from 'relay-common'
import type { PartitionOffsets } from 'relay-event-log'

import type { KnownEnds, EventLogEnds } from './log-ends.ts'
import type { ReadSource } from './replica.ts'

export interface Completeness {
  /**
   * Call it before reading the data, with the same source.
   * @returns ms since the epoch; undefined: unknown
   */
  read (source: ReadSource): Promise<number | undefined>
}

/** @param ends of the log, read at most once per second */
export function openCompleteness (ends: EventLogEnds): Completeness {
  /** by server: progress that has passed these ends */
  const passed = new WeakMap<object, { readonly known: KnownEnds, readonly progress: readonly PartitionProgress[] }>()
  return {
    async read ({ database, lagMs, server }) {
      const known = await ends.read()
      if (!known) return undefined
      const before = passed.get(server)
      if (before?.known === known) return completeThroughMs(known, before.progress, lagMs)
      const progress = await readProgress(database, known.topicId)
      if (known.offsets.every(it => isReadTo(it, progress))) passed.set(server, { known, progress })
      return completeThroughMs(known, progress, lagMs)
    }
  }
}

interface PartitionProgress {
  readonly source_partition: number
  readonly next_offset: bigint
  readonly event_time_max: number | null
  /** time of the oldest reading on its way to its home; null: none */
  readonly misplaced_first: number | null
}

async function readProgress (database: Database, topicId: string): Promise<PartitionProgress[]> {
  return await database.queryPrepared<PartitionProgress & Record<string, unknown>>('progress', `
    select source_partition, next_offset, event_time_max,
      (select min(first_time) from misplaced_readings) as misplaced_first
    from progress where topic_id = $1`, [topicId])
}

/** @returns undefined: nothing has been read of some partition yet */
export function completeThroughMs (
  { atMs, offsets }: Pick<KnownEnds, 'atMs' | 'offsets'>, progress: readonly PartitionProgress[], lagMs: number
): number | undefined {
  let throughMs = Math.min(atMs - lagMs, progress[0]?.misplaced_first ?? Infinity)
  for (const it of offsets) {
    if (isReadTo(it, progress)) continue
    const read = progressOf(it, progress)
    if (read?.event_time_max == null) return undefined
    throughMs = Math.min(throughMs, read.event_time_max)
  }
  return Number.isFinite(throughMs) ? throughMs : undefined
}

function progressOf ({ partition }: PartitionOffsets, progress: readonly PartitionProgress[]) {
  return progress.find(it => it.source_partition === partition)
}

/** Whether a partition was read to its end, at the moment when that was known. */
function isReadTo (offsets: PartitionOffsets, progress: readonly PartitionProgress[]): boolean {
  const read = progressOf(offsets, progress)
  return read === undefined ? offsets.endOffset === offsets.startOffset : read.next_offset >= offsets.endOffset
}
