/** Prefixes of ids as ranges of an index, which sorts ids by their UTF-8 bytes, that is, by code points. */
import { ID_UNITS_MAX } from 'relay-rollups'

/** Ids from `from` (inclusive) to `before` (exclusive). */
export interface IdRange {
  readonly from: string
  readonly before: string
}

const CODE_POINT_MAX = 0x10ffff
/** After all ids. */
const END = String.fromCodePoint(CODE_POINT_MAX).repeat(ID_UNITS_MAX)

/** @returns ascending, without overlap: the ids that start with one of the prefixes */
export function prefixRanges (prefixes: readonly string[]): IdRange[] {
  const shortest: string[] = []
  for (const prefix of [...new Set(prefixes)].sort()) {
    // a prefix sorts right before everything that starts with it
    if (shortest.length === 0 || !prefix.startsWith(shortest[shortest.length - 1])) shortest.push(prefix)
  }
  return shortest.map(from => ({ from, before: nextAfter(from) }))
    .sort((a, b) => Buffer.compare(Buffer.from(a.from), Buffer.from(b.from)))
}

/** @returns ascending, without overlap: the ids that start with none of the prefixes */
export function rangesOutside (prefixes: readonly string[]): IdRange[] {
  const outside: IdRange[] = []
  let from = ''
  for (const range of prefixRanges(prefixes)) {
    if (from !== range.from) outside.push({ from, before: range.from })
    from = range.before
  }
  if (from !== END) outside.push({ from, before: END })
  return outside
}

/** The first text after all that start with a prefix. */
function nextAfter (prefix: string): string {
  const points = Array.from(prefix, it => it.codePointAt(0)!)
  while (points.length > 0) {
    const last = points.pop()!
    if (last === CODE_POINT_MAX) continue // nothing follows in this place
    // skips surrogates, which UTF-8 does not have
    return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1)
  }
  return END
}

/** The prefixes of ids that start with one of `prefixes` and with `prefix`. */
export function prefixesWithin (prefixes: readonly string[], prefix: string): string[] {
  return prefixes.some(it => prefix.startsWith(it)) ? [prefix] : prefixes.filter(it => it.startsWith(prefix))
}
