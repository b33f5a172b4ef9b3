/**
 * Dead letters: invalid records, unchanged, with their reason. They are durable before the progress of their partition
 * moves. After a crash one may appear twice, with the same source offset.
 */
import { toDeadLetterRecord, type DeadLetterReason, type ProducedRecord, type TraceContext } from 'relay-common'

export interface DeadLetter {
  readonly key: Buffer | null
  /** the bytes of the record; for a corrupt batch, those of the batch */
  readonly value: Buffer | null
  readonly reason: DeadLetterReason
  /** the field at fault, if any */
  readonly field: string | undefined
  readonly detail: string
  readonly offset: bigint
  /** of its producer, if that is traced */
  trace?: TraceContext
}

export interface DeadLetterSource {
  readonly topic: string
  readonly partition: number
}

/** The record of a dead letter, with everything about it in its headers. */
export function toRecord (
  { offset, trace: _, ...letter }: DeadLetter, source: DeadLetterSource, nowMs: number
): ProducedRecord {
  return toDeadLetterRecord({ ...letter, source: { ...source, offset } }, nowMs)
}
