import type { RecordSet, RecordVisitor } from 'relay-event-log'

/** Records as a log returns them: keys and values consecutive in one buffer. */
export function recordsOf (
  partition: number, baseOffset: bigint, values: ReadonlyArray<string | Buffer | null>, endOffset = baseOffset +
    BigInt(values.length)
): RecordSet {
  const parts = values.map(it => it === null ? null : Buffer.from(it))
  const buffer = Buffer.concat(parts.map(it => it ?? Buffer.alloc(0)))
  return {
    partition,
    baseOffset,
    nextOffset: baseOffset + BigInt(values.length),
    endOffset,
    sizeBytes: buffer.length,
    forEach (visitor: RecordVisitor) {
      let at = 0
      for (const [offsetDelta, part] of parts.entries()) {
        if (part === null) {
          visitor.record(buffer, -1, -1, -1, -1, offsetDelta)
        } else {
          visitor.record(buffer, -1, -1, at, at + part.length, offsetDelta)
          at += part.length
        }
      }
    }
  }
}
