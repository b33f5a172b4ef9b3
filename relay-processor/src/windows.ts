/**
 * Windows in memory: what has arrived for a bucket and what the database has of it.
 *
 *     unknown ──read back──▶ known ──readings arrive──▶ dirty ──settled, written──▶ known ──cold──▶ (gone from memory)
 *        (new buckets start known and empty)
 */
import {
  bucketStartMs, emptyReadings, emptyRollup, MINUTE_MS, type Level, type Readings, type Rollup
} from 'relay-common'

import type { Series } from './series-table.ts'

/** A minute of one device: it keeps its readings, up to a cap. */
export interface MinuteWindow {
  readonly series: Series
  readonly bucketMs: number
  /** what the database has, or is about to get; undefined: must be read back */
  kept: KeptMinute | undefined
  isDirty: boolean
}

/** Either all readings of a minute, or, past the cap, what is left of them. */
export type KeptMinute =
  | { readonly kind: 'readings', readonly readings: Readings }
  | { readonly kind: 'rollup', readonly rollup: Rollup }

/** An hour or a day of a device, or any level of a group. */
export interface RollupWindow {
  readonly series: Series
  readonly level: Level
  readonly bucketMs: number
  /** undefined: must be read back */
  rollup: Rollup | undefined
  isDirty: boolean
}

/** A minute that is not in memory yet. Whether it can be in the database is known from how far the series has come. */
export function createMinute (series: Series, bucketMs: number): MinuteWindow {
  const isNew = bucketMs > bucketStartMs(MINUTE_MS, series.settledMaxMs)
  return {
    series,
    bucketMs,
    kept: isNew ? { kind: 'readings', readings: emptyReadings() } : undefined,
    isDirty: false
  }
}

/** The same for a window of any level that keeps a rollup. */
export function createRollupWindow (series: Series, level: Level, bucketMs: number): RollupWindow {
  const isNew = bucketMs > bucketStartMs(level.sizeMs, series.settledMaxMs)
  return { series, level, bucketMs, rollup: isNew ? emptyRollup() : undefined, isDirty: false }
}

/** The windows of one series and level: nearly always one, the newest; more while readings come late or by the hour. */
export class OpenWindows<W extends { readonly bucketMs: number, isDirty: boolean }> {
  newest: W | undefined
  #others: Map<number, W> | undefined

  find (bucketMs: number): W | undefined {
    return this.newest?.bucketMs === bucketMs ? this.newest : this.#others?.get(bucketMs)
  }

  add (window: W): void {
    const previous = this.newest
    if (previous === undefined || window.bucketMs > previous.bucketMs) {
      this.newest = window
      if (previous !== undefined) (this.#others ??= new Map()).set(previous.bucketMs, previous)
    } else {
      (this.#others ??= new Map()).set(window.bucketMs, window)
    }
  }

  /** Lets all go; none may be dirty. */
  forgetAll (): void {
    this.newest = undefined
    this.#others = undefined
  }

  /** Lets all go but the newest and what is dirty. */
  forgetOlder (): void {
    if (this.#others === undefined) return
    for (const [bucketMs, window] of this.#others) {
      if (!window.isDirty) this.#others.delete(bucketMs)
    }
    if (this.#others.size === 0) this.#others = undefined
  }
}
