/**
 * The rows that a flush writes for one partition, as they are settled. Each row is encoded once, for database and
 * memory. Rows that the database does not have are separate, because they cost it half as much.
 */
import {
  appendReadingsBody, appendRollupBody, bucketStartMs, ByteWriter, DAY_MS, levels, type Readings, type Rollup
} from 'relay-rollups'

import { RowEncoder } from './copy-rows.ts'
import { packReadings, packRollup } from './packed-row.ts'
import type { LevelRows } from './store.ts'
import type { Window } from './windows.ts'

/** With more rows than this, streams are notified of buckets instead of series. */
export const SERIES_NAMED_MAX = 10_000
/** for buckets after that limit: nothing is added to it */
const UNNAMED: number[] = []

export class FlushRows {
  readonly #levels = levels.map(() => ({ fresh: new RowEncoder(), changed: new RowEncoder() }))
  readonly #body = new ByteWriter(16 * 1024)
  #sourcePartition = 0
  #keptFromMs: readonly number[] = []
  #rowCount = 0
  #announcesRows = true
  #announcedCount = 0
  /** by index of the level, the buckets of the last announced minute */
  #announcedMs = NaN
  #announced: number[][] = []
  readonly #days: Array<Set<number>> = levels.map(() => new Set())
  #buckets: Array<Map<number, number[]>> = []

  /**
   * @param keptFromMs by index of the level: rows that start earlier are past their retention and not written
   * @param announcesRows false: rows repeat what the journal announced; new readings are announced by `announceAll`
   */
  begin (sourcePartition: number, keptFromMs: readonly number[], announcesRows = true): void {
    this.#announcesRows = announcesRows
    this.#announcedCount = 0
    this.#announcedMs = NaN
    this.#sourcePartition = sourcePartition
    this.#keptFromMs = keptFromMs
    this.#rowCount = 0
    this.#buckets = levels.map(() => new Map())
  }

  /** @param totals of all readings */
  addReadings (window: Window, readings: Readings, totals: Pick<Rollup, 'count' | 'sum' | 'min' | 'max'>): void {
    const body = this.#body
    body.length = 0
    appendReadingsBody(body, readings, window.bucketMs)
    this.#add(window, totals)
    window.packed = packReadings(body)
  }

  addRollup (window: Window, rollup: Rollup): void {
    const body = this.#body
    body.length = 0
    appendRollupBody(body, rollup, window.bucketMs)
    this.#add(window, rollup)
    window.packed = packRollup(body, rollup)
  }

  #add (window: Window, totals: Pick<Rollup, 'count' | 'sum' | 'min' | 'max'>): void {
    const { levelIndex, bucketMs, series: { seriesId }, isStored } = window
    if (bucketMs < this.#keptFromMs[levelIndex]) return
    const { fresh, changed } = this.#levels[levelIndex]
    const encoder = isStored ? changed : fresh
    encoder.append({ seriesId, bucketMs, sourcePartition: this.#sourcePartition }, totals, this.#body)
    window.isStored = true
    this.#rowCount++

    this.#days[levelIndex].add(bucketStartMs(DAY_MS, bucketMs))
    if (this.#announcesRows) this.#announce(levelIndex, bucketMs, seriesId)
  }

  /** Announces that a series has new readings in a minute, and in its hour and day. */
  announceAll (minuteMs: number, seriesId: number): void {
    if (minuteMs !== this.#announcedMs) {
      this.#announcedMs = minuteMs
      this.#announced = levels.map(({ sizeMs }, index) => {
        const bucketMs = bucketStartMs(sizeMs, minuteMs)
        let named = this.#buckets[index].get(bucketMs)
        if (named === undefined) this.#buckets[index].set(bucketMs, named = [])
        return named
      })
    }
    this.#announcedCount += levels.length
    if (this.#announcedCount > SERIES_NAMED_MAX) return
    for (let index = 0; index < this.#announced.length; index++) this.#announced[index].push(seriesId)
  }

  /** Announces that a series has new readings in a bucket. */
  #announce (levelIndex: number, bucketMs: number, seriesId: number): void {
    const buckets = this.#buckets[levelIndex]
    let named = buckets.get(bucketMs)
    const isNamed = ++this.#announcedCount <= SERIES_NAMED_MAX
    if (named === undefined) buckets.set(bucketMs, named = isNamed ? [] : UNNAMED)
    if (isNamed) named.push(seriesId)
  }

  /** All rows since `begin`. */
  take (): { rows: LevelRows[], rowCount: number, announcedCount: number, daysMs: Array<Set<number>> } {
    const daysMs = this.#days.map(it => new Set(it))
    for (const it of this.#days) it.clear()
    return {
      rows: this.#levels.map(({ fresh, changed }, index) =>
        ({ fresh: fresh.take(), changed: changed.take(), seriesOfBuckets: this.#buckets[index] })),
      rowCount: this.#rowCount,
      announcedCount: this.#announcedCount,
      daysMs
    }
  }
}
