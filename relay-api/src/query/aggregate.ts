/**
 * Aggregates: the rows of an answer, in order, while they are read. Groups are sorted by name, and their rows by time.
 * So an answer of any length is read by small statements, one after the other. It holds no connection and little memory
 * while its client reads.
 *
 *     slices ──read──▶ rows with readings ──fill──▶ rows ──limit──▶ chunks, and where to go on
 */
import { tooMuchToRead } from '../sharing/asker.ts'
import { createFiller, type AnswerRow, type FoundRow, type RowNumbers } from './fill.ts'
import { readGroupRows, type RowSource } from './group-rows.ts'
import { readsDeviceSeries } from './groups.ts'
import { readRowsBefore } from './look-back.ts'
import { countOf, type Ordinals } from './occupied.ts'
import type { Plan } from './plan.ts'
import { ordinalOf, rowOf, type CursorPosition, type RowsQuery } from './rows-query.ts'
import { planRows, type BucketQuery } from './read-buckets.ts'
import { readSteps } from './read-steps.ts'
import { numbersOf } from './row-numbers.ts'
import { slices, type Slice } from './slices.ts'

/** Rows per chunk: some ms of writing. */
const CHUNK_ROWS = 250
/** An answer with more statements counts as long. */
const SHORT_SLICES_MAX = 8

/**
 * Reads an answer. One that reaches the limit of an answer ends early, with the start of the next one.
 * @returns chunks of rows, possibly empty; finally the start of the next answer, or undefined at the end
 * @throws RelayError RELAY_DATABASE_UNREACHABLE, RELAY_ROLLUP_CORRUPT, RELAY_TOO_MANY_POINTS if it reached the limit
 *   without a row to continue after
 */
export async function * aggregate (
  source: RowSource, query: RowsQuery
): AsyncGenerator<AnswerRow[], CursorPosition | undefined> {
  if (query.boundaries.length < 2) return undefined
  const filler = createFiller(query)
  let left = query.limit
  let position = query.after
  let chunk: AnswerRow[] = []

  const { asker } = source
  let slicesRead = 0
  for await (const slice of slices(source.database, query, asker)) {
    if (!asker.mayReadOn) {
      if (query.limit === Infinity || position === query.after) throw tooMuchToRead()
      yield chunk
      return position
    }
    if (slicesRead++ === SHORT_SLICES_MAX) asker.becomeLong()
    for (const found of await readSlice(source, query, slice)) {
      for (const { row, ...rest } of filler.rowsOf(found)) {
        if (left === 0) {
          yield chunk
          return position
        }
        left--
        chunk.push(rest)
        position = { key: rest.key, startMs: query.boundaries.at(row), anchor: filler.anchor() }
        if (chunk.length < CHUNK_ROWS) continue
        const turn = asker.pace()
        if (turn) await turn
        yield chunk
        chunk = []
      }
    }
    if (query.fill === 'none') position = endOf(slice, query)
    asker.countRead(slice.groups.length * countOf(slice.occupied))
  }
  yield chunk
  return undefined
}

/** After all rows of a slice: without filling, no row depends on an earlier slice. */
function endOf ({ groups, end }: Slice, query: RowsQuery): CursorPosition {
  return {
    key: groups[groups.length - 1].key, startMs: query.boundaries.at(rowOf(query, end - 1)), anchor: undefined
  }
}

async function readSlice (
  source: RowSource, query: RowsQuery, { groups, first, end, occupied }: Slice
): Promise<FoundRow[]> {
  const { boundaries, isDescending, lookBack } = query
  const rowCount = boundaries.length - 1
  const keys = groups.map(it => it.key)
  const rows = occupied.map(it => isDescending
    ? { first: rowOf(query, it.end - 1), end: rowOf(query, it.first) + 1 }
    : it)
  const read = await readRowNumbers(source, query, keys, isDescending ? rows.reverse() : rows)
  const isAtStart = isDescending ? end === rowCount : first === 0
  const isOpen = (key: string) => isAtStart ? !read.get(key)!.has(0) : goesOnWithoutAnchor(query, key, first)
  const before = lookBack && await readRowsBefore(source.database, query, lookBack, keys.filter(isOpen),
    async (keys, { startMs, endMs }) => firstRows(await readPlans(
      source, query, keys, planRows([startMs, endMs], 0, 1), [startMs, endMs]
    )), source.asker)

  const found: FoundRow[] = []
  for (const key of keys) {
    const numbers = before?.get(key)?.numbers
    if (numbers) found.push({ kind: 'before', key, numbers })
    const rows = [...read.get(key)!].sort(([a], [b]) => isDescending ? b - a : a - b)
    for (const [n, facts] of rows) found.push({ kind: 'row', key, ordinal: rowOf(query, n), facts })
    if (end === rowCount) found.push({ kind: 'group-end', key })
  }
  return found
}

/** Whether a page starts within a group that had no row with readings before. */
function goesOnWithoutAnchor (query: RowsQuery, key: string, first: number): boolean {
  const { after, isDescending } = query
  if (isDescending || after?.key !== key || after.anchor !== undefined) return false
  return first === ordinalOf(query, after.startMs) + 1
}

/** By group, and by row in it: rows with readings. */
type ReadRows = Map<string, Map<number, RowNumbers>>

function firstRows (rows: ReadRows): Map<string, RowNumbers> {
  return new Map([...rows].flatMap(([key, ofGroup]) => [...ofGroup.values()].map(it => [key, it] as const)))
}

/** @param stretches of indexes of rows, ascending; only one if steps are wanted */
async function readRowNumbers (
  source: RowSource, query: RowsQuery, keys: readonly string[], stretches: readonly Ordinals[]
): Promise<ReadRows> {
  const { boundaries } = query
  const indexes = stretches.flatMap(({ first, end }) => Array.from({ length: end - first }, (_, n) => first + n))
  const plans = stretches.flatMap(({ first, end }) => planRows(boundaries, first, end))
  const ofSteps = query.statistics.some(it => it.needsSteps)
    ? boundaries.slice(stretches[0].first, stretches[0].end + 1)
    : []
  const read = await readPlans(source, query, keys, plans, ofSteps)
  return new Map([...read].map(([key, rows]) => [key, new Map([...rows].map(([n, it]) => [indexes[n], it]))]))
}

/** Reads one plan per row. @param boundaries of all these rows, for steps */
async function readPlans (
  source: RowSource, query: RowsQuery, keys: readonly string[], plans: readonly Plan[], boundaries: readonly number[]
): Promise<ReadRows> {
  if (plans.length === 0) return new Map(keys.map(key => [key, new Map()]))
  const { selection, groupBy, marksRevised } = query
  const kind = readsDeviceSeries(selection, groupBy) ? 'devices' : 'groups'
  const parts = query.statistics.some(it => it.needsDistribution) ? 'all' : 'sums'
  const bucketQuery: BucketQuery = { selection, groupBy, kind, parts, marksRevised }
  const merged = await readGroupRows(source, bucketQuery, keys, plans, query.nowMs)
  const steps = query.statistics.some(it => it.needsSteps)
    ? await readSteps(source.database, query, new Map(keys.map(key => [key, boundaries])), source.asker)
    : undefined
  const read: ReadRows = new Map()
  for (const key of keys) {
    const rows = new Map<number, RowNumbers>()
    for (const [n, it] of merged.get(key)!) {
      const turn = source.asker.pace()
      if (turn) await turn
      rows.set(n, numbersOf(query, it, steps?.get(key)![n]))
    }
    read.set(key, rows)
  }
  return read
}
