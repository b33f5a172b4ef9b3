/**
 * Reads all readings of a selection in one or several ranges, merged: from the cache as far as it is valid, otherwise
 * from rows.
 *
 *     range ──plan──▶ buckets ──split──▶ blocks in memory ─────────────────────┐
 *                                        rows ──read──▶ blocks ──keep──▶ memory ├──▶ total
 *                                        edges ────────────────────────────────┘
 *
 * One statement reads the rows and reports changes of cached blocks, so the total is of one moment. If a block has
 * changed, the database is of another history, or the retention has changed, it is repeated.
 */
import type { Database } from 'relay-common'
import { lastAtOrBefore, type LevelName, type RollupParts, type TimeRange } from 'relay-rollups'

import type { DatabaseHistory } from '../database-history.ts'
import { keptSinceOf, type LevelRetentions } from './kept-since.ts'
import { nobody, type Asker } from '../sharing/asker.ts'
import { createBatches, type Batches } from './batch.ts'
import { blocksOf, halvesOf, type CacheBlock } from './blocks.ts'
import { createCrowds } from './crowded.ts'
import { piecesOf, seriesOf } from './pieces.ts'
import {
  addRow, createMerge, emptyTally, joinTally, type Merge, type Merged, type ReadRow, type Tally
} from './merge.ts'
import { planRange, type BucketRange, type Plan } from './plan.ts'
import type { BucketQuery } from './read-buckets.ts'
import { readRows, type SelectedArrivals, type Moment } from './read-rows.ts'
import { createRollupCache, type KeptBlock, type RollupCache } from './rollup-cache.ts'
import { filterReadsDeviceSeries, type SeriesFilter, type Wanted } from './rows-statement.ts'

export interface TotalReader {
  /** @throws RelayError RELAY_DATABASE_UNREACHABLE, RELAY_ROLLUP_CORRUPT */
  readTotal (filter: SeriesFilter, range: TimeRange, nowMs: number, asker?: Asker): Promise<Merged>
  /**
   * The totals of several ranges, all of one moment.
   * @param plans of the ranges, ascending, without overlap
   * @param wanted parts: of the totals, default: everything; marksRevised: whether to report arrivals between the first
   *   and the last range
   * @throws RelayError RELAY_DATABASE_UNREACHABLE, RELAY_ROLLUP_CORRUPT
   */
  readTotals (
    filter: SeriesFilter, plans: readonly Plan[], nowMs: number, wanted: WantedTotals, asker?: Asker
  ): Promise<Totals>
}

export type WantedTotals = Pick<BucketQuery, 'parts' | 'marksRevised'>

export interface Totals {
  /** by range */
  readonly merged: readonly Merged[]
  /** in all ranges, and between them */
  readonly arrivals: SelectedArrivals
}

/** Changes between two attempts are rare; a third one does without the cache. */
const ATTEMPTS_WITH_MEMORY = 2
const ATTEMPTS_MAX = 5

/**
 * @param cacheMaxBytes memory for merged blocks; 0: none
 * @param history gets the history of each statement
 */
export function createTotalReader (
  database: Database, cacheMaxBytes: number, history: Pick<DatabaseHistory, 'note'> = { note: () => {} }
): TotalReader {
  const batches = createBatches(database)
  const crowds = createCrowds(database)
  const cache = createRollupCache(cacheMaxBytes)
  const noCache = createRollupCache(0)
  const cacheOf = (attempt: number) => attempt <= ATTEMPTS_WITH_MEMORY ? cache : noCache
  let retention: LevelRetentions = {}
  /** Whether the statement waits behind short ones, because it reads the edges of very many devices one by one. */
  const isLong = async (filter: SeriesFilter, plans: readonly Plan[], { caller, signal }: Asker) =>
    !filterReadsDeviceSeries(filter) && plans.some(({ edges }) => edges.some(it => !it.isOfGroups)) &&
    await crowds.isCrowded(filter, { caller, signal })

  return {
    async readTotal (filter, range, nowMs, asker = nobody) {
      for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
        const plan = planOf(attempt, filter, planRange(range, keptSinceOf(retention, nowMs)), nowMs)
        const how = { marksRevised: false, isLong: await isLong(filter, [plan], asker) }
        const { merged, moment } = await attemptTotals(batches, filter, [plan], cacheOf(attempt), nowMs, asker, how)
        history.note(moment.historyId)
        const isSame = isSameRetention(retention, moment.retention)
        retention = moment.retention
        if (merged && isSame) return merged[0]
      }
      throw new Error('the retention changed several times during one read')
    },
    async readTotals (filter, plans, nowMs, { parts, marksRevised = false }, asker = nobody) {
      for (let attempt = 1; ; attempt++) {
        const planned = plans.map(it => planOf(attempt, filter, it, nowMs))
        const how = { parts, marksRevised, isLong: await isLong(filter, planned, asker) }
        const { merged, moment } = await attemptTotals(batches, filter, planned, cacheOf(attempt), nowMs, asker, how)
        history.note(moment.historyId)
        if (merged) return { merged, arrivals: moment.arrivals }
      }
    }
  }
}

function isSameRetention (a: LevelRetentions, b: LevelRetentions): boolean {
  return (['minute', 'hour', 'day'] as LevelName[]).every(it => a[it] === b[it])
}

/** Readings take longer than this from a device to the database. */
const FRESH_MS = 500

/**
 * If a range ends now, all readings of its groups' last minute are before its end, so groups can answer for all
 * devices, which are most of the journal. If that is wrong, the devices' minutes are read in the next attempt.
 */
function planOf (attempt: number, filter: SeriesFilter, plan: Plan, nowMs: number): Plan {
  if (attempt > 1 || filterReadsDeviceSeries(filter)) return plan
  const edges = plan.edges.map(it => ({ ...it, isOfGroups: it.startMs === it.bucketMs && it.endMs > nowMs - FRESH_MS }))
  return { ...plan, edges }
}

/**
 * @returns without `merged` if cached blocks were outdated, which are dropped then, or if an edge needs the minutes of
 *   devices
 */
async function attemptTotals (
  batches: Batches, filter: SeriesFilter, plans: readonly Plan[], cache: RollupCache, nowMs: number, asker: Asker,
  { parts, marksRevised, isLong }: {
    readonly parts?: RollupParts, readonly marksRevised: boolean, readonly isLong: boolean
  }
): Promise<{ readonly merged?: Merged[], readonly moment: Moment }> {
  const key = JSON.stringify({ ...filter, granted: undefined })
  const split: Split = { kept: [], leaves: new Map(), unknown: [] }
  const nodes: Node[][] = []
  for (const plan of plans) {
    const turn = asker.pace() // before: others may have come to this point in the same turn
    if (turn) await turn
    nodes.push(splitPlan(plan, filter, split, block => cache.find(key, block, nowMs)))
  }
  /** of plans with any data */
  const merges: Array<Merge | undefined> = []
  const mergeOf = (n: number): Merge => (merges[n] ??= createMerge(plans[n], parts))
  const starts = plans.map(it => it.coverage.startMs)
  const edges = plans.flatMap(({ edges }, n) => edges.map((edge, at) => ({ edge, at, n })))
  const moment = await readPieces(batches, filter, {
    buckets: split.unknown,
    edges: edges.map(it => it.edge),
    isLong,
    kept: split.kept.map(it => it.block),
    keptPosition: split.kept.reduce((least, it) => it.position < least ? it.position : least, POSITION_MAX),
    ...marksRevised ? { arrivalsOf: { startMs: starts[0], endMs: plans.at(-1)!.coverage.endMs } } : {}
  }, row => {
    const leaf = row.edge === undefined ? split.leaves.get(row.bucketStartMs) : undefined
    if (leaf) addRow(leaf.tally ??= emptyTally(), row)
    else if (row.edge === undefined) mergeOf(lastAtOrBefore(starts, row.bucketStartMs)).add(row)
    else mergeOf(edges[row.edge].n).add({ ...row, edge: edges[row.edge].at })
  }, asker)

  if (split.kept.some(it => it.historyId !== moment.historyId)) {
    cache.clear()
    return { moment }
  }
  let isRight = true
  for (const kept of split.kept) {
    const changed = moment.changed.filter(it => overlap(it, kept.block))
    // a moment before the cached one: this snapshot is of a replica that lags
    const isAhead = kept.position > moment.position
    if (changed.length > 0) cache.drop(key, kept, changed, nowMs)
    else if (!isAhead) cache.confirm(kept, moment.position, nowMs)
    if (changed.length > 0 || isAhead) isRight = false
  }
  // rows of its series are of the moment when they were found
  const { granted } = filter
  const position = granted && granted.position < moment.position ? granted.position : moment.position
  const keep = (block: CacheBlock, tally: Tally) => cache.keep(key, block, tally, { ...moment, position }, nowMs)
  if (!isRight || merges.some(it => it?.needsDeviceMinutes)) return { moment }
  // there are too many devices to cache every day of each; reading them again after a change is cheap
  const keepPart = filter.deviceId === undefined ? keep : () => {}
  const merged: Merged[] = []
  for (const [n, { coverage }] of plans.entries()) {
    for (const node of nodes[n]) {
      const tally = await tallyOf(node, keepPart, asker)
      if (node.kind !== 'kept' && tally !== NOTHING) keep(node.block, tally)
      if (tally.rollup.count > 0) mergeOf(n).addTally(tally)
    }
    merged.push(merges[n]?.finish() ?? { ...NOTHING, coverage })
    const turn = asker.pace()
    if (turn) await turn
  }
  return { merged, moment }
}

const POSITION_MAX = 2n ** 64n - 1n

/** Reads rows of a selection, in pieces if it has some. @returns the moment of the first piece, the earliest */
async function readPieces (
  batches: Batches, filter: SeriesFilter, wanted: Wanted, visit: (row: ReadRow) => void, asker: Asker
): Promise<Moment> {
  const [first, ...others] = piecesOf(filter)
  const moment = await readRows(batches, first, wanted, visit, asker)
  asker.countRead(seriesOf(first.granted))
  if (wanted.buckets.length + wanted.edges.length === 0 && wanted.arrivalsOf === undefined) return moment
  const late = [...moment.arrivals.late]
  const totals = { ...moment.arrivals.totals }
  let { historyId } = moment
  for (const piece of others) {
    const next = await readRows(batches, piece, { ...wanted, kept: [] }, visit, asker)
    late.push(...next.arrivals.late)
    totals.late += next.arrivals.totals.late
    totals.duplicates += next.arrivals.totals.duplicates
    if (next.historyId !== historyId) historyId = null // nothing of it is cached
    asker.countRead(seriesOf(piece.granted))
  }
  return { ...moment, historyId, arrivals: { late, totals } }
}

function overlap (a: BucketRange, b: BucketRange): boolean {
  return a.level === b.level && a.startMs < b.endMs && a.endMs > b.startMs
}

/** A bucket without rows. It is not cached, because another look-up costs no more. */
const NOTHING: Tally = emptyTally()

interface Leaf {
  readonly kind: 'leaf'
  readonly block: CacheBlock
  /** undefined: it has no row, as far as known */
  tally: ReturnType<typeof emptyTally> | undefined
}

/** A block of the plan: cached, to be read, or merged from two others. */
type Node =
  | { readonly kind: 'kept', readonly kept: KeptBlock }
  | Leaf
  | { readonly kind: 'halves', readonly block: CacheBlock, readonly halves: readonly [Node, Node] }

/** The data to read for some plans, and the rest. */
interface Split {
  readonly kept: KeptBlock[]
  /** by start, which also identifies the level, because plans do not overlap */
  readonly leaves: Map<number, Leaf>
  /** ranges to read, with neighbours joined */
  readonly unknown: BucketRange[]
}

/** A device's rows are read as fast as changes are looked up, unless they are many. */
const DEVICE_BUCKETS_MIN = 64

/** @param split receives the result */
function splitPlan (
  plan: Plan, filter: SeriesFilter, split: Split, find: (block: CacheBlock) => KeptBlock | undefined
): Node[] {
  const nodeOf = (block: CacheBlock): Node => {
    const kept = find(block)
    if (kept) {
      split.kept.push(kept)
      return { kind: 'kept', kept }
    }
    if (block.power > 0) {
      const [first, second] = halvesOf(block)
      return { kind: 'halves', block, halves: [nodeOf(first), nodeOf(second)] }
    }
    const leaf: Leaf = { kind: 'leaf', block, tally: undefined }
    split.leaves.set(block.startMs, leaf)
    append(split.unknown, block)
    return leaf
  }

  const nodes: Node[] = []
  for (const range of plan.buckets) {
    const buckets = (range.endMs - range.startMs) / range.level.sizeMs
    if (filter.deviceId !== undefined && buckets < DEVICE_BUCKETS_MIN) append(split.unknown, range)
    else for (const block of blocksOf(range)) nodes.push(nodeOf(block))
  }
  return nodes
}

function append (ranges: BucketRange[], { level, startMs, endMs }: BucketRange): void {
  const last = ranges.at(-1)
  if (last?.level === level && last.endMs === startMs) {
    ranges[ranges.length - 1] = {
      level, startMs: last.startMs, endMs
    }
  } else ranges.push({ level, startMs, endMs })
}

/** The content of a node. @param keepPart gets newly merged parts of it */
async function tallyOf (node: Node, keepPart: (block: CacheBlock, tally: Tally) => void, asker: Asker): Promise<Tally> {
  if (node.kind !== 'halves') return contentOf(node)
  const turn = asker.pace()
  if (turn) await turn
  const tally = emptyTally()
  for (const half of node.halves) {
    const part = half.kind === 'halves' ? await tallyOf(half, keepPart, asker) : contentOf(half)
    if (half.kind !== 'kept' && part !== NOTHING) keepPart(half.block, part)
    joinTally(tally, part)
  }
  return tally
}

function contentOf (node: Exclude<Node, { readonly kind: 'halves' }>): Tally {
  return node.kind === 'kept' ? node.kept : node.tally ?? NOTHING
}
