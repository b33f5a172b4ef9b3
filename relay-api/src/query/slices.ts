/**
 * Slices: an answer split into small statements, for any range and number of groups.
 *
 *     small groups: several of them, each with all of its rows        a large group: a part of its rows, then the next
 *
 * Many series have few of the possible rows. A look-up costs the same for one row of the answer and for a thousand, so
 * the size of a slice depends on the results so far.
 */
import type { Database } from 'relay-common'

import type { Asker } from '../sharing/asker.ts'
import { PIECE_SERIES } from './pieces.ts'
import { PARTITIONS_GUESS, readGroups, readsDeviceSeries } from './groups.ts'
import type { Group } from './group-by.ts'
import { countOf, endOfSome, readOccupied, union, within, type Ordinals } from './occupied.ts'
import { planSize } from './plan.ts'
import { ordinalOf, type RowsQuery } from './rows-query.ts'
import { planRows } from './read-buckets.ts'

/** Some rows of some groups: one statement. Ordinals count rows in the order of the answer. */
export interface Slice {
  readonly groups: readonly Group[]
  readonly first: number
  readonly end: number
  /** the part that may have readings, ascending */
  readonly occupied: readonly Ordinals[]
}

/** Approximate number of table rows that one statement reads. */
const STATEMENT_ROWS = 10_000
/** Most rows of an answer from one statement: each may have a distribution with up to 2,048 bins. */
const SLICE_ROWS_MAX = 1_000
const GROUPS_PAGE = 500
/** Growth of a slice compared with the previous one, if that found almost nothing. */
const GROWTH_MAX = 16
/** The same if an earlier one found many. */
const GROWTH_MIN = 2
const COUNTED_OF_SERIES = 3
/** Most table rows that one statement may have to read, if all possible ones exist. */
const STATEMENT_ROWS_MAX = 1_000_000
/**
 * Most rows of an answer that a statement may make for small groups, where all are there that may be: they are in
 * memory.
 */
const BATCH_ROWS_MAX = 8_000
/** How many times as many groups a batch may have as the one before, where that found few rows. */
const BATCH_GROWTH_MAX = 4

/** Splits an answer, from its start. */
export async function * slices (database: Database, query: RowsQuery, asker: Asker): AsyncGenerator<Slice> {
  const { selection, groupBy, boundaries, after } = query
  const rowCount = boundaries.length - 1
  const kind = readsDeviceSeries(selection, groupBy) ? 'devices' : 'groups'
  const middle = Math.floor(rowCount / 2)
  const rowSize = planSize(planRows(boundaries, middle, middle + 1)[0]) * (kind === 'groups' ? PARTITIONS_GUESS : 1)

  const all = [{ first: 0, end: rowCount }]
  if (isOneSlice(query)) {
    yield { groups: [{ key: '', seriesCount: 1 }], first: 0, end: rowCount, occupied: all }
    return
  }
  let first = after === undefined ? 0 : ordinalOf(query, after.startMs) + 1
  let from = after && { key: after.key, isIncluded: first < rowCount }
  if (first >= rowCount) {
    if (groupBy === undefined) return
    first = 0
  }
  // grows while results are sparse: an answer of ten rows should not read thousands
  let sliceRows = Math.min(query.limit + 1, SLICE_ROWS_MAX)
  /** existing part of the possible rows of a group */
  let share = 1
  let growth = GROWTH_MAX
  /** the same for the rows of small groups */
  let batchShare = 1
  const grow = () => { sliceRows = Math.min(sliceRows * 2, SLICE_ROWS_MAX) }

  while (true) {
    const turn = asker.pace()
    if (turn) await turn
    const groups = await readGroups(database, selection, groupBy, kind, from, GROUPS_PAGE)
    if (first > 0 && groups[0]?.key !== after?.key) first = 0 // the group of the last row no longer exists
    const occupied = await readOccupied(database, query, kind, groups)
    const rowsOf = ({ key }: Group) => occupied?.get(key) ?? all
    for (let n = 0; n < groups.length;) {
      const { seriesCount } = groups[n]
      const rows = rowsOf(groups[n])
      const mayBe = seriesCount * rowSize
      const rowsThatFit = Math.min(
        Math.floor(Math.max(STATEMENT_ROWS, seriesCount) / (mayBe * share)),
        Math.floor(STATEMENT_ROWS_MAX / (Math.min(seriesCount, selection.granted ? PIECE_SERIES : Infinity) * rowSize)))
      const rowsAtOnce = Math.max(Math.min(rowsThatFit, sliceRows), 1)
      const end = Math.min(endOfSome(rows, first, rowsAtOnce), rowCount)
      if (end < rowCount) {
        const readBefore = asker.rowsRead
        yield { groups: [groups[n]], first, end, occupied: within(rows, { first, end }) }
        // without the fixed counts of each series: the series, and hours with late readings
        const found = Math.max(asker.rowsRead - readBefore - seriesCount * COUNTED_OF_SERIES, 0)
        share = Math.min(Math.max(found / (mayBe * rowsAtOnce), share / growth), 1)
        growth = found > 0 ? GROWTH_MIN : Math.min(growth * 2, GROWTH_MAX)
        first = end
      } else {
        const endOfGroups = first > 0
          ? n + 1
          : endOfBatch(groups, n, it => countOf(rowsOf(it)), rowSize, sliceRows, batchShare)
        const some = groups.slice(n, endOfGroups)
        const occupied = within(union(some.map(rowsOf)), { first, end: rowCount })
        const readBefore = asker.rowsRead
        yield { groups: some, first, end: rowCount, occupied }
        const lookedFor = some.length * countOf(occupied) // is counted as read, whether it is there or not
        const counted = some.reduce((sum, it) => sum + it.seriesCount * COUNTED_OF_SERIES, 0)
        const found = Math.max(asker.rowsRead - readBefore - lookedFor - counted, 0)
        if (lookedFor > 0) batchShare = Math.min(Math.max(found / lookedFor, batchShare / BATCH_GROWTH_MAX), 1)
        n = endOfGroups
        first = 0
      }
      grow()
    }
    if (groups.length < GROUPS_PAGE || groupBy === undefined) return
    from = { key: groups[groups.length - 1].key, isIncluded: false }
  }
}

/** More rows are worth the question which of them may have readings. */
const ONE_SLICE_ROWS_MAX = 100

/**
 * Whether a query is of few rows of a device or a zone, which have few series: then nothing is asked about its groups
 * before. Rows without readings are left out, so a device that does not exist has none.
 */
export function isOneSlice ({ selection, groupBy, boundaries, fill, after, statistics }: RowsQuery): boolean {
  const { devices, zones, granted } = selection
  return groupBy === undefined && after === undefined && fill === 'none' && granted === undefined &&
    boundaries.length <= ONE_SLICE_ROWS_MAX && !statistics.some(it => it.needsSteps) &&
    (devices.length === 1 || (devices.length === 0 && zones.length === 1))
}

/**
 * How many groups from the n-th on fit into one statement with all of their rows.
 * @param share of the rows that there may be, those that are probably there
 */
function endOfBatch (
  groups: readonly Group[], n: number, rowsOf: (group: Group) => number, rowSize: number, sliceRows: number,
  share: number
): number {
  let end = n
  for (let [size, rows, rowsMax] = [0, 0, 0]; end < groups.length; end++) {
    const own = rowsOf(groups[end])
    size += groups[end].seriesCount * rowSize * own * share
    rows += Math.max(own * share, 1)
    rowsMax += own
    if (end > n && (size > STATEMENT_ROWS || rows > sliceRows || rowsMax > BATCH_ROWS_MAX)) break
  }
  return end
}
