/**
 * Dead letters: records that could not be taken, as they came, with the reason. They are durable before the progress of
 * their partition moves; after a crash one may be there twice, and its source offset tells.
 */
import { deadLetterHeaders, type DeadLetterReason, type ProducedRecord } from 'relay-common'

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
/**
 * What a letter holds of key and value. Brokers take records of up to 1 MiB unless told otherwise; a record that just
 * fitted would not fit with its headers, and a batch that was compressed can be any size. One letter that nobody takes
 * would stop the line.
 */
const VALUE_BYTES_MAX = 768 * 1024
const KEY_BYTES_MAX = 64 * 1024

/** The record of a dead letter; everything about it is in the headers. */
export function toRecord (letter: DeadLetter, source: DeadLetterSource, nowMs: number): ProducedRecord {
  const { key, value, reason, field, detail, offset } = letter
  const headers: Record<string, string> = {
    [deadLetterHeaders.reason]: reason,
    [deadLetterHeaders.detail]: detail.slice(0, DETAIL_CHARACTERS_MAX),
    [deadLetterHeaders.sourceTopic]: source.topic,
    [deadLetterHeaders.sourcePartition]: String(source.partition),
    [deadLetterHeaders.sourceOffset]: String(offset),
    [deadLetterHeaders.time]: new Date(nowMs).toISOString()
  }
  if (field !== undefined) headers[deadLetterHeaders.field] = field
  if (value !== null && value.length > VALUE_BYTES_MAX) headers[deadLetterHeaders.valueBytes] = String(value.length)
  return { key: key && key.subarray(0, KEY_BYTES_MAX), value: value && value.subarray(0, VALUE_BYTES_MAX), headers }
}
