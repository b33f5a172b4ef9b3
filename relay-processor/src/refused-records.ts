/**
 * Records whose validity depends on the time of reading: an event from the future was refused, but would be accepted
 * now. A later read uses the dead letters to decide.
 */
import { decodeDeadLetter } from 'relay-dead-letters'
import type { EventLog, RecordSet } from 'relay-event-log'

/** Offsets by partition. */
export type OffsetSets = ReadonlyMap<number, ReadonlySet<bigint>>

const dependsOnTime: ReadonlySet<string> = new Set(['timestamp-future', 'too-old'])

/** The records of a topic that were refused for their time. */
export async function readRefused (eventLog: EventLog, deadLettersTopic: string, topic: string): Promise<OffsetSets> {
  return await readLetterOffsets(eventLog, deadLettersTopic, topic, isRefusedForTime)
}

/** Whether the validity of a record depends on the time of reading. @param reason of its letter */
export function isRefusedForTime (reason: string): boolean {
  return dependsOnTime.has(reason)
}

/** The records of a topic that became dead letters. @param takes whether letters of a reason are wanted */
export async function readLetterOffsets (
  eventLog: EventLog, deadLettersTopic: string, topic: string, takes: (reason: string) => boolean
): Promise<Map<number, Set<bigint>>> {
  const refused = new Map<number, Set<bigint>>()
  if (!await eventLog.describeTopic(deadLettersTopic)) return refused
  for (const { partition, startOffset, endOffset } of await eventLog.readOffsets(deadLettersTopic)) {
    for await (const { headers } of eventLog.readRecords(deadLettersTopic, partition, startOffset, endOffset)) {
      const letter = decodeDeadLetter(headers)
      if (!letter || letter.sourceTopic !== topic || !takes(letter.reason)) continue
      const { sourcePartition, sourceOffset } = letter
      if (sourcePartition === undefined || sourceOffset === undefined) continue // it was never in the topic
      let offsets = refused.get(sourcePartition)
      if (!offsets) refused.set(sourcePartition, offsets = new Set())
      offsets.add(sourceOffset)
    }
  }
  return refused
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
