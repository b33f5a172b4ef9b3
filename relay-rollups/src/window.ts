/**
 * Levels and buckets: how Relay divides time.
 *
 * Every level divides the next one, and all divide a UTC day, so a bucket is a whole number of buckets of the level
 * below. Times are milliseconds since the epoch, UTC, and negative before 1970.
 */

const SECOND_MS = 1_000
export const MINUTE_MS = 60 * SECOND_MS
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

/** Times in ms since the epoch: from `startMs` (inclusive) to `endMs` (exclusive). */
export interface TimeRange {
  readonly startMs: number
  readonly endMs: number
}

export type LevelName = 'minute' | 'hour' | 'day'

export interface Level {
  readonly name: LevelName
  /** length of a bucket */
  readonly sizeMs: number
  /** the table with the rollups of this level */
  readonly table: `rollups_${LevelName}`
}

/** The levels, finest first. Code for all levels iterates over this list. */
export const levels: readonly Level[] = [
  { name: 'minute', sizeMs: MINUTE_MS, table: 'rollups_minute' },
  { name: 'hour', sizeMs: HOUR_MS, table: 'rollups_hour' },
  { name: 'day', sizeMs: DAY_MS, table: 'rollups_day' }
]

export const [minuteLevel, hourLevel, dayLevel] = levels as readonly [Level, Level, Level]

/**
 * Start of the bucket that contains a time. The only place that divides time: buckets are [start, start + size).
 * @param sizeMs length of a bucket, in ms
 * @param timeMs any time, in ms since the epoch
 */
export function bucketStartMs (sizeMs: number, timeMs: number): number {
  return Math.floor(timeMs / sizeMs) * sizeMs
}
