/**
 * Windows in memory: what the database has of a bucket of a series, or is about to get.
 *
 *     unknown ──read back──▶ known ──readings settle──▶ known, and on its way to the database ──cold──▶ (gone from memory)
 *        (buckets that no reading can have been in start known and empty)
 *
 * A series keeps its newest window of each level. Older ones are there for as long as a flush needs them.
 */
import assert from 'node:assert/strict'

import { bucketStartMs, levels, type Readings } from 'relay-common'

import { EMPTY_ROW, type PackedRow } from './packed-row.ts'

/** What windows and rows need of a series, even if it is not in memory. */
export interface RowOwner {
  seriesId: number
  rowsMaxMs: number
  readonly windows: Windows
  readonly group?: RowOwner
}

export interface Window {
  readonly series: RowOwner
  /** in `levels` */
  readonly levelIndex: number
  readonly bucketMs: number
  /** undefined: must be read back */
  packed: PackedRow | undefined
  /** whether the database has a row of it, or is about to get one; as far as we know */
  isStored: boolean
  /** of a device's minute: readings that other source partitions have of it, from before it was at home here */
  elsewhere: Readings | undefined
}

/** The windows of one series. */
export interface Windows {
  /** by index of the level, the window that begins latest */
  readonly newest: Array<Window | undefined>
  /** older ones that a flush needs; undefined between flushes */
  late: Map<number, Window> | undefined
}

export function createWindows (): Windows {
  return { newest: levels.map(() => undefined), late: undefined }
}

/**
 * Looks for a window that readings will count in.
 * @returns one that must be read back first; undefined: it is known, or known to be new
 */
export function findUnknown (series: RowOwner, levelIndex: number, timeMs: number): Window | undefined {
  const { windows } = series
  const { sizeMs } = levels[levelIndex]
  const bucketMs = bucketStartMs(sizeMs, timeMs)
  if (windows.newest[levelIndex]?.bucketMs === bucketMs) return undefined
  if (bucketMs > series.rowsMaxMs) return undefined
  windows.late ??= new Map()
  const key = lateKey(levelIndex, bucketMs)
  let window = windows.late.get(key)
  if (window === undefined) windows.late.set(key, window = { series, levelIndex, bucketMs, packed: undefined, isStored: false, elsewhere: undefined })
  return window.packed === undefined ? window : undefined
}

/** Opens a window, which is known. One after the other in the order of time: what is new becomes the newest. */
export function openWindow (series: RowOwner, levelIndex: number, timeMs: number): Window {
  const { newest, late } = series.windows
  const bucketMs = bucketStartMs(levels[levelIndex].sizeMs, timeMs)
  if (newest[levelIndex]?.bucketMs === bucketMs) return newest[levelIndex]
  const found = late?.get(lateKey(levelIndex, bucketMs))
  if (found !== undefined) return found
  assert.ok(bucketMs > series.rowsMaxMs, 'a window must be new or read back')
  return (newest[levelIndex] = { series, levelIndex, bucketMs, packed: EMPTY_ROW, isStored: false, elsewhere: undefined })
}

/** A window that has a row or may have one, and is known; undefined: there is no row. */
export function findKnown ({ windows: { newest, late } }: RowOwner, levelIndex: number, timeMs: number): Window | undefined {
  const bucketMs = bucketStartMs(levels[levelIndex].sizeMs, timeMs)
  return newest[levelIndex]?.bucketMs === bucketMs ? newest[levelIndex] : late?.get(lateKey(levelIndex, bucketMs))
}

/** Keeps the newest window of each level and lets the others go; a reading that comes later has them read back. */
export function forgetLate ({ windows }: RowOwner): void {
  if (windows.late === undefined) return
  for (const window of windows.late.values()) {
    const newest = windows.newest[window.levelIndex]
    if (newest === undefined || newest.bucketMs < window.bucketMs) windows.newest[window.levelIndex] = window
  }
  windows.late = undefined
}

/** Buckets begin on whole minutes, so milliseconds are free to tell levels apart. */
function lateKey (levelIndex: number, bucketMs: number): number {
  return bucketMs + levelIndex
}
