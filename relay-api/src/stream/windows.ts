/** Windows: which buckets of which groups of a view have changed, and what is in them now. */
import {
  decodeBody, emptyRollup, levels, mergeRollup, type Database, type DecodedRow, type RelayError, type Rollup
} from 'relay-common'

import type { TimeRange } from '../query/plan.ts'
import type { Change } from './commits.ts'
import type { View } from './view.ts'

export interface Window {
  readonly group: string
  readonly bucketMs: number
}

/** What a view is to be told. */
export interface Told {
  readonly windows: readonly Window[]
  /** where more has changed than is told window by window */
  readonly stretch: TimeRange | undefined
}

/** a client is told so many windows at once; what is older than they are is told as one stretch */
const WINDOWS_MAX = 2_000
/** a stretch of so few buckets is told bucket by bucket */
const STRETCH_BUCKETS_MAX = 10

/** Gathers the changes of a view. */
export class Gathered {
  readonly #view: View
  readonly #windows = new Map<number, Set<string>>()
  #stretch: TimeRange | undefined

  constructor (view: View) {
    this.#view = view
  }

  /** @param seriesIds those of the change that the view has; undefined: all that it has */
  add ({ firstBucketMs, lastBucketMs }: Change, seriesIds?: ReadonlySet<number>): void {
    const { sizeMs } = this.#view.level
    if ((lastBucketMs - firstBucketMs) / sizeMs >= STRETCH_BUCKETS_MAX) {
      this.#stretch = around(this.#stretch, firstBucketMs, lastBucketMs + sizeMs)
      return
    }
    for (let bucketMs = firstBucketMs; bucketMs <= lastBucketMs; bucketMs += sizeMs) {
      const groups = this.#windows.get(bucketMs) ?? new Set()
      this.#windows.set(bucketMs, groups)
      for (const [group, ids] of this.#view.groups) {
        if (seriesIds === undefined || [...ids].some(it => seriesIds.has(it))) groups.add(group)
      }
    }
  }

  /** Newest windows first, and never too many. */
  finish (): Told {
    const windows: Window[] = []
    let stretch = this.#stretch
    for (const bucketMs of [...this.#windows.keys()].sort((a, b) => b - a)) {
      const groups = this.#windows.get(bucketMs)!
      if (windows.length > 0 && windows.length + groups.size > WINDOWS_MAX) {
        stretch = around(stretch, bucketMs, bucketMs + this.#view.level.sizeMs)
      } else {
        for (const group of groups) windows.push({ group, bucketMs })
      }
    }
    return { windows: windows.reverse(), stretch }
  }
}

function around (range: TimeRange | undefined, startMs: number, endMs: number): TimeRange {
  if (!range) return { startMs, endMs }
  return { startMs: Math.min(range.startMs, startMs), endMs: Math.max(range.endMs, endMs) }
}

/** Sorts changes by view. */
export function gather (
  changes: readonly Change[], views: Iterable<View>, of: (seriesId: number) => Iterable<View>
): Map<View, Told> {
  const gathered = new Map<View, Gathered>()
  const gatheredOf = (view: View) => {
    let found = gathered.get(view)
    if (!found) gathered.set(view, found = new Gathered(view))
    return found
  }
  for (const change of changes) {
    if (change.seriesIds === undefined) {
      for (const view of views) if (view.question.levelIndex === change.levelIndex) gatheredOf(view).add(change)
      continue
    }
    const touched = new Map<View, Set<number>>()
    for (const id of change.seriesIds) {
      for (const view of of(id)) {
        if (view.question.levelIndex !== change.levelIndex) continue
        const ids = touched.get(view) ?? new Set()
        touched.set(view, ids.add(id))
      }
    }
    for (const [view, ids] of touched) gatheredOf(view).add(change, ids)
  }
  return new Map([...gathered].map(([view, it]) => [view, it.finish()]))
}

/** What is in windows now; undefined: nothing (any more), or nothing that can be read. */
export type Contents = (view: View, window: Window) => Rollup | undefined

/** one statement looks up so many rows */
const KEYS_MAX = 20_000

/** Reads the windows of all views together: a row that several of them need is read and decoded once. */
export async function readWindows (database: Database, told: ReadonlyMap<View, Told>): Promise<Contents> {
  const rows = levels.map(() => new Map<string, Array<DecodedRow | undefined>>())
  for (const [levelIndex, ofLevel] of rows.entries()) {
    const keys = new Map<string, readonly [seriesId: number, bucketMs: number]>()
    for (const [view, { windows }] of told) {
      if (view.question.levelIndex !== levelIndex) continue
      for (const { group, bucketMs } of windows) {
        for (const id of view.groups.get(group) ?? []) keys.set(`${id} ${bucketMs}`, [id, bucketMs])
      }
    }
    const all = [...keys.values()]
    for (let n = 0; n < all.length; n += KEYS_MAX) {
      await readRows(database, levelIndex, all.slice(n, n + KEYS_MAX), ofLevel)
    }
  }
  return (view, { group, bucketMs }) => {
    const rollup = emptyRollup()
    for (const id of view.groups.get(group) ?? []) {
      for (const row of rows[view.question.levelIndex].get(`${id} ${bucketMs}`) ?? []) {
        if (!row) return undefined
        mergeRollup(rollup, row.rollup)
      }
    }
    return rollup.count > 0 ? rollup : undefined
  }
}

type Columns = [seriesId: number, bucketS: number, count: number, min: number, max: number, body: Buffer]

async function readRows (
  database: Database, levelIndex: number, keys: ReadonlyArray<readonly [number, number]>,
  rows: Map<string, Array<DecodedRow | undefined>>
): Promise<void> {
  const { name, table } = levels[levelIndex]
  const times = keys.map(([, bucketMs]) => bucketMs / 1000)
  // `offset 0` keeps this a look-up by key for each window, in all source partitions; the first and the last time are for
  // the planner, which then leaves out other partitions
  await database.streamPrepared(`read windows ${name}`, `
    select r.series_id, date_part('epoch', r.bucket_start), r.count::double precision, r.min, r.max, r.body
    from unnest($1::integer[], $2::double precision[]) as k (series_id, bucket_s)
    cross join lateral (
      select * from ${table} r
      where r.series_id = k.series_id and r.bucket_start = to_timestamp(k.bucket_s)
        and r.bucket_start between to_timestamp($3::float8) and to_timestamp($4::float8) offset 0) r`,
  [keys.map(([id]) => id), times, times.reduce((a, b) => Math.min(a, b)), times.reduce((a, b) => Math.max(a, b))], columns => {
    const [seriesId, bucketS, count, min, max, body] = columns as Columns
    const bucketMs = bucketS * 1000
    const key = `${seriesId} ${bucketMs}`
    const found = rows.get(key) ?? []
    rows.set(key, found)
    found.push(decode({ bucketStartMs: bucketMs, count, min, max, body }))
  })
}

/** @returns undefined for a corrupt row: whoever asks for that bucket hears so, and all other streams go on */
function decode (row: Parameters<typeof decodeBody>[0]): DecodedRow | undefined {
  try {
    return decodeBody(row)
  } catch (error) {
    if ((error as RelayError).code !== 'RELAY_ROLLUP_CORRUPT') throw error
    return undefined
  }
}
