/**
 * Counts of readings that came late, and of readings that came again: what an answer needs to say which of its rows were
 * changed after they were final.
 *
 * A reading is **late** when its minute was over by the event time of its source partition: a flush before it had brought
 * the partition to the end of that minute, or behind it, so an answer may have shown the minute as final. What is out of
 * order within one flush is not late: nobody has seen a state without it. A resend changes nothing, so it is a
 * **duplicate** and never late.
 *
 * They are counted by series and hour; beside the count stand the minutes of the hour that late readings were in, and the
 * latest event time that the partition had come to when one of them came. So a row of an answer that ends at `e` was
 * revised if a late reading is in its minutes and that time is not before `e`. Kept by minutes, a device that is always
 * late would cost sixty times the rows.
 */
import { bucketStartMs, HOUR_MS, MINUTE_MS } from 'relay-common'

import type { Series } from './series-table.ts'

export interface ArrivalCount {
  readonly series: Series
  readonly hourMs: number
  late: number
  duplicates: number
  /** bit n: a late reading was in the n-th minute of the hour */
  lateMinutes: bigint
  /** latest event time that the partition had come to when a late reading came; -Infinity: none did */
  lateThroughMs: number
}

export class ArrivalCounts {
  readonly #hours = new Map<Series, Map<number, ArrivalCount>>()

  /**
   * Counts what came for a minute of a device, for the device and for its group.
   * @param fresh readings that were not there before
   * @param throughMs event time that their partition had come to with the flush before; see `lateBeforeMs`
   */
  add (series: Series, minuteMs: number, fresh: number, duplicates: number, throughMs: number): void {
    const isLate = fresh > 0 && minuteMs + MINUTE_MS <= throughMs
    if (!isLate && duplicates === 0) return
    for (let of: Series | undefined = series; of !== undefined; of = of.group) {
      const count = this.#countOf(of, bucketStartMs(HOUR_MS, minuteMs))
      count.duplicates += duplicates
      if (!isLate) continue
      count.late += fresh
      count.lateMinutes |= 1n << BigInt((minuteMs - count.hourMs) / MINUTE_MS)
      count.lateThroughMs = Math.max(count.lateThroughMs, throughMs)
    }
  }

  all (): ArrivalCount[] {
    return this.#hours.values().flatMap(it => it.values()).toArray()
  }

  #countOf (series: Series, hourMs: number): ArrivalCount {
    let hours = this.#hours.get(series)
    if (!hours) this.#hours.set(series, hours = new Map())
    let count = hours.get(hourMs)
    if (!count) {
      hours.set(hourMs, count = { series, hourMs, late: 0, duplicates: 0, lateMinutes: 0n, lateThroughMs: -Infinity })
    }
    return count
  }
}
