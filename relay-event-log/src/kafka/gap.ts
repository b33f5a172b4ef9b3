/** Whether records are missing where a partition is read, once a fetch looks like it (fetcher.ts). */
import { hasCode, kafkaErrors, type KafkaClient } from './client.ts'
import type { PartitionCursor } from './cursor.ts'
import { isCompacted } from './topics.ts'
import type { ConsumerNews } from '../port.ts'

type GapNews = Extract<ConsumerNews, { kind: 'gap' }>

/**
 * Asks the log: an offset that is not in it is a gap only after it has stated its range, because a new leader may lag.
 * @param isReplaced the log has another record in place of the last one that was read
 * @returns a gap; 'none'; 'uncomparable': none, and the log no longer has the last record
 */
export async function findGap (
  client: KafkaClient, topic: string, { partition, offset, lastRecord }: PartitionCursor, isReplaced: boolean
): Promise<GapNews | 'none' | 'uncomparable'> {
  const offsets = (await client.listOffsets(topic))[partition]
  if (!offsets) return 'none' // a new partition, or the topic is deleted, which the membership reports
  const news = { kind: 'gap', expectedOffset: offset, ...offsets } as const
  if (offset < offsets.startOffset || offset > offsets.endOffset) return { ...news, gap: 'offset-out-of-range' }
  if (isReplaced && !await mayDropRead(client, topic)) return { ...news, gap: 'records-replaced' }
  return isReplaced || (lastRecord && lastRecord.offset < offsets.startOffset) ? 'uncomparable' : 'none'
}

/** A compacted topic drops records that were read. */
async function mayDropRead (client: KafkaClient, topic: string): Promise<boolean> {
  try {
    return await isCompacted(client, topic)
  } catch (error) {
    if (hasCode(error, kafkaErrors.TOPIC_AUTHORIZATION_FAILED)) return false // we may not see its settings
    throw error
  }
}
