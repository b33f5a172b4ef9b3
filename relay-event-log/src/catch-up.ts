/** Reads a topic up to given offsets, with a consumer that is alone in its group. */
import type { ConsumerNews, EventConsumer, RecordSet, Topic } from './port.ts'

const WAIT_MAX_MS = 500

/** Returns the error for news that end the read, such as a gap or a revocation. */
export type RefuseNews = (news: ConsumerNews) => Error

/** Waits until the consumer has all partitions. @throws the reason of the signal, and what `refuse` returns */
export async function waitForPartitions (
  consumer: EventConsumer, topic: Pick<Topic, 'partitions'>, refuse: RefuseNews, signal?: AbortSignal
): Promise<void> {
  for (let partitions = 0; partitions < topic.partitions;) {
    const news = await consumer.next(WAIT_MAX_MS, signal)
    signal?.throwIfAborted()
    if (news.kind === 'assigned') partitions += news.partitions.length
    else if (news.kind !== 'idle') throw refuse(news)
  }
}

/**
 * Reads partitions from the given offsets, each to its target. The last set of a partition may go beyond its target.
 * @param targets by partition, exclusive; a partition without one is not read
 * @throws the reason of the signal, and what `refuse` returns
 */
export async function * catchUp (
  consumer: EventConsumer, from: ReadonlyMap<number, bigint>, targets: ReadonlyMap<number, bigint>, refuse: RefuseNews,
  signal?: AbortSignal
): AsyncGenerator<RecordSet> {
  const next = new Map(from)
  const isBehind = (partition: number) => next.get(partition)! < (targets.get(partition) ?? 0n)
  for (const [partition, offset] of next) if (isBehind(partition)) consumer.start(partition, offset)

  while ([...next.keys()].some(isBehind)) {
    const news = await consumer.next(WAIT_MAX_MS, signal)
    signal?.throwIfAborted()
    if (news.kind === 'records') {
      const { records } = news
      if (!isBehind(records.partition)) continue
      next.set(records.partition, records.nextOffset)
      yield records
    } else if (news.kind !== 'idle') {
      throw refuse(news)
    }
  }
}
