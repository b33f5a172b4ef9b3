/**
 * When a flush is due: soon while the processor keeps up, for fresh answers; in a backlog when it is worth it.
 *
 * A row costs what a dozen readings cost, here and once more in PostgreSQL, and a flush writes the minute, hour and day of
 * every series that it touches. So a flush of a backlog waits for READINGS_PER_ROW, as far as memory allows: of readings,
 * and of rows, where each reading has one and waiting is worth nothing. And it is as much rarer as the one before took longer.
 */

export interface PaceSettings {
  readonly flushIntervalMs: number
  /** in a backlog */
  readonly flushIntervalMaxMs: number
  readonly flushReadingsMax: number
}

/** What waits for a flush. */
export interface Waiting {
  readonly readings: number
  readonly deadLetterBytes: number
  /** records that the log has and we have not read */
  readonly lag: number
  /** that the readings will be, roughly, where none is late: a minute or more, an hour and a day of every series */
  readonly rows: number
}

/** The flush before. */
export interface LastFlush {
  readonly startedMs: number
  readonly readings: number
  readonly rows: number
  /** until all of it was in the database */
  readonly tookMs: number
  /** whether it is still on its way there */
  readonly isWriting: boolean
}

/** so far behind, it is a backlog: rows are worth more than freshness then */
const BACKLOG_RECORDS = 20_000
const READINGS_PER_ROW = 40
/** a flush of a backlog is never smaller for its rows: enough where a thousand devices report, and 20 MB */
const BACKLOG_READINGS_MIN = 1_000_000
/** encoded, in the maps and arrays of settling, and as windows they take half a kilobyte each for a while */
const BACKLOG_ROWS_MAX = 750_000
/** of what a flush takes, until the next one in a backlog; no longer than that, since one may have been retried for an hour */
const INTERVAL_PER_TIME = 3
const ROW_MS = 0.01
const INTERVAL_LONGEST_MS = 15_000 // and half of FLUSH_STALLED_MS, or a backlog would look like a stall
const DEAD_LETTER_BYTES_MAX = 16 * 1024 * 1024

/** Whether what waits, and there is something, should be flushed now. */
export function isFlushDue (settings: PaceSettings, waiting: Waiting, last: LastFlush, nowMs: number): boolean {
  if (waiting.readings >= settings.flushReadingsMax || waiting.deadLetterBytes >= DEAD_LETTER_BYTES_MAX) return true
  if (waiting.readings >= BACKLOG_READINGS_MIN && isWorthIt(waiting, last)) return true
  if (last.isWriting) return false // it would have to wait for that
  return nowMs >= last.startedMs + intervalMs(settings, waiting, last)
}

function isWorthIt ({ readings, rows }: Waiting, last: LastFlush): boolean {
  const byLast = last.readings === 0 ? 0 : readings * last.rows / last.readings
  if (Math.max(rows, byLast) >= BACKLOG_ROWS_MAX) return true
  return readings >= READINGS_PER_ROW * Math.max(rows, last.rows)
}

function intervalMs (settings: PaceSettings, { lag, rows }: Waiting, { tookMs }: LastFlush): number {
  if (lag <= BACKLOG_RECORDS) return settings.flushIntervalMs
  const takesMs = Math.max(tookMs, rows * ROW_MS)
  return Math.max(settings.flushIntervalMaxMs, Math.min(takesMs * INTERVAL_PER_TIME, INTERVAL_LONGEST_MS))
}
