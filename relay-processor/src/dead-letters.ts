/**
 * Dead letters: records that could not be taken, as they came, with the reason. They are durable before the progress of
 * their partition moves; after a crash one may be there twice, and its source offset tells.
 */
import type { ProducedRecord, RejectedReason } from 'relay-common'

export type DeadLetterReason = RejectedReason | 'batch-corrupt'

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

const DETAIL_CHARACTERS_MAX = 500

/** The record of a dead letter; everything about it is in the headers. */
export function toRecord (letter: DeadLetter, source: DeadLetterSource, nowMs: number): ProducedRecord {
  return {
    key: letter.key,
    value: letter.value,
    headers: {
      'relay-reason': letter.reason,
      ...(letter.field === undefined ? {} : { 'relay-field': letter.field }),
      'relay-detail': letter.detail.slice(0, DETAIL_CHARACTERS_MAX),
      'relay-source-topic': source.topic,
      'relay-source-partition': String(source.partition),
      'relay-source-offset': String(letter.offset),
      'relay-time': new Date(nowMs).toISOString()
    }
  }
}
