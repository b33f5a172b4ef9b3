import { rejectedReasons } from './event.ts'

/**
 * Dead letters: records that could not be taken. The record of a letter has the key and the bytes that came; all that
 * is known about them is in its headers, under these names. docs/dead-letters.md says what to do about each reason.
 */

/** Why a record is a dead letter. Stable: headers, metrics, filters and runbooks name them. */
export const deadLetterReasons = {
  ...rejectedReasons,
  'key-mismatch': 'The key of the record is not its device id, and this site has KEY_POLICY=reject.',
  'batch-corrupt': 'A batch of records whose checksum, format or compression is wrong; the letter holds its bytes.'
} as const

export type DeadLetterReason = keyof typeof deadLetterReasons

export const deadLetterHeaders = {
  reason: 'relay-reason',
  /** the field at fault, where it is one */
  field: 'relay-field',
  /** one line for people: what was found */
  detail: 'relay-detail',
  sourceTopic: 'relay-source-topic',
  sourcePartition: 'relay-source-partition',
  sourceOffset: 'relay-source-offset',
  /** when the processor met it, ISO-8601 */
  time: 'relay-time',
  /** how many bytes the value had, where the letter holds only the first of them */
  valueBytes: 'relay-value-bytes'
} as const

/** What the headers of a letter say. */
export interface DeadLetterInfo {
  readonly reason: string
  readonly field: string | undefined
  readonly detail: string
  readonly sourceTopic: string
  readonly sourcePartition: number
  readonly sourceOffset: bigint
  /** ms since the epoch */
  readonly timeMs: number
  /** length of the value that came; undefined: the letter holds all of it */
  readonly valueBytes: number | undefined
}

/** @returns undefined for headers that are not those of a dead letter: anybody may write to a topic */
export function readDeadLetter (headers: Readonly<Record<string, string>>): DeadLetterInfo | undefined {
  const names = deadLetterHeaders
  const sourcePartition = headers[names.sourcePartition]
  const sourceOffset = headers[names.sourceOffset]
  const timeMs = Date.parse(headers[names.time])
  if (!(names.reason in headers) || !/^\d+$/.test(sourcePartition) || !/^\d+$/.test(sourceOffset) || isNaN(timeMs)) {
    return undefined
  }
  const valueBytes = headers[names.valueBytes]
  return {
    reason: headers[names.reason],
    field: headers[names.field],
    detail: headers[names.detail] ?? '',
    sourceTopic: headers[names.sourceTopic] ?? '',
    sourcePartition: Number(sourcePartition),
    sourceOffset: BigInt(sourceOffset),
    timeMs,
    valueBytes: valueBytes === undefined ? undefined : Number(valueBytes)
  }
}
