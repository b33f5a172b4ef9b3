/**
 * Windows in memory: what the database has, or will have, of a bucket of a series.
 *
 *     unknown ──read back──▶ known ──readings settle──▶ known, and on its way to the database ──cold──▶ (gone from memory)
 *        (buckets that no reading can have been in start known and empty)
 *
 * A series keeps its newest window of each level. Older ones exist only while a flush needs them.
 */
import assert from 'node:assert/strict'

import { bucketStartMs, levels, type Readings } from 'relay-rollups'

import { EMPTY_ROW, type PackedRow } from './packed-row.ts'

/** The part of a series that windows and rows need, even if it is not in memory. */
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
  /** whether the database has its row, or will have it; as far as known */
  isStored: boolean
  /** for a device's minute: readings that other source partitions have of it, from before its home was here */
  elsewhere: Readings | undefined
}

/** The windows of one series. */
export interface Windows {
  /** by index of the level, the latest window */
  readonly newest: Array<Window | undefined>
  /** older ones that a flush needs; undefined between flushes */
  late: Map<number, Window> | undefined
}

export function createWindows (): Windows {
  return { newest: levels.map(() => undefined), late: undefined }
}

/**
 * Finds the window of some readings.
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
  if (window === undefined) {
    windows.late.set(
      key, window = { series, levelIndex, bucketMs, packed: undefined, isStored: false, elsewhere: undefined }
    )
  }
  return window.packed === undefined ? window : undefined
}

/** Opens a known window. Call it in the order of time: a new one becomes the newest. */
export function openWindow (series: RowOwner, levelIndex: number, timeMs: number): Window {
  const { newest, late } = series.windows
  const bucketMs = bucketStartMs(levels[levelIndex].sizeMs, timeMs)
  if (newest[levelIndex]?.bucketMs === bucketMs) return newest[levelIndex]
  const found = late?.get(lateKey(levelIndex, bucketMs))
  if (found !== undefined) return found
  assert.ok(bucketMs > series.rowsMaxMs, 'a window must be new or read back')
  return (
    newest[levelIndex] = { series, levelIndex, bucketMs, packed: EMPTY_ROW, isStored: false, elsewhere: undefined }
  )
}

/** A known window that has or may have a row; undefined: there is no row. */
export function findKnown (
  { windows: { newest, late } }: RowOwner, levelIndex: number, timeMs: number
): Window | undefined {
  const bucketMs = bucketStartMs(levels[levelIndex].sizeMs, timeMs)
  return newest[levelIndex]?.bucketMs === bucketMs ? newest[levelIndex] : late?.get(lateKey(levelIndex, bucketMs))
}

/** Keeps the newest window of each level and drops the others; a later reading reads them back. */
export function forgetLate ({ windows }: RowOwner): void {
  if (windows.late === undefined) return
  for (const window of windows.late.values()) {
    const newest = windows.newest[window.levelIndex]
    if (newest === undefined || newest.bucketMs < window.bucketMs) windows.newest[window.levelIndex] = window
  }
  windows.late = undefined
}

/** Buckets start on whole minutes, so the milliseconds can encode the level. */
function lateKey (levelIndex: number, bucketMs: number): number {
  return bucketMs + levelIndex
}
