/**
 * Pieces: the series that a caller may see (`granted.ts`), some thousand at a time. A few devices of a zone of 300,000
 * cost no more than a few devices; all of them are many small statements, with turns for others in between. Pieces are
 * read at different moments; each device is of one moment.
 */
import type { Grants } from 'relay-access'

import type { Granted, GrantedSeries } from './granted-series.ts'
import type { Group, GroupBy } from './group-by.ts'

/** Series per statement. */
export const PIECE_SERIES = 2_000

/** The name of the group of some series. */
export function groupOfGranted (
  { zone, type }: Pick<GrantedSeries, 'zone' | 'type'>, groupBy: Exclude<GroupBy, 'device'> | undefined
): string {
  return groupBy === undefined ? '' : groupBy === 'zone' ? zone : type
}

/** The groups in the order of their names' bytes, with their numbers of series. */
export function groupsOfGranted (granted: Granted, groupBy: Exclude<GroupBy, 'device'> | undefined): readonly Group[] {
  return groupBy === undefined ? all(granted) : groupBy === 'zone' ? byZone(granted) : byType(granted)
}

const all = once(granted => countsOfGroups(granted, undefined))
const byZone = once(granted => countsOfGroups(granted, 'zone'))
const byType = once(granted => countsOfGroups(granted, 'type'))

function countsOfGroups ({ series }: Granted, groupBy: Exclude<GroupBy, 'device'> | undefined): Group[] {
  const counts = new Map<string, number>()
  for (const it of series) {
    const key = groupOfGranted(it, groupBy)
    counts.set(key, (counts.get(key) ?? 0) + it.ids.length)
  }
  return [...counts].map(([key, seriesCount]) => ({ key, bytes: Buffer.from(key), seriesCount }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ key, seriesCount }) => ({ key, seriesCount }))
}

/** Something with optional grants, and the series found for them if they were looked up: a selection. */
interface MayBeGranted {
  readonly grants?: Grants
  readonly granted?: Granted
}

/** The same for some groups. */
export function grantedOf<S extends MayBeGranted> (
  selection: S, groupBy: GroupBy | undefined, keys: readonly string[]
): S {
  const { granted } = selection
  if (granted === undefined || groupBy === undefined || groupBy === 'device') return selection
  const name = JSON.stringify([groupBy, keys])
  const before = lastPart.get(granted)
  if (before?.name === name) return { ...selection, granted: before.part }
  const wanted = new Set(keys)
  const part = { ...granted, series: granted.series.filter(it => wanted.has(groupOfGranted(it, groupBy))) }
  lastPart.set(granted, { name, part })
  return { ...selection, granted: part }
}

/** Many statements read a large group one after the other, so its part is cached. */
const lastPart = new WeakMap<Granted, { readonly name: string, readonly part: Granted }>()

/** Number of found series. @param granted undefined: none were looked for */
export function seriesOf (granted: Granted | undefined): number {
  return granted?.series.reduce((sum, it) => sum + it.ids.length, 0) ?? 0
}

/** Splits a selection for one statement each; a single one if its series were not found before, or are none. */
export function piecesOf<S extends MayBeGranted> (selection: S): S[] {
  const { granted } = selection
  return granted === undefined ? [selection] : cut(granted).map(piece => ({ ...selection, granted: piece }))
}

/** Cuts into pieces. */
const cut = once((granted: Granted): Granted[] => {
  const pieces: Granted[] = []
  let piece: GrantedSeries[] = []
  let left = PIECE_SERIES
  const end = () => {
    pieces.push({ ...granted, series: piece })
    piece = []
    left = PIECE_SERIES
  }
  for (const { ids, ...group } of granted.series) {
    for (let n = 0; n < ids.length;) {
      const some = ids.subarray(n, n + left)
      piece.push({ ...group, ids: some })
      n += some.length
      left -= some.length
      if (left === 0) end()
    }
  }
  if (piece.length > 0 || pieces.length === 0) end()
  return pieces
})

/** Caches a result per set of series: an answer has thousands of equal pieces. */
function once<T> (make: (granted: Granted) => T): (granted: Granted) => T {
  const made = new WeakMap<Granted, { readonly it: T }>()
  return granted => {
    let known = made.get(granted)
    if (known === undefined) made.set(granted, known = { it: make(granted) })
    return known.it
  }
}
