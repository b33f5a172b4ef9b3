/**
 * What a flush writes of one partition, row by row as it is settled: each row is encoded once, for the database and for
 * memory. Rows that the database has none of yet are told from those that it has: they cost it half as much.
 */
import {
  appendReadingsBody, appendRollupBody, bucketStartMs, ByteWriter, DAY_MS, levels, type Readings, type Rollup
} from 'relay-common'

import { RowEncoder } from './copy-rows.ts'
import { packReadings, packRollup } from './packed-row.ts'
import type { LevelRows } from './store.ts'
import type { Window } from './windows.ts'

/** Beyond so many rows whoever shows them live is told of buckets, and not of series. */
export const SERIES_NAMED_MAX = 10_000
/** of a bucket that is met behind them: nothing is added to it */
const UNNAMED: number[] = []

export class FlushRows {
  readonly #levels = levels.map(() => ({ fresh: new RowEncoder(), changed: new RowEncoder() }))
  readonly #body = new ByteWriter(16 * 1024)
  #sourcePartition = 0
  #keptFromMs: readonly number[] = []
  #rowCount = 0
  #announcesRows = true
  #announcedCount = 0
  /** by index of the level, the buckets of the minute that was announced last */
  #announcedMs = NaN
  #announced: number[][] = []
  readonly #days: Array<Set<number>> = levels.map(() => new Set())
  #buckets: Array<Map<number, number[]>> = []

  /**
   * @param keptFromMs by index of the level: rows that begin earlier are past their retention and not written
   * @param announcesRows false: rows say what the journal has said before; what is new is told by `announceAll`
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

  /** Notes that a series has something new in a minute, and in the hour and the day that it is in. */
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

  /** Notes that a series has something new in a bucket. */
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
