/**
 * The traces of a flush. Records of sampled devices carry a `traceparent`; the flush that writes them is a span with
 * links to them, which begins a trace of its own. A flush without such records and without dead letters has no span.
 *
 *     record with traceparent ──fold──▶ Partition.traced ──flush──▶ span "flush" with links
 *     dead letter ─────────────────────────────────────────────────▶    ├── "read back", "settle", "COPY", "COMMIT"
 *                                                                       └── "dead letter", one each
 *                                                                           (dead-letters.ts)
 */
import { LINKS_MAX, type Link, type Span, type Tracer } from 'relay-common'

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
    letters += partition.deadLetters.count
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
