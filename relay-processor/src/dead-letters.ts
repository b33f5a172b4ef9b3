/**
 * Dead letters: records that could not be taken, as they came, with the reason. They are durable before the progress of
 * their partition moves; after a crash one may be there twice, and its source offset tells.
 */
import { toDeadLetterRecord, type DeadLetterReason, type ProducedRecord } from 'relay-common'

export interface DeadLetter {
  readonly key: Buffer | null
  /** the record's own bytes; of a corrupt batch, the bytes of the batch */
  readonly value: Buffer | null
  readonly reason: DeadLetterReason
  /** the field at fault, where one is */
  readonly field: string | undefined
  readonly detail: string
  readonly offset: bigint
}

export interface DeadLetterSource {
  readonly topic: string
  readonly partition: number
}

/** The record of a dead letter; everything about it is in the headers. */
export function toRecord ({ offset, ...letter }: DeadLetter, source: DeadLetterSource, nowMs: number): ProducedRecord {
  return toDeadLetterRecord({ ...letter, source: { ...source, offset } }, nowMs)
}
