/** Records of a topic with their headers, read from either log by other means than the programs use. */
import { Consumer } from '@platformatic/kafka'
import type { Database } from 'relay-common'
import { until } from 'relay-test-support/until.ts'

export interface StoredRecord {
  readonly partition: number
  readonly offset: bigint
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, string>>
}

/** The whole topic, as it is now, by the view that people query. */
export async function readFromPostgres (database: Database, topic: string): Promise<StoredRecord[]> {
  const rows = await database.query<Omit<StoredRecord, 'headers'> & { headers: Record<string, string> | null }>(`
    select partition, record_offset as offset, key, value, headers from event_log where topic = $1`, [topic])
  return rows.map(it => ({ ...it, headers: it.headers ?? {} }))
}

/** The topic from its beginning up to the given ends, by partition: the offsets that the next records will get. */
export async function readFromKafka (
  bootstrapServers: string, topic: string, ends: ReadonlyMap<number, bigint>
): Promise<StoredRecord[]> {
  const consumer = new Consumer({ clientId: 'test', groupId: `test-${topic}`, bootstrapBrokers: [bootstrapServers] })
  const records: StoredRecord[] = []
  const missing = new Map([...ends].filter(([, end]) => end > 0n))
  try {
    const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false })
    stream.on('data', ({ partition, offset, key, value, headers }) => {
      const texts = Object.fromEntries([...headers].map(([name, it]) => [String(name), String(it)]))
      records.push({ partition, offset, key: key ?? null, value: value ?? null, headers: texts })
      if (offset + 1n >= (missing.get(partition) ?? Infinity)) missing.delete(partition)
    })
    await until(() => `the partitions ${[...missing.keys()].join(', ')} of ${topic}`, () => missing.size === 0)
    return records
  } finally {
    await consumer.close(true)
  }
}
