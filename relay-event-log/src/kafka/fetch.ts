/**
 * The Fetch request and its answer. Record batches stay as they are, in the buffer of the answer.
 *
 * Hot path: the library's parser creates an object per record (0.23 M records/s). Batches that stay bytes until
 * `records.ts` walks them reach 7 M/s (180 bytes each, 2 cores, the broker on the same machine).
 */
import {
  createAPI, FetchIsolationLevels, fetchV15, ResponseError, type Connection, type Reader, type Writer
} from '@platformatic/kafka'

import type { AbortedTransaction } from './batch-header.ts'
import { FETCH_VERSION } from './client.ts'
import type { FetchConnection } from './fetch-connection.ts'
import type { Received } from './receive-buffers.ts'

export interface FetchedPartition {
  readonly partition: number
  readonly errorCode: number
  /** offset of the next record of the partition */
  readonly highWatermark: bigint
  /** the same without transactions that are still open: we read up to here */
  readonly lastStableOffset: bigint
  /** aborted transactions whose records in `batches` must be skipped; by first offset */
  readonly aborted: readonly AbortedTransaction[]
  readonly batches: Buffer | null
}

/** A request to one broker. */
export interface FetchRequest {
  readonly topicId: string
  readonly partitions: ReadonlyArray<{ readonly partition: number, readonly offset: bigint }>
  /** longest time that the broker waits for records */
  readonly waitMaxMs: number
  readonly maxBytes: number
  readonly partitionMaxBytes: number
}

export interface Fetched {
  readonly partitions: FetchedPartition[]
  /** the buffer of their batches; release it when they are no longer needed */
  readonly received: Received
}

const FETCH = 1

/**
 * Fetches from one broker. Errors of a partition are in its answer.
 * @throws ResponseError if the broker refuses the whole request; Error if the connection is closed
 */
export async function fetchRaw (connection: FetchConnection, request: FetchRequest): Promise<Fetched> {
  const { reader, received } = await connection.request(FETCH, FETCH_VERSION, createRequest(request))
  return { partitions: parseAnswer(reader), received }
}

/**
 * Fetches one partition on a connection of the library, which also serves other requests: for tools.
 * @throws ResponseError if the broker refuses the request or the partition
 */
export async function fetchForTools (connection: Connection, request: FetchRequest): Promise<FetchedPartition> {
  const [answer] = await fetchShared.async(connection, request)
  const { errorCode } = answer
  if (errorCode !== 0) throw new ResponseError(FETCH, FETCH_VERSION, { '': [errorCode, null] }, answer)
  return answer
}

const fetchShared = createAPI<[FetchRequest], FetchedPartition[]>(
  FETCH, FETCH_VERSION, createRequest, (_correlationId, _apiKey, _apiVersion, reader) => parseAnswer(reader))

function createRequest ({ topicId, partitions, waitMaxMs, maxBytes, partitionMaxBytes }: FetchRequest): Writer {
  const asked = partitions.map(({ partition, offset: fetchOffset }) =>
    ({ partition, fetchOffset, currentLeaderEpoch: -1, lastFetchedEpoch: -1, partitionMaxBytes }))
  return fetchV15.createRequest(waitMaxMs, 1, maxBytes, FetchIsolationLevels.READ_COMMITTED, 0, -1,
    [{ topicId, partitions: asked }], [], '')
}

/*
  Fetch Response (Version: 15) => throttle_time_ms error_code session_id [responses] TAG_BUFFER
    responses => topic_id [partitions] TAG_BUFFER
      partitions => partition_index error_code high_watermark last_stable_offset log_start_offset
                    [aborted_transactions] preferred_read_replica records TAG_BUFFER
        aborted_transactions => producer_id first_offset TAG_BUFFER
*/
function parseAnswer (reader: Reader): FetchedPartition[] {
  reader.readInt32() // throttle time
  const errorCode = reader.readInt16()
  reader.readInt32() // session
  const partitions: FetchedPartition[] = []
  reader.readArray(r => {
    r.readUUID()
    r.readArray(r => { partitions.push(parsePartition(r)) })
  })
  reader.readTaggedFields()
  if (errorCode !== 0) throw new ResponseError(FETCH, FETCH_VERSION, { '': [errorCode, null] }, partitions)
  return partitions
}

function parsePartition (r: Reader): FetchedPartition {
  const partition = r.readInt32()
  const errorCode = r.readInt16()
  const highWatermark = r.readInt64()
  const lastStableOffset = r.readInt64()
  r.skip(8) // log start offset
  const aborted = r.readNullableArray(r => ({ producerId: r.readInt64(), firstOffset: r.readInt64() })) ?? []
  aborted.sort((a, b) => Number(a.firstOffset - b.firstOffset))
  r.readInt32() // preferred read replica
  return { partition, errorCode, highWatermark, lastStableOffset, aborted, batches: r.readNullableBytes() }
}
