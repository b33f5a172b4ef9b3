/**
 * When a flush is due: soon while the processor keeps up, for fresh answers; in a backlog when it is worth its cost.
 *
 * While it keeps up, it works in turns: it reads the log, folds what is new, and flushes it, once per interval. In
 * between it sleeps, because each wake-up runs code that has left the caches of its core.
 *
 *     turn ──read──▶ fold ──▶ READ_MS later: flush          turn + flushIntervalMs ──read──▶ …
 *
 * A row costs as much as a dozen readings here, and again in PostgreSQL. A flush writes the minute, hour and day of
 * every series that it touches. So in a backlog a flush waits for READINGS_PER_ROW, as far as memory allows: of
 * readings, and of rows if each reading has one and waiting is pointless. The longer the last flush took, the later the
 * next one starts.
 */

export interface PaceSettings {
  readonly flushIntervalMs: number
  /** the turns are at this time and all multiples of the interval from there, so that processors take different ones */
  readonly turnMs: number
  /** in a backlog */
  readonly flushIntervalMaxMs: number
  readonly flushReadingsMax: number
}

/** Data that waits for a flush. */
export interface UnflushedData {
  readonly readings: number
  readonly deadLetterBytes: number
  /** unread records in the log */
  readonly lag: number
  /** estimated rows of the readings if none is late: at least a minute, an hour and a day per series */
  readonly rows: number
}

/** The previous flush. */
export interface LastFlush {
  readonly startedMs: number
  readonly readings: number
  readonly rows: number
  /** time until all of it was in the database */
  readonly tookMs: number
  /** whether it is still being written */
  readonly isWriting: boolean
}

/** until the records of a turn are folded */
const READ_MS = 30
/** lag that counts as a backlog: then rows matter more than freshness */
const BACKLOG_RECORDS = 20_000
const READINGS_PER_ROW = 40
/** a flush in a backlog is not limited by rows below this: enough for a thousand devices, and 20 MB */
const BACKLOG_READINGS_MIN = 1_000_000
/** encoded, in the maps and arrays of settling, and as windows, a row takes half a kilobyte for a while */
const BACKLOG_ROWS_MAX = 750_000
/**
 * in a backlog, multiple of the duration of a flush until the next; bounded, because a flush may have been retried for
 * an hour
 */
const INTERVAL_PER_TIME = 3
const ROW_MS = 0.01
const INTERVAL_LONGEST_MS = 15_000 // half of FLUSH_STALLED_MS, or a backlog would look like a stall
const DEAD_LETTER_BYTES_MAX = 16 * 1024 * 1024

/** Whether the waiting data should be flushed now. */
export function isFlushDue (
  settings: PaceSettings, waiting: UnflushedData, last: LastFlush, steadyMs: number
): boolean {
  if (waiting.readings >= settings.flushReadingsMax || waiting.deadLetterBytes >= DEAD_LETTER_BYTES_MAX) return true
  if (waiting.readings >= BACKLOG_READINGS_MIN && isWorthIt(waiting, last)) return true
  if (last.isWriting) return false // it would wait for that write
  return steadyMs >= (waiting.lag <= BACKLOG_RECORDS
    ? nextFlushMs(settings, last.startedMs)
    : last.startedMs + backlogIntervalMs(settings, waiting, last))
}

/** From when everything was read that the log had: time until it is read again, ms. */
export function untilReadMs (settings: PaceSettings, steadyMs: number): number {
  return nextTurnMs(settings, steadyMs) - steadyMs
}

/** The time of the flush after one that started at `startedMs`, while the processor keeps up. */
export function nextFlushMs (settings: PaceSettings, startedMs: number): number {
  const readMs = Math.min(READ_MS, settings.flushIntervalMs / 10)
  // a flush may have started between turns: the next one is at least half an interval after it
  return nextTurnMs(settings, startedMs + settings.flushIntervalMs / 2 - readMs) + readMs
}

/** The first turn after a time. */
function nextTurnMs ({ flushIntervalMs, turnMs }: PaceSettings, steadyMs: number): number {
  return turnMs + (Math.floor((steadyMs - turnMs) / flushIntervalMs) + 1) * flushIntervalMs
}

function isWorthIt ({ readings, rows }: UnflushedData, last: LastFlush): boolean {
  const byLast = last.readings === 0 ? 0 : readings * last.rows / last.readings
  if (Math.max(rows, byLast) >= BACKLOG_ROWS_MAX) return true
  return readings >= READINGS_PER_ROW * Math.max(rows, last.rows)
}

function backlogIntervalMs (settings: PaceSettings, { rows }: UnflushedData, { tookMs }: LastFlush): number {
  const takesMs = Math.max(tookMs, rows * ROW_MS)
  return Math.max(settings.flushIntervalMaxMs, Math.min(takesMs * INTERVAL_PER_TIME, INTERVAL_LONGEST_MS))
}
