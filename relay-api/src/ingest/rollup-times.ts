/**
 * Which times of the past have rollups: an event of another one makes a partition of a table, which stays. The newest
 * weeks are made by time itself, and cost nobody anything.
 *
 * Partitions are cut as `make_rollup_partition` cuts them: by weeks where time is new, by years (of 364 days) where it is
 * not, and each as far as no other one has its time.
 */
import { DAY_MS, type Database } from 'relay-common'

/** Events of the last month come late; those of before are sent later. */
const RECENT_MS = 35 * DAY_MS
/** An answer is used for so long: what a processor makes meanwhile was paid for here, or is counted once too often. */
const KEPT_MS = 60_000

export interface RollupTimes {
  /** Whether an event of this time makes no partition as far as is known without asking. */
  isCovered (timeMs: number, nowMs: number): boolean
  /** Asks which partitions there are, where that was not asked of late. */
  refresh (): Promise<void>
  /** Where the partition begins that an event of this time would make, for counting them. */
  partitionOf (timeMs: number, nowMs: number): number
  /** From now on a partition counts as one that is there. */
  add (partition: number): void
}

/** @param now monotonic, ms */
export function createRollupTimes (database: Database, now: () => number = () => performance.now()): RollupTimes {
  let ranges: readonly TimeSpan[] = []
  let cuts: Cuts = { chunkMs: 7 * DAY_MS, mergedMs: 364 * DAY_MS, recentMs: 91 * DAY_MS } // as they are until a site changes them
  /** made since, or about to be */
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

/** Far more than time has years. */
const ADDED_MAX = 20_000

/** How the partitions of a level are cut: see the migration of `rollup_levels`. */
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

/** As `rollup_partition_bounds`. */
function startOf ({ chunkMs, mergedMs, recentMs }: Cuts, timeMs: number, nowMs: number): number {
  const unitMs = Math.floor(timeMs / mergedMs) * mergedMs
  return unitMs + mergedMs <= nowMs - recentMs || unitMs >= nowMs + recentMs ? unitMs : Math.floor(timeMs / chunkMs) * chunkMs
}

/** By halves: there may be thousands. @returns the index of the first range that ends behind a time */
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

/** Of minutes: where they are, hours and days are, and these are cut coarser. */
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
