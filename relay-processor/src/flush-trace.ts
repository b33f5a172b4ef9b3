/**
 * The traces of a flush. Records of sampled devices carry a `traceparent`; the flush that writes them is a span with
 * links to them, which begins a trace of its own. A flush without such records and without dead letters has no span.
 *
 *     record with traceparent ──fold──▶ Partition.traced ──flush──▶ span "flush" with links
 *     dead letter ─────────────────────────────────────────────────▶    ├── "read back", "settle", "COPY", "COMMIT"
 *                                                                       └── "dead letter", one each
 */
import {
  formatTraceparent, LINKS_MAX, TRACEPARENT, type Link, type ProducedRecord, type Span, type Tracer
} from 'relay-common'

import { toRecord, type DeadLetter, type DeadLetterSource } from './dead-letters.ts'
import type { Partition } from './partition.ts'
import { TracedRecords } from './traced-records.ts'

/** @returns undefined: nothing of the flush is traced */
export function startFlushSpan (
  tracer: Tracer | undefined, partitions: readonly Partition[], flushNumber: number
): Span | undefined {
  if (!tracer) return undefined
  const links: Link[] = []
  let traced = 0
  let letters = 0
  for (const partition of partitions) {
    letters += partition.deadLetters.length
    traced += partition.traced.count
    for (const { context, offset } of partition.traced.kept) {
      if (links.length === LINKS_MAX) break
      links.push({ context, attributes: placeOf(partition, offset) })
    }
    if (partition.traced.count > 0) partition.traced = new TracedRecords()
  }
  if (traced === 0 && letters === 0) return undefined
  return tracer.start('flush', {
    kind: 'consumer',
    links,
    attributes: {
      'relay.flush': flushNumber,
      'relay.partitions': partitions.map(it => `${it.partition}:${it.writtenOffset}-${it.nextOffset}`).join(' '),
      'relay.traced_events': traced,
      'relay.dead_letters': letters
    }
  })
}

function placeOf ({ topic, partition }: Partition, offset: bigint) {
  return {
    'messaging.destination.name': topic.name,
    'messaging.destination.partition.id': String(partition),
    'relay.offset': String(offset)
  }
}

/**
 * The records of dead letters. Each letter is a span, whose `traceparent` is in the letter, as long as the queue of
 * spans has room.
 * @param span of the flush
 */
export function toTracedRecords (
  tracer: Tracer | undefined, span: Span | undefined, letters: readonly DeadLetter[], source: DeadLetterSource,
  nowMs: number
): ProducedRecord[] {
  let dropped = 0
  const records = letters.map(letter => {
    const record = toRecord(letter, source, nowMs)
    if (!tracer || !span) return record
    if (tracer.isFull) {
      dropped++
      return record
    }
    const own = span.child('dead letter', {
      links: letter.trace ? [{ context: letter.trace }] : [],
      attributes: {
        'relay.reason': letter.reason,
        'relay.detail': letter.detail,
        'messaging.destination.name': source.topic,
        'messaging.destination.partition.id': String(source.partition),
        'relay.offset': String(letter.offset)
      }
    })
    own.end()
    return { ...record, headers: { ...record.headers, [TRACEPARENT]: formatTraceparent(own) } }
  })
  if (dropped > 0) tracer!.drop(dropped)
  return records
}
