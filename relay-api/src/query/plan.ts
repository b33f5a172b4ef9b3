/**
 * Plan: the buckets that answer a range of time.
 *
 *     |--edge--|--minutes--|--hours--|--------days--------|--hours--|--minutes--|--edge--|
 *     start                                                                            end
 *
 * The fewest possible: whole days, then hours, then minutes. The rest at both ends is a part of one minute, cut out of
 * the readings in device minutes. Pure computation over `levels`.
 */
import { bucketStartMs, levels, minuteLevel, type Level, type LevelName, type TimeRange } from 'relay-rollups'

/** Whole buckets of one level. */
export interface BucketRange extends TimeRange {
  readonly level: Level
}

/** A part of one minute. */
export interface Edge extends TimeRange {
  readonly bucketMs: number
  /** the minute of the groups may answer for it, if all of their readings lie within */
  readonly isOfGroups?: boolean
}

export interface Plan {
  /** the range of buckets and edges, without gaps or overlaps; empty if nothing of the range is kept */
  readonly coverage: TimeRange
  /** in the order of time */
  readonly buckets: readonly BucketRange[]
  readonly edges: readonly Edge[]
}

/** Number of table rows that a plan reads, for one series and source partition. */
export function planSize ({ buckets, edges }: Pick<Plan, 'buckets' | 'edges'>): number {
  return buckets.reduce((sum, it) => sum + (it.endMs - it.startMs) / it.level.sizeMs, edges.length)
}

/** By level: earlier buckets may have been dropped. */
export type KeptSince = Readonly<Record<LevelName, number>>

export const keptForEver: KeptSince = { minute: -Infinity, hour: -Infinity, day: -Infinity }

/**
 * Plans the answer for a range. If the buckets that would cut an end have been dropped, that end moves out to the next
 * coarser bucket. If days have been dropped as well, the start moves in to the first kept one.
 * @param range not empty
 */
export function planRange (range: TimeRange, keptSince: KeptSince = keptForEver): Plan {
  const coverage = widenToKept(range, keptSince)
  if (coverage.startMs >= coverage.endMs) return { coverage, buckets: [], edges: [] }

  const minutes = wholeBuckets(minuteLevel, coverage)
  const { startMs, endMs } = coverage
  if (minutes.startMs > minutes.endMs) { // it starts and ends in the same minute
    return { coverage, buckets: [], edges: [edge(startMs, endMs)] }
  }
  const edges: Edge[] = []
  if (startMs < minutes.startMs) edges.push(edge(startMs, minutes.startMs))
  if (minutes.endMs < endMs) edges.push(edge(minutes.endMs, endMs))
  return { coverage, buckets: fewestBuckets(minutes), edges }
}

/** The buckets of a level within a range; their end is before their start if the range is within one bucket. */
function wholeBuckets (level: Level, { startMs, endMs }: TimeRange): TimeRange {
  return { startMs: nextBoundaryMs(level, startMs), endMs: bucketStartMs(level.sizeMs, endMs) }
}

/** The buckets of a level that overlap a range. */
function enclosingBuckets (level: Level, { startMs, endMs }: TimeRange): TimeRange {
  return { startMs: bucketStartMs(level.sizeMs, startMs), endMs: nextBoundaryMs(level, endMs) }
}

/** The first bucket boundary at or after a time: the last one before it, mirrored. */
function nextBoundaryMs ({ sizeMs }: Level, timeMs: number): number {
  return 0 - bucketStartMs(sizeMs, -timeMs)
}

function edge (startMs: number, endMs: number): Edge {
  return { bucketMs: bucketStartMs(minuteLevel.sizeMs, startMs), startMs, endMs }
}

/**
 * Each level divides the next one, so the coarsest buckets that fit are part of every smallest plan. They are taken out
 * of the middle, level by level, and the rest on both sides stays with the finer level.
 * @param minutes a range of whole minutes
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

/** From fine to coarse, because an end that moves out to a coarser bucket needs that one to be kept. */
function widenToKept (range: TimeRange, keptSince: KeptSince): TimeRange {
  let { startMs, endMs } = range
  for (const [n, level] of levels.entries()) {
    const keptMs = keptSince[level.name]
    const coarser = levels[n + 1]
    // the part of this level: also partial minutes, but only whole buckets of other levels
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
