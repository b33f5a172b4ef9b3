/** Prefixes of ids as stretches of an index, which sorts ids by the bytes of their UTF-8: that is by code points. */
import { ID_UNITS_MAX } from 'relay-common'

/** Ids from `from` on, and before `before`. */
export interface IdRange {
  readonly from: string
  readonly before: string
}

const CODE_POINT_MAX = 0x10ffff
/** Behind all ids. */
const END = String.fromCodePoint(CODE_POINT_MAX).repeat(ID_UNITS_MAX)

/** @returns ascending, none overlapping: the ids that begin with one of the prefixes */
export function prefixRanges (prefixes: readonly string[]): IdRange[] {
  const shortest: string[] = []
  for (const prefix of [...new Set(prefixes)].sort()) {
    // a prefix stands right before all that begin with it
    if (shortest.length === 0 || !prefix.startsWith(shortest[shortest.length - 1])) shortest.push(prefix)
  }
  return shortest.map(from => ({ from, before: nextAfter(from) }))
    .sort((a, b) => Buffer.compare(Buffer.from(a.from), Buffer.from(b.from)))
}

/** @returns ascending, none overlapping: the ids that begin with none of the prefixes */
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

/** The first text behind all that begin with a prefix. */
function nextAfter (prefix: string): string {
  const points = Array.from(prefix, it => it.codePointAt(0)!)
  while (points.length > 0) {
    const last = points.pop()!
    if (last === CODE_POINT_MAX) continue // nothing is behind it in this place
    return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1) // no surrogates: they are in no UTF-8
  }
  return END
}

/** The prefixes of ids that begin with one of some, and with another one. */
export function prefixesWithin (prefixes: readonly string[], prefix: string): string[] {
  return prefixes.some(it => prefix.startsWith(it)) ? [prefix] : prefixes.filter(it => it.startsWith(prefix))
}
