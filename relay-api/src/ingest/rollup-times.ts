/**
 * Which times of the past have rollups: an event of another one makes a partition of a table, which stays. The newest
 * weeks are made by time itself, and cost nobody anything.
 */
import { DAY_MS, type Database } from 'relay-common'

/** Events of the last month come late; those of before are sent later. */
const RECENT_MS = 35 * DAY_MS
/** as long as a partition of minutes, the shortest there are */
const WEEK_MS = 7 * DAY_MS
/** An answer is used for so long: what a processor makes meanwhile was paid for here, or is counted once too often. */
const KEPT_MS = 60_000

export interface RollupTimes {
  /** Whether an event of this time makes no partition as far as is known without asking. */
  isCovered (timeMs: number, nowMs: number): boolean
  /** Asks which partitions there are, where that was not asked of late. */
  refresh (): Promise<void>
  /** The week of a time, for counting what would be made. */
  weekOf (timeMs: number): number
  /** From now on a week counts as one that is there. */
  add (week: number): void
}

/** @param now monotonic, ms */
export function createRollupTimes (database: Database, now: () => number = () => performance.now()): RollupTimes {
  let ranges: readonly TimeSpan[] = []
  /** made since, or about to be */
  const added = new Set<number>()
  let readAtMs = -Infinity
  let reading: Promise<void> | undefined
  const read = async () => {
    ranges = await readRanges(database)
    readAtMs = now()
    if (added.size > ADDED_MAX) added.clear()
  }
  const weekOf = (timeMs: number) => Math.floor(timeMs / WEEK_MS)
  return {
    isCovered: (timeMs, nowMs) => timeMs >= nowMs - RECENT_MS || added.has(weekOf(timeMs)) || isWithin(ranges, timeMs),
    async refresh () {
      if (now() - readAtMs < KEPT_MS) return
      await (reading ??= read().finally(() => { reading = undefined }))
    },
    weekOf,
    add: week => added.add(week)
  }
}

/** Weeks of 400 years. */
const ADDED_MAX = 20_000

/** [startMs, endMs) */
interface TimeSpan {
  readonly startMs: number
  readonly endMs: number
}

/** By halves: there may be thousands. */
function isWithin (ranges: readonly TimeSpan[], timeMs: number): boolean {
  let low = 0
  let high = ranges.length
  while (low < high) {
    const middle = low + high >> 1
    if (ranges[middle].endMs <= timeMs) low = middle + 1
    else high = middle
  }
  return low < ranges.length && ranges[low].startMs <= timeMs
}

/** Those of minutes: where they are, hours and days are. */
async function readRanges (database: Database): Promise<TimeSpan[]> {
  const rows = await database.query<{ start_ms: string, end_ms: string }>(`
    select extract(epoch from starts) * 1000 as start_ms, extract(epoch from ends) * 1000 as end_ms
    from rollup_partitions where level = 'minute'
    order by starts`)
  return rows.map(it => ({ startMs: Number(it.start_ms), endMs: Number(it.end_ms) }))
}
