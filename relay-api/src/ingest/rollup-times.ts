/**
 * Times of the past with rollups: an event of another time creates a partition that stays. The newest weeks are created
 * anyway, and cost no quota.
 *
 * Partitions are cut as in `make_rollup_partition`: by weeks for recent time, by years (of 364 days) for older time,
 * without overlapping another.
 */
import type { Database } from 'relay-common'
import { DAY_MS } from 'relay-rollups'

/** Events of the last month are late; older ones are backfills. */
const RECENT_MS = 35 * DAY_MS
/**
 * An answer is used for this time: partitions that processors create meanwhile were paid for, or count once too often.
 */
const KEPT_MS = 60_000

export interface RollupTimes {
  /** Whether an event of this time creates no partition, as far as known without a query. */
  isCovered (timeMs: number, nowMs: number): boolean
  /** Reads the existing partitions, unless that was done recently. */
  refresh (): Promise<void>
  /** Start of the partition that an event of this time would create, for counting. */
  partitionOf (timeMs: number, nowMs: number): number
  /** From now on a partition counts as existing. */
  add (partition: number): void
}

/** @param now monotonic, ms */
export function createRollupTimes (database: Database, now: () => number = () => performance.now()): RollupTimes {
  let ranges: readonly TimeSpan[] = []
  let cuts: Cuts = { chunkMs: 7 * DAY_MS, mergedMs: 364 * DAY_MS, recentMs: 91 * DAY_MS } // until a site changes them
  /** created since, or about to be */
  const added = new Set<number>()
  let readAtMs = -Infinity
  let reading: Promise<void> | undefined
  const read = async () => {
    cuts = await readCuts(database)
    ranges = await readRanges(database)
    readAtMs = now()
    if (added.size > ADDED_MAX) added.clear()
  }
  const partitionOf = (timeMs: number, nowMs: number) => {
    const before = ranges[firstEndingBehind(ranges, timeMs) - 1]
    return Math.max(startOf(cuts, timeMs, nowMs), before?.endMs ?? -Infinity)
  }
  return {
    partitionOf,
    isCovered (timeMs, nowMs) {
      if (timeMs >= nowMs - RECENT_MS || ranges[firstEndingBehind(ranges, timeMs)]?.startMs <= timeMs) return true
      return added.size > 0 && added.has(partitionOf(timeMs, nowMs))
    },
    async refresh () {
      if (now() - readAtMs < KEPT_MS) return
      await (reading ??= read().finally(() => { reading = undefined }))
    },
    add: partition => added.add(partition)
  }
}

/** Far more than there are years. */
const ADDED_MAX = 20_000

/** Sizes of the partitions of a level: see the migration of `rollup_levels`. */
interface Cuts {
  readonly chunkMs: number
  readonly mergedMs: number
  readonly recentMs: number
}

/** [startMs, endMs) */
interface TimeSpan {
  readonly startMs: number
  readonly endMs: number
}

/** As in `rollup_partition_bounds`. */
function startOf ({ chunkMs, mergedMs, recentMs }: Cuts, timeMs: number, nowMs: number): number {
  const unitMs = Math.floor(timeMs / mergedMs) * mergedMs
  return unitMs + mergedMs <= nowMs - recentMs || unitMs >= nowMs + recentMs
    ? unitMs
    : Math.floor(timeMs / chunkMs) * chunkMs
}

/** Binary search, because there may be thousands. @returns the index of the first range that ends after a time */
function firstEndingBehind (ranges: readonly TimeSpan[], timeMs: number): number {
  let low = 0
  let high = ranges.length
  while (low < high) {
    const middle = low + high >> 1
    if (ranges[middle].endMs <= timeMs) low = middle + 1
    else high = middle
  }
  return low
}

/** Of minutes: where minutes exist, hours and days do too, with larger partitions. */
async function readCuts (database: Database): Promise<Cuts> {
  const [cuts] = await database.query<Cuts & { chunkMs: number }>(`
    select extract(epoch from chunk)::float8 * 1000 as "chunkMs", extract(epoch from merged)::float8 * 1000 as "mergedMs",
      extract(epoch from recent)::float8 * 1000 as "recentMs"
    from rollup_levels where name = 'minute'`)
  return cuts
}

async function readRanges (database: Database): Promise<TimeSpan[]> {
  const rows = await database.query<{ start_ms: string, end_ms: string }>(`
    select extract(epoch from starts) * 1000 as start_ms, extract(epoch from ends) * 1000 as end_ms
    from rollup_partitions where level = 'minute'
    order by starts`)
  return rows.map(it => ({ startMs: Number(it.start_ms), endMs: Number(it.end_ms) }))
}
