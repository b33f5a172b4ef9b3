/** When readings were appended to the log. Freshness of rollups is measured from there, after their commit. */

/** Readings that were appended at about one time. */
export interface Appended {
  /** ms since the epoch, by the clock of the log or of the producer */
  readonly appendedMs: number
  readings: number
}

/**
 * Times are merged if they differ by less than this part of their age, so a backlog of an hour is about a hundred
 * entries.
 */
const SAME_PART = 1 / 100
/** Producers with different clocks could create an entry per batch. */
const ENTRIES_MAX = 4_096

/** Appends an entry for readings. O(1), once per batch. */
export function noteAppended (noted: Appended[], appendedMs: number, readings: number, nowMs: number): void {
  if (readings === 0) return
  const last = noted.at(-1)
  if (last !== undefined) {
    const isSame = Math.abs(appendedMs - last.appendedMs) <= (nowMs - last.appendedMs) * SAME_PART
    if (isSame || noted.length === ENTRIES_MAX) {
      last.readings += readings
      return
    }
  }
  noted.push({ appendedMs, readings })
}
