/**
 * Dead letters: invalid records, unchanged, with their reason.
 *
 *     record ──fold.ts: invalid──▶ DeadLetters of the partition ──flush.ts, step 4──▶ send ──▶ DEAD_LETTERS_TOPIC
 *
 * They are durable before the progress of their partition moves. After a crash one may appear twice, with the same
 * source offset. Each names our claim of the partition: if that is fenced before progress moves, the next owner decides
 * anew, and its decision counts (refused-records.ts). relay-dead-letters, `dead-letter.ts` has the reasons and the
 * headers.
 */
import { formatTraceparent, TRACEPARENT, type Span, type TraceContext, type Tracer } from 'relay-common'
import { toDeadLetterRecord, type DeadLetterReason, type LetterClaim } from 'relay-dead-letters'
import type { EventProducer, ProducedRecord, Topic } from 'relay-event-log'

import type { Clock } from './clock.ts'
import type { ProcessorMetrics } from './metrics.ts'

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

/** approximate memory of a dead letter besides its bytes, so that a flood of empty records is bounded too */
const LETTER_BYTES = 500

/** The dead letters of a partition since the last flush. */
export class DeadLetters {
  #letters: DeadLetter[] = []
  #bytes = 0

  get count (): number { return this.#letters.length }

  /** approximate memory */
  get bytes (): number { return this.#bytes }

  /** Copies the key and the value, because the fetched bytes are released. */
  add ({ key, value, ...rest }: DeadLetter): void {
    this.#bytes += LETTER_BYTES + (key?.length ?? 0) + (value?.length ?? 0)
    this.#letters.push({ key: key && Buffer.from(key), value: value && Buffer.from(value), ...rest })
  }

  /** Notes the trace of the newest letter, if the record at this offset became one. */
  noteTrace (offset: bigint, trace: TraceContext): void {
    const newest = this.#letters.at(-1)
    if (newest?.offset === offset) newest.trace = trace
  }

  /** Returns all letters, and starts again without any. */
  take (): DeadLetter[] {
    const letters = this.#letters
    this.#letters = []
    this.#bytes = 0
    return letters
  }
}

/** The partition that letters come from, and our claim of it. */
interface Source extends LetterClaim {
  readonly topic: Topic
  readonly partition: number
}

/**
 * Makes letters durable.
 * @param span of the flush, if it is traced
 * @throws what the producer threw; no letter is lost, because progress has not moved
 */
export type SendDeadLetters = (source: Source, letters: readonly DeadLetter[], span: Span | undefined) => Promise<void>

interface SenderParts {
  readonly producer: EventProducer
  readonly clock: Clock
  readonly metrics: Pick<ProcessorMetrics, 'deadLetters'>
  readonly tracer?: Tracer | undefined
}

/** @param topic of dead letters */
export function createDeadLetterSender (
  topic: string, { producer, clock, metrics, tracer }: SenderParts
): SendDeadLetters {
  return async (source, letters, span) => {
    await producer.send(topic, toRecords(letters, source, clock.nowMs(), span && tracer && { span, tracer }))
    for (const { reason } of letters) metrics.deadLetters.inc({ reason })
  }
}

/**
 * The records of letters, with everything about a letter in its headers. Of a traced flush, each letter is a span,
 * whose `traceparent` is among the headers, as long as the queue of spans has room.
 */
function toRecords (
  letters: readonly DeadLetter[], { topic, partition, epoch, historyId }: Source, nowMs: number,
  traced: { readonly span: Span, readonly tracer: Tracer } | undefined
): ProducedRecord[] {
  let dropped = 0
  const records = letters.map(({ offset, trace, ...letter }) => {
    const source = { topic: topic.name, partition, offset, claim: { epoch, historyId } }
    const record = toDeadLetterRecord({ ...letter, source }, nowMs)
    if (!traced) return record
    if (traced.tracer.isFull) {
      dropped++
      return record
    }
    const span = traced.span.child('dead letter', {
      links: trace ? [{ context: trace }] : [],
      attributes: {
        'relay.reason': letter.reason,
        'relay.detail': letter.detail,
        'messaging.destination.name': topic.name,
        'messaging.destination.partition.id': String(partition),
        'relay.offset': String(offset)
      }
    })
    span.end()
    return { ...record, headers: { ...record.headers, [TRACEPARENT]: formatTraceparent(span) } }
  })
  if (dropped > 0) traced!.tracer.drop(dropped)
  return records
}
