/**
 * Reads records with all their metadata, for tools, without a group. A fetch is walked at once, which takes a ms, and
 * its records are made one by one, so that a reader of many leaves time for others. Use the consumer if speed matters.
 */
import { topicMissing, type KafkaClient, type TopicLayout } from './client.ts'
import { fetchForTools, type FetchedPartition } from './fetch.ts'
import { decodeHeaders, KafkaRecordSet } from './records.ts'
import type { LoggedRecord } from '../port.ts'

const ANSWER_TIMEOUT_MS = 10_000
/** the reader has an end offset, so records exist; a broker that lost them should say so soon */
const WAIT_MAX_MS = 500
const RESPONSE_MAX_BYTES = 256 * 1024
/** a broker sends at least one batch, however large */
const ONE_RECORD_MAX_BYTES = 1

/** As `EventLog.readRecords`. */
export async function * readRecords (
  client: KafkaClient, topic: string, partition: number, fromOffset: bigint, toOffset: bigint
): AsyncGenerator<LoggedRecord> {
  const maxBytes = toOffset - fromOffset === 1n ? ONE_RECORD_MAX_BYTES : RESPONSE_MAX_BYTES
  let layout: TopicLayout | undefined
  const fetch = async (offset: bigint) => {
    layout ??= await client.describe(topic)
    try {
      return await fetchFrom(client, topic, layout, partition, offset, maxBytes)
    } catch (error) {
      layout = undefined // its leader may have moved
      throw error
    }
  }
  for (let offset = fromOffset; offset < toOffset;) {
    const { batches, aborted } = await client.retry(ANSWER_TIMEOUT_MS, () => fetch(offset))
    if (!batches || batches.length === 0) return // records before `toOffset` are deleted, or were never committed
    const set = new KafkaRecordSet(partition, offset, toOffset, batches, aborted)
    for (const place of placesOf(set)) {
      if (offset + BigInt(place.offsetDelta) >= toOffset) return
      yield toRecord(partition, offset, place)
    }
    offset = set.nextOffset
  }
}

/** A record in the buffer of its batch; a start of -1: there is none. */
interface Place {
  readonly bytes: Buffer
  readonly keyStart: number
  readonly keyEnd: number
  readonly valueStart: number
  readonly valueEnd: number
  readonly offsetDelta: number
  timeMs: number
  headersStart: number
  headersEnd: number
}

function placesOf (set: KafkaRecordSet): Place[] {
  const places: Place[] = []
  set.forEach({
    record (bytes, keyStart, keyEnd, valueStart, valueEnd, offsetDelta) {
      places.push({
        bytes, keyStart, keyEnd, valueStart, valueEnd, offsetDelta, timeMs: NaN, headersStart: 0, headersEnd: 0
      })
    },
    details (timeMs, headersStart, headersEnd) {
      Object.assign(places.at(-1)!, { timeMs, headersStart, headersEnd })
    },
    corrupt () {} // for the processor, it is a dead letter
  })
  return places
}

function toRecord (partition: number, baseOffset: bigint, place: Place): LoggedRecord {
  const { bytes, keyStart, keyEnd, valueStart, valueEnd, offsetDelta, timeMs, headersStart, headersEnd } = place
  return {
    partition,
    offset: baseOffset + BigInt(offsetDelta),
    appendedMs: timeMs,
    key: keyStart < 0 ? null : bytes.subarray(keyStart, keyEnd),
    value: valueStart < 0 ? null : bytes.subarray(valueStart, valueEnd),
    headers: decodeHeaders(bytes, headersStart, headersEnd)
  }
}

async function fetchFrom (
  client: KafkaClient, topic: string, layout: TopicLayout | undefined, partition: number, offset: bigint,
  maxBytes: number
): Promise<FetchedPartition> {
  const leader = layout?.brokers.get(layout.leaders[partition])
  if (!layout || !leader) throw topicMissing(topic, client.servers)
  return await fetchForTools(await client.broker(leader), {
    topicId: layout.topicId,
    partitions: [{ partition, offset }],
    waitMaxMs: WAIT_MAX_MS,
    maxBytes,
    partitionMaxBytes: maxBytes
  })
}
