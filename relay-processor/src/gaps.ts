/**
 * Gaps: records that were deleted from the log before they were read, or that took the offsets of others that were
 * read.
 *
 *     found     while reading, by kafka/gap.ts and postgres/fetcher.ts of relay-event-log;
 *               before the first claim of a partition, by `findGap` (progress.ts)
 *     handled   here: recorded, reported, and skipped or the end of the processor, as GAP_POLICY says
 *     stored    in the table gaps (progress.ts)
 */
import { RelayError, type Logger } from 'relay-common'
import type { ConsumerNews, Topic } from 'relay-event-log'

import type { ProcessorMetrics } from './metrics.ts'
import type { Partition } from './partition.ts'
import type { Gap, Store } from './store.ts'

export type GapPolicy = 'stop' | 'continue'

interface GapSinks {
  readonly store: Pick<Store, 'findGap' | 'recordGap' | 'skipGap'>
  readonly metrics: Pick<ProcessorMetrics, 'gaps'>
  readonly log: Logger
}

export class Gaps {
  readonly #policy: GapPolicy
  readonly #sinks: GapSinks

  constructor (policy: GapPolicy, sinks: GapSinks) {
    this.#policy = policy
    this.#sinks = sinks
  }

  /**
   * Handles what is missing before a partition that was never claimed.
   * @param startOffset start of the partition in the log
   * @throws RelayError RELAY_OFFSET_GAP if the policy is to stop
   */
  async beforeClaim (topic: Topic, number: number, startOffset: bigint): Promise<void> {
    const { store } = this.#sinks
    const gap = await store.findGap(topic, number, startOffset)
    if (!gap) return
    await store.recordGap(topic, gap, undefined)
    this.#report(topic, gap)
  }

  /**
   * Handles a gap in a claimed partition whose readings are written: moves its progress after the gap.
   * @returns where to continue; undefined: the claim of the partition no longer holds
   * @throws RelayError RELAY_OFFSET_GAP if the policy is to stop
   */
  async whileReading (
    partition: Partition, { gap: kind, expectedOffset, startOffset, endOffset }: Extract<ConsumerNews, { kind: 'gap' }>
  ): Promise<bigint | undefined> {
    const { store } = this.#sinks
    const { topic, partition: number } = partition
    const gap = {
      kind, partition: number, expectedOffset, availableOffset: continueAt(expectedOffset, startOffset, endOffset)
    }
    if (!await store.recordGap(topic, gap, partition)) return undefined
    this.#report(topic, gap)
    return await store.skipGap(topic, gap, partition) ? gap.availableOffset : undefined
  }

  #report (topic: Topic, gap: Gap): void {
    this.#sinks.metrics.gaps.inc({ kind: gap.kind })
    const what = describe(topic, gap)
    if (this.#policy === 'stop') {
      throw new RelayError('RELAY_OFFSET_GAP',
        `${what}; the gap is recorded in the table gaps. Set GAP_POLICY=continue to continue after it`)
    }
    this.#sinks.log.error(gap, `${what}; continuing because GAP_POLICY is continue`)
  }
}

/** After the end: the log has lost records that were read, and new ones continue at its end. */
function continueAt (expectedOffset: bigint, startOffset: bigint, endOffset: bigint): bigint {
  if (expectedOffset < startOffset) return startOffset
  return expectedOffset > endOffset ? endOffset : expectedOffset
}

function describe ({ name }: Topic, { kind, partition, expectedOffset, availableOffset }: Gap): string {
  switch (kind) {
    case 'topic-recreated':
      return `topic ${name} was deleted and created again: partition ${partition} had been read to offset ` +
        `${expectedOffset}`
    case 'records-replaced':
      return `partition ${partition} of ${name} has other records before offset ${expectedOffset} than those that ` +
        'were read there: its broker lost records or was restored from an older copy, and new ones took their ' +
        'offsets. `relay progress set --time` reads them'
    case 'offset-out-of-range':
      return `partition ${partition} of ${name} should continue at offset ${expectedOffset}, but the log continues ` +
        `at ${availableOffset}`
  }
}
