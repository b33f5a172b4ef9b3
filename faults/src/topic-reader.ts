/**
 * Reads a topic with the consumer of the Kafka client library instead of Relay's own reader, to detect what that would
 * miss.
 */
import { Consumer } from '@platformatic/kafka'

export interface TopicRecord {
  readonly partition: number
  readonly offset: bigint
  readonly value: Buffer | null
  readonly headers: ReadonlyMap<string, string>
}

export interface Stretch {
  readonly partition: number
  readonly fromOffset: bigint
  /** the first offset that is not read */
  readonly toOffset: bigint
}

const LIMIT_MS = 60_000

/**
 * Visits each record of ranges of a topic.
 * @throws Error if an offset is missing, or not all arrive within a minute
 */
export async function readTopic (
  bootstrapServers: string, topic: string, stretches: readonly Stretch[], visit: (record: TopicRecord) => void
): Promise<void> {
  const nextOffsets = new Map(stretches.map(it => [it.partition, it.fromOffset]))
  const missing = new Map(stretches.filter(it => it.toOffset > it.fromOffset).map(it => [it.partition, it.toOffset]))
  if (missing.size === 0) return
  const consumer = new Consumer({
    clientId: 'faults', groupId: `faults-${topic}-${process.pid}`, bootstrapBrokers: bootstrapServers.split(',')
  })
  try {
    const offsets = stretches.map(({ partition, fromOffset }) => ({ topic, partition, offset: fromOffset }))
    const stream = await consumer.consume({ topics: [topic], mode: 'manual', offsets, autocommit: false })
    const timer = setTimeout(() => stream.destroy(new Error(
      `partitions ${[...missing.keys()].join(', ')} of ${topic} were not read within ${LIMIT_MS} ms`)), LIMIT_MS)
    try {
      for await (const { partition, offset, value, headers } of stream) {
        const expected = nextOffsets.get(partition)!
        if (offset !== expected) {
          throw new Error(`offset ${offset} of ${topic}/${partition} came where ${expected} should`)
        }
        nextOffsets.set(partition, offset + 1n)
        const end = missing.get(partition)
        if (end === undefined) continue
        const texts = new Map([...headers].map(([name, text]) => [String(name), String(text)]))
        visit({ partition, offset, value: value ?? null, headers: texts })
        if (offset + 1n === end) missing.delete(partition)
        if (missing.size === 0) break
      }
    } finally {
      clearTimeout(timer)
    }
  } finally {
    await consumer.close(true)
  }
}
