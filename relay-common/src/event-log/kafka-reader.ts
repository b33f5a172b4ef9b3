/**
 * Reads records with all their metadata, for tools: one object each, by the library's own decoder, without a group. Use
 * the consumer if speed matters.
 */
import { FetchIsolationLevels, type fetchV17 } from '@platformatic/kafka'

import { topicMissing, type KafkaClient } from './kafka-client.ts'
import { IS_APPEND_TIME } from './kafka-records.ts'
import type { LoggedRecord } from './port.ts'

const ANSWER_TIMEOUT_MS = 10_000
/** the reader has an end offset, so records exist; a broker that lost them should say so soon */
const WAIT_MAX_MS = 500
/** decoded at once, in some ms, in which a program does nothing else */
const RESPONSE_MAX_BYTES = 128 * 1024
/** a broker sends at least one batch, however large */
const ONE_RECORD_MAX_BYTES = 1
const IS_CONTROL = 1 << 5

/** As `EventLog.readRecords`. */
export async function * readRecords (
  client: KafkaClient, topic: string, partition: number, fromOffset: bigint, toOffset: bigint
): AsyncGenerator<LoggedRecord> {
  const maxBytes = toOffset - fromOffset === 1n ? ONE_RECORD_MAX_BYTES : RESPONSE_MAX_BYTES
  for (let offset = fromOffset; offset < toOffset;) {
    const batches = await client.retry(
      ANSWER_TIMEOUT_MS, () => fetchBatches(client, topic, partition, offset, maxBytes)
    )
    if (batches.length === 0) return // records before `toOffset` are deleted, or were never committed
    for (const batch of batches) {
      const isControl = (batch.attributes & IS_CONTROL) !== 0
      // one time for all; those of the producer are still there
      const isOfBroker = (batch.attributes & IS_APPEND_TIME) !== 0
      for (const record of isControl ? [] : batch.records) {
        const recordOffset = batch.firstOffset + BigInt(record.offsetDelta)
        if (recordOffset < offset) continue // its batch starts before the requested offset
        if (recordOffset >= toOffset) return
        yield {
          partition,
          offset: recordOffset,
          appendedMs: Number(isOfBroker ? batch.maxTimestamp : batch.firstTimestamp + record.timestampDelta),
          key: record.key,
          value: record.value,
          headers: Object.fromEntries(record.headers.map(([name, value]) => [String(name), String(value ?? '')]))
        }
      }
      offset = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n
    }
  }
}

async function fetchBatches (
  client: KafkaClient, topic: string, partition: number, fetchOffset: bigint, maxBytes: number
) {
  const layout = await client.describe(topic)
  const leader = layout?.brokers.get(layout.leaders[partition])
  if (!layout || !leader) throw topicMissing(topic, client.servers)
  const asked = { partition, fetchOffset, currentLeaderEpoch: -1, lastFetchedEpoch: -1, partitionMaxBytes: maxBytes }
  const answer = await client.call<fetchV17.FetchResponse>('Fetch', await client.broker(leader),
    WAIT_MAX_MS, 1, maxBytes, FetchIsolationLevels.READ_COMMITTED, 0, -1,
    [{ topicId: layout.topicId, partitions: [asked] }], [], '')
  return answer.responses[0]?.partitions[0]?.records ?? []
}
