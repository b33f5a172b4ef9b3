import { narrowGrants, type EventGrants } from 'relay-access'
import type { ProducedRecord } from 'relay-event-log'
import { rejectedReasons } from 'relay-rollups'

/**
 * Dead letters: invalid records. A letter has the original key and bytes, and headers with everything known about them,
 * under these names. docs/dead-letters.md explains each reason.
 */

/**
 * Why the API refuses an event that a processor would accept. Events that producers write to the log themselves do not
 * get these reasons.
 */
export const ingestReasons = {
  'too-complex': 'The JSON is nested deeper than 100 levels, or has more than 1,000 names, objects and arrays.',
  'quota-exceeded': 'The caller has used up its quota of new series, zones or time partitions; try again later.'
} as const

/** Reasons of dead letters. Stable: headers, metrics, filters and runbooks use them. */
export const deadLetterReasons = {
  ...rejectedReasons,
  'key-mismatch': 'The key of the record is not its device id, and KEY_POLICY is reject.',
  'not-granted': 'The sender may not send for this device or zone, or not on this topic.',
  'batch-corrupt': 'The record batch has a wrong checksum, format or compression; the letter holds its bytes.',
  ...ingestReasons
} as const

export type DeadLetterReason = keyof typeof deadLetterReasons

export const deadLetterHeaders = {
  reason: 'relay-reason',
  /** the field at fault, if any */
  field: 'relay-field',
  /** one line for people: what was found */
  detail: 'relay-detail',
  /** of the record; for events that the API refused: protocol and topic, as in `mqtt:devices/d/events` */
  sourceTopic: 'relay-source-topic',
  sourcePartition: 'relay-source-partition',
  sourceOffset: 'relay-source-offset',
  /** of the processor that refused it: epoch and history of its claim, as in `12@0a1b2c` */
  claim: 'relay-claim',
  /** time of the refusal, ISO-8601 */
  time: 'relay-time',
  /** full length of a truncated value */
  valueBytes: 'relay-value-bytes',
  /** sender of an event that the API refused */
  principal: 'relay-principal',
  /** JSON: grants of that sender at that time (`EventGrants`) */
  grants: 'relay-grants'
} as const

/** The claim of a partition in which a processor refused a record. */
export interface LetterClaim {
  readonly epoch: bigint
  /** of the database */
  readonly historyId: string
}

/** Content of the headers of a letter. */
export interface DeadLetterInfo {
  readonly reason: string
  readonly field: string | undefined
  readonly detail: string
  readonly sourceTopic: string
  /** undefined: the API refused it, so it was never in the events topic */
  readonly sourcePartition: number | undefined
  readonly sourceOffset: bigint | undefined
  /** undefined: no processor refused it, or one of a version that did not write it */
  readonly claim: LetterClaim | undefined
  /** ms since the epoch */
  readonly timeMs: number
  /** full length of the value; undefined: the letter has all of it */
  readonly valueBytes: number | undefined
  /** the sender, if the API refused it; undefined: unknown, because it was in the events topic */
  readonly principal: string | undefined
  /** grants of the sender at that time; undefined: unknown or unreadable, so a replay skips it */
  readonly grants: EventGrants | undefined
}

const DETAIL_CHARACTERS_MAX = 500
/**
 * Most bytes of a value in a letter. Brokers accept records of up to 1 MiB by default. A record that just fitted would
 * not fit with its headers, and a compressed batch can have any size. One letter that no broker accepts would stop the
 * processor.
 */
const VALUE_BYTES_MAX = 768 * 1024
const KEY_BYTES_MAX = 64 * 1024

interface RecordPlace {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}

export interface NewDeadLetter {
  readonly key: Buffer | null
  /** the original bytes; for a corrupt batch, those of the batch */
  readonly value: Buffer | null
  /** full length, if `value` is truncated */
  readonly valueBytes?: number
  readonly reason: DeadLetterReason
  /** the field at fault, if any */
  readonly field: string | undefined
  readonly detail: string
  readonly source:
    | RecordPlace & { readonly claim: LetterClaim | undefined }
    | { readonly topic: string, readonly principal: string, readonly grants: EventGrants }
}

/** The record of a dead letter, with everything about it in its headers. */
export function toDeadLetterRecord (letter: NewDeadLetter, nowMs: number): ProducedRecord {
  const { key, value, reason, field, detail, source } = letter
  const names = deadLetterHeaders
  const bytes = letter.valueBytes ?? value?.length ?? 0
  return {
    key: key && key.subarray(0, KEY_BYTES_MAX),
    value: value && value.subarray(0, VALUE_BYTES_MAX),
    headers: {
      [names.reason]: reason,
      [names.detail]: detail.slice(0, DETAIL_CHARACTERS_MAX),
      [names.sourceTopic]: source.topic,
      ...'principal' in source
        ? { [names.principal]: source.principal, [names.grants]: writeGrants(source.grants, value) }
        : { [names.sourcePartition]: String(source.partition), [names.sourceOffset]: String(source.offset) },
      ...'claim' in source && source.claim ? { [names.claim]: `${source.claim.epoch}@${source.claim.historyId}` } : {},
      [names.time]: new Date(nowMs).toISOString(),
      ...field === undefined ? {} : { [names.field]: field },
      ...bytes > Math.min(value?.length ?? 0, VALUE_BYTES_MAX) ? { [names.valueBytes]: String(bytes) } : {}
    }
  }
}

/** Brokers accept records up to 1 MiB, and a key may have a thousand zones: then only those that matter are written. */
const GRANTS_CHARACTERS_MAX = 8 * 1024

function writeGrants (grants: EventGrants, value: Buffer | null): string {
  const all = JSON.stringify(grants)
  return all.length <= GRANTS_CHARACTERS_MAX ? all : JSON.stringify(narrowGrants(grants, value))
}

/** @returns undefined if these are not the headers of a dead letter: anybody may write to a topic */
export function decodeDeadLetter (headers: Readonly<Record<string, string>>): DeadLetterInfo | undefined {
  const names = deadLetterHeaders
  const principal = headers[names.principal]
  const isNumber = (text: string | undefined) => text !== undefined && /^\d+$/.test(text)
  const sourcePartition = headers[names.sourcePartition]
  const sourceOffset = headers[names.sourceOffset]
  const hasSource = isNumber(sourcePartition) && isNumber(sourceOffset)
  const timeMs = Date.parse(headers[names.time])
  if (!(names.reason in headers) || !(hasSource || principal !== undefined) || isNaN(timeMs)) return undefined
  const valueBytes = headers[names.valueBytes]
  return {
    reason: headers[names.reason],
    field: headers[names.field],
    detail: headers[names.detail] ?? '',
    sourceTopic: headers[names.sourceTopic] ?? '',
    sourcePartition: hasSource ? Number(sourcePartition) : undefined,
    sourceOffset: hasSource ? BigInt(sourceOffset) : undefined,
    claim: decodeClaim(headers[names.claim]),
    timeMs,
    valueBytes: valueBytes === undefined ? undefined : Number(valueBytes),
    principal,
    grants: decodeGrants(headers[names.grants])
  }
}

function decodeClaim (text: string | undefined): LetterClaim | undefined {
  const [, epoch, historyId] = /^(\d+)@(.+)$/.exec(text ?? '') ?? []
  return epoch === undefined ? undefined : { epoch: BigInt(epoch), historyId }
}

/** @returns undefined unless the text is valid: unreadable grants must not allow everything */
function decodeGrants (text: string | undefined): EventGrants | undefined {
  if (text === undefined) return undefined
  try {
    const read: unknown = JSON.parse(text)
    if (typeof read !== 'object' || read === null || Array.isArray(read)) return undefined
    const isTexts = (it: unknown) => Array.isArray(it) && it.every(text => typeof text === 'string')
    const isGrant = ([name, value]: [string, unknown]) =>
      name === 'deviceId'
        ? typeof value === 'string'
        : (name === 'zones' || name === 'devicePrefixes') && isTexts(value)
    return Object.entries(read).every(isGrant) ? read as EventGrants : undefined
  } catch {
    return undefined
  }
}
