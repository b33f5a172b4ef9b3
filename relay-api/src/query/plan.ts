/**
 * Plan: which buckets answer for a range of time.
 *
 *     |--edge--|--minutes--|--hours--|--------days--------|--hours--|--minutes--|--edge--|
 *     start                                                                            end
 *
 * The fewest there are: whole days, then hours, then minutes; what is left at both ends is a part of one minute, and is
 * cut out of the readings that device minutes keep. Plain computation over `levels`.
 */
import { bucketStartMs, levels, minuteLevel, type Level, type LevelName, type TimeRange } from 'relay-common'

/** Whole buckets of one level. */
export interface BucketRange extends TimeRange {
  readonly level: Level
}

/** A part of one minute. */
export interface Edge extends TimeRange {
  readonly bucketMs: number
  /** the minute of the groups is to answer for it: it is cut where all of their readings lie within */
  readonly isOfGroups?: boolean
}

export interface Plan {
  /** what the buckets and edges cover, without a gap and nothing twice; empty where nothing of the range is kept */
  readonly coverage: TimeRange
  /** in the order of time */
  readonly buckets: readonly BucketRange[]
  readonly edges: readonly Edge[]
}

/** How many rows of the tables a plan reads of one series and source partition. */
export function planSize ({ buckets, edges }: Pick<Plan, 'buckets' | 'edges'>): number {
  return buckets.reduce((sum, it) => sum + (it.endMs - it.startMs) / it.level.sizeMs, edges.length)
}

/** By level: buckets that begin earlier may have been dropped already. */
export type KeptSince = Readonly<Record<LevelName, number>>

export const keptForEver: KeptSince = { minute: -Infinity, hour: -Infinity, day: -Infinity }

/**
 * Plans the answer for a range. Where the buckets that would cut an end of it have been dropped, that end moves out to
 * the next coarser bucket; where days have been dropped as well, the start moves in to the first that is kept.
 * @param range not empty
 */
export function planRange (range: TimeRange, keptSince: KeptSince = keptForEver): Plan {
  const coverage = widenToKept(range, keptSince)
  if (coverage.startMs >= coverage.endMs) return { coverage, buckets: [], edges: [] }

  const minutes = wholeBuckets(minuteLevel, coverage)
  const { startMs, endMs } = coverage
  if (minutes.startMs > minutes.endMs) { // it begins and ends within the same minute
    return { coverage, buckets: [], edges: [edge(startMs, endMs)] }
  }
  const edges: Edge[] = []
  if (startMs < minutes.startMs) edges.push(edge(startMs, minutes.startMs))
  if (minutes.endMs < endMs) edges.push(edge(minutes.endMs, endMs))
  return { coverage, buckets: fewestBuckets(minutes), edges }
}

/** The buckets of a level that lie within a range; they end before they start where a range is within one bucket. */
function wholeBuckets (level: Level, { startMs, endMs }: TimeRange): TimeRange {
  return { startMs: nextBoundaryMs(level, startMs), endMs: bucketStartMs(level.sizeMs, endMs) }
}

/** The buckets of a level that a range touches. */
function enclosingBuckets (level: Level, { startMs, endMs }: TimeRange): TimeRange {
  return { startMs: bucketStartMs(level.sizeMs, startMs), endMs: nextBoundaryMs(level, endMs) }
}

/** The first bucket boundary at a time or after it: the last one before it, seen in a mirror. */
function nextBoundaryMs ({ sizeMs }: Level, timeMs: number): number {
  return 0 - bucketStartMs(sizeMs, -timeMs)
}

function edge (startMs: number, endMs: number): Edge {
  return { bucketMs: bucketStartMs(minuteLevel.sizeMs, startMs), startMs, endMs }
}

/**
 * Since each level divides the next one, the coarsest buckets that fit are part of every smallest cut: they are taken
 * out of the middle, level by level, and what is left on both sides stays with the finer level.
 * @param minutes a range that begins and ends at minutes
 */
function fewestBuckets (minutes: TimeRange): BucketRange[] {
  const before: BucketRange[] = []
  const after: BucketRange[] = []
  let rest = minutes
  for (const [n, level] of levels.entries()) {
    const coarser = levels[n + 1]
    const middle = coarser && wholeBuckets(coarser, rest)
    if (!middle || middle.startMs >= middle.endMs) {
      before.push({ level, ...rest })
      break
    }
    before.push({ level, startMs: rest.startMs, endMs: middle.startMs })
    after.unshift({ level, startMs: middle.endMs, endMs: rest.endMs })
    rest = middle
  }
  return [...before, ...after].filter(it => it.startMs < it.endMs)
}

/** From fine to coarse, for an end that moved out to a coarser bucket needs that one to be kept. */
function widenToKept (range: TimeRange, keptSince: KeptSince): TimeRange {
  let { startMs, endMs } = range
  for (const [n, level] of levels.entries()) {
    const keptMs = keptSince[level.name]
    const coarser = levels[n + 1]
    // what is needed of this level: of minutes their parts as well, of all others what is whole
    const needed = (level === minuteLevel ? enclosingBuckets : wholeBuckets)(level, { startMs, endMs })
    if (needed.startMs >= needed.endMs || needed.startMs >= keptMs) continue
    if (!coarser) {
      startMs = Math.min(nextBoundaryMs(level, keptMs), needed.endMs)
      break
    }
    // from the start to the next coarser boundary, and from the last one to the end
    const around = enclosingBuckets(coarser, { startMs, endMs })
    const last = bucketStartMs(coarser.sizeMs, endMs)
    if (startMs > around.startMs && needed.startMs < around.startMs + coarser.sizeMs) startMs = around.startMs
    if (endMs > last && Math.max(last, bucketStartMs(level.sizeMs, startMs)) < keptMs) endMs = around.endMs
  }
  return { startMs, endMs }
}
