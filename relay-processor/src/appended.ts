/** When readings were appended to the log: how fresh rollups are is counted from there, once they are committed. */

/** Readings that were appended at one time, or nearly. */
export interface Appended {
  /** ms since the epoch, by the clock of the log or of the producer */
  readonly appendedMs: number
  readings: number
}

/** Times count as one where they differ by less than this part of their age: so a backlog of an hour is some hundred entries. */
const SAME_PART = 1 / 100
/** Producers whose clocks differ could make an entry for each batch. */
const ENTRIES_MAX = 4_096

/** Notes readings behind those before. O(1), a batch. */
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
