/**
 * Counts late readings and duplicates, so that answers can mark rows as revised.
 *
 * A reading is **late** if an earlier flush had read its source partition to the end of its minute, so that an answer
 * may have shown the minute as final. A reading that is only out of order within a flush is not late: no answer was
 * possible without it. A resend is a **duplicate** and never late, because it changes nothing.
 *
 * Counts are per series and hour, with a bit for each minute that had late readings, and the latest event time to which
 * the partition had been read when one of them arrived. A row that ends at `e` was revised if a late reading is in its
 * minutes and that time is not before `e`. Rows per minute would be sixty times as many for a device that is always
 * late.
 */
import { bucketStartMs, HOUR_MS, MINUTE_MS } from 'relay-rollups'

import type { Series } from './series-table.ts'

export interface LateCount {
  readonly series: Series
  readonly hourMs: number
  late: number
  duplicates: number
  /** bit n: the n-th minute of the hour had a late reading */
  lateMinutes: bigint
  /** latest event time to which the partition had been read when a late reading arrived; -Infinity: none arrived */
  lateThroughMs: number
}

export class LateCounts {
  readonly #hours = new Map<Series, Map<number, LateCount>>()

  /**
   * Counts the readings of one minute of a device, for the device and for its group.
   * @param fresh new readings
   * @param throughMs event time to which the previous flush had read their partition; see `lateBeforeMs`
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

  all (): LateCount[] {
    return this.#hours.values().flatMap(it => it.values()).toArray()
  }

  #countOf (series: Series, hourMs: number): LateCount {
    let hours = this.#hours.get(series)
    if (!hours) this.#hours.set(series, hours = new Map())
    let count = hours.get(hourMs)
    if (!count) {
      hours.set(hourMs, count = { series, hourMs, late: 0, duplicates: 0, lateMinutes: 0n, lateThroughMs: -Infinity })
    }
    return count
  }
}
