/**
 * Records whose validity depends on the time of reading: an event from the future was refused, but would be accepted
 * now. A later read uses the dead letters to decide.
 *
 *     dead letter ──▶ is it of the claim that its record belongs to? ──yes──▶ the record stays refused
 *                                                                    └──no──▶ its owner was fenced before it got there
 *
 * A record belongs to the newest claim that begins at or before it (migration 0032). Whoever was fenced between the
 * dead letters and the rows of a flush has refused records that the next owner read again, and may have counted.
 */
import type { Database } from 'relay-common'
import { decodeDeadLetter, type DeadLetterInfo, type LetterClaim } from 'relay-dead-letters'
import type { EventLog, RecordSet, Topic } from 'relay-event-log'

/** Offsets by partition. */
export type OffsetSets = ReadonlyMap<number, ReadonlySet<bigint>>

/** @param sets changed in place */
export function addOffset (sets: Map<number, Set<bigint>>, partition: number, offset: bigint): void {
  const offsets = sets.get(partition)
  if (offsets) offsets.add(offset)
  else sets.set(partition, new Set([offset]))
}

const dependsOnTime: ReadonlySet<string> = new Set(['timestamp-future', 'too-old'])

/** Whether the validity of a record depends on the time of reading. @param reason of its letter */
export function isRefusedForTime (reason: string): boolean {
  return dependsOnTime.has(reason)
}

/** A letter of a record of the topic. */
type SourcedLetter = DeadLetterInfo & { readonly sourcePartition: number, readonly sourceOffset: bigint }

/** The dead letters of a topic; each read continues where the one before ended. */
export class LetterReader {
  readonly #eventLog: EventLog
  readonly #deadLettersTopic: string
  readonly #topic: Topic
  /** by partition of the dead letters */
  readonly #next = new Map<number, bigint>()

  constructor (eventLog: EventLog, deadLettersTopic: string, topic: Topic) {
    this.#eventLog = eventLog
    this.#deadLettersTopic = deadLettersTopic
    this.#topic = topic
  }

  async * read (): AsyncGenerator<SourcedLetter> {
    if (!await this.#eventLog.describeTopic(this.#deadLettersTopic)) return
    for (const { partition, startOffset, endOffset } of await this.#eventLog.readOffsets(this.#deadLettersTopic)) {
      const from = this.#next.get(partition) ?? startOffset
      if (from >= endOffset) continue
      for await (const { headers } of this.#eventLog.readRecords(this.#deadLettersTopic, partition, from, endOffset)) {
        const letter = decodeDeadLetter(headers)
        if (letter?.sourceTopic !== this.#topic.name) continue
        const { sourcePartition, sourceOffset } = letter
        if (sourcePartition === undefined || sourceOffset === undefined) continue // it was never in the topic
        yield { ...letter, sourcePartition, sourceOffset }
      }
      this.#next.set(partition, endOffset)
    }
  }
}

/** The records of a topic that were refused for their time. */
export class RefusedRecords {
  readonly #reader: LetterReader
  readonly #topic: Topic
  readonly #letters: Array<Pick<SourcedLetter, 'sourcePartition' | 'sourceOffset' | 'claim'>> = []

  constructor (eventLog: EventLog, deadLettersTopic: string, topic: Topic) {
    this.#reader = new LetterReader(eventLog, deadLettersTopic, topic)
    this.#topic = topic
  }

  /** Those that the database has passed. @param database as of the progress that is asked about, or later */
  async read (database: Pick<Database, 'queryPrepared'>): Promise<OffsetSets> {
    for await (const { reason, sourcePartition, sourceOffset, claim } of this.#reader.read()) {
      if (isRefusedForTime(reason)) this.#letters.push({ sourcePartition, sourceOffset, claim })
    }
    const claims = await readClaims(database, this.#topic)
    const refused = new Map<number, Set<bigint>>()
    for (const { sourcePartition, sourceOffset, claim } of this.#letters) {
      if (claims.isOwner(sourcePartition, sourceOffset, claim)) addOffset(refused, sourcePartition, sourceOffset)
    }
    return refused
  }
}

interface PartitionClaim extends LetterClaim {
  readonly fromOffset: bigint
}

/** The claims of the partitions of a topic. */
export class PartitionClaims {
  /** the newest first */
  readonly #claims: ReadonlyMap<number, readonly PartitionClaim[]>

  constructor (claims: ReadonlyMap<number, readonly PartitionClaim[]>) {
    this.#claims = claims
  }

  /** The claim that a record belongs to. @returns undefined if it is of the time before claims were noted */
  ownerOf (partition: number, offset: bigint): LetterClaim | undefined {
    return this.#claims.get(partition)?.find(it => it.fromOffset <= offset)
  }

  /** @param claim of a letter; undefined: its processor was of a version that did not write it, so it is believed */
  isOwner (partition: number, offset: bigint, claim: LetterClaim | undefined): boolean {
    if (!claim) return true
    const owner = this.ownerOf(partition, offset)
    return owner?.epoch === claim.epoch && owner.historyId === claim.historyId
  }
}

export async function readClaims (
  database: Pick<Database, 'queryPrepared'>, { topicId }: Topic
): Promise<PartitionClaims> {
  const rows = await database.queryPrepared<{
    source_partition: number, epoch: bigint, history_id: string, from_offset: bigint
  }>('read claims', `
    select source_partition, epoch, history_id, from_offset from progress_claims
    where topic_id = $1 order by source_partition, epoch desc`, [topicId])
  const claims = rows.map(it => ({
    partition: it.source_partition, epoch: it.epoch, historyId: it.history_id, fromOffset: it.from_offset
  }))
  return new PartitionClaims(Map.groupBy(claims, it => it.partition))
}

/** A set of records that ends before an offset, without those that were refused. */
export function without (records: RecordSet, refused: ReadonlySet<bigint> | undefined, endOffset: bigint): RecordSet {
  const { baseOffset } = records
  const isLeftOut = (offsetDelta: number) => {
    const offset = baseOffset + BigInt(offsetDelta)
    return offset >= endOffset || refused!.has(offset)
  }
  const isWhole = records.nextOffset <= endOffset && (refused === undefined || refused.size === 0)
  return isWhole
    ? records
    : {
        partition: records.partition,
        baseOffset,
        nextOffset: records.nextOffset < endOffset ? records.nextOffset : endOffset,
        endOffset: records.endOffset,
        sizeBytes: records.sizeBytes,
        forEach (visitor) {
          refused ??= new Set()
          records.forEach({
            record (buffer, keyStart, keyEnd, valueStart, valueEnd, offsetDelta) {
              if (!isLeftOut(offsetDelta)) visitor.record(buffer, keyStart, keyEnd, valueStart, valueEnd, offsetDelta)
            },
            corrupt (bytes, offsetDelta, recordCount, detail) {
              if (!isLeftOut(offsetDelta)) visitor.corrupt(bytes, offsetDelta, recordCount, detail)
            }
          })
        }
      }
}
