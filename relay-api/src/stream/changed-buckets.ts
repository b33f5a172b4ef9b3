/** Changed windows of views: which buckets of which groups changed, and their current rollups. */
import type { Database, RelayError } from 'relay-common'
import {
  bucketStartMs, decodeBody, emptyRollup, foldReadings, levels, mergeRollup, readingsByBucket, type Rollup,
  type TimeRange
} from 'relay-rollups'

import { readsDeviceSeries, type SeriesKind } from '../query/groups.ts'
import { journalBlocksOf, createJournalCollector, journalOfBlocks } from '../query/read-journal.ts'
import type { Change } from './commits.ts'
import type { View } from './view.ts'

export interface ChangedBucket {
  readonly group: string
  readonly bucketMs: number
}

/** Changes to send to the clients of a view. */
export interface ViewChanges {
  readonly buckets: readonly ChangedBucket[]
  /** range of further changes, too many to send one by one */
  readonly stretch: TimeRange | undefined
}

/** windows that are sent at once; older changes are sent as one range */
const BUCKETS_MAX = 2_000
/** a range of fewer buckets is sent bucket by bucket */
const STRETCH_BUCKETS_MAX = 10

/** Collects the changes of a view. */
export class ChangeCollector {
  readonly #view: View
  readonly #windows = new Map<number, Set<string>>()
  #stretch: TimeRange | undefined

  constructor (view: View) {
    this.#view = view
  }

  /** @param seriesIds the series of the change in the view; undefined: all of the view */
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

  /** The newest windows first, up to a limit. */
  finish (): ViewChanges {
    const buckets: ChangedBucket[] = []
    let stretch = this.#stretch
    for (const bucketMs of [...this.#windows.keys()].sort((a, b) => b - a)) {
      const groups = this.#windows.get(bucketMs)!
      if (buckets.length > 0 && buckets.length + groups.size > BUCKETS_MAX) {
        stretch = around(stretch, bucketMs, bucketMs + this.#view.level.sizeMs)
      } else {
        for (const group of groups) buckets.push({ group, bucketMs })
      }
    }
    return { buckets: buckets.reverse(), stretch }
  }
}

function around (range: TimeRange | undefined, startMs: number, endMs: number): TimeRange {
  if (!range) return { startMs, endMs }
  return { startMs: Math.min(range.startMs, startMs), endMs: Math.max(range.endMs, endMs) }
}

/** Sorts changes by view. */
export function collectChanges (
  changes: readonly Change[], views: Iterable<View>, of: (seriesId: number) => Iterable<View>
): Map<View, ViewChanges> {
  const collectors = new Map<View, ChangeCollector>()
  const collectorOf = (view: View) => {
    let found = collectors.get(view)
    if (!found) collectors.set(view, found = new ChangeCollector(view))
    return found
  }
  for (const change of changes) {
    if (change.seriesIds === undefined) {
      for (const view of views) if (view.query.levelIndex === change.levelIndex) collectorOf(view).add(change)
      continue
    }
    const touched = new Map<View, Set<number>>()
    for (const id of change.seriesIds) {
      for (const view of of(id)) {
        if (view.query.levelIndex !== change.levelIndex) continue
        const ids = touched.get(view) ?? new Set()
        touched.set(view, ids.add(id))
      }
    }
    for (const [view, ids] of touched) collectorOf(view).add(change, ids)
  }
  return new Map([...collectors].map(([view, it]) => [view, it.finish()]))
}

/** Current content of windows; undefined: none (any more), or unreadable. */
export type Contents = (view: View, bucket: ChangedBucket) => Rollup | undefined

/** rows per statement */
const KEYS_MAX = 20_000

/** A bucket of a series. */
interface Key {
  readonly seriesId: number
  readonly bucketMs: number
  readonly kind: SeriesKind
}

/** Its rollups; undefined: unreadable. */
type Rollups = Map<string, Array<Rollup | undefined>>

/** Reads the windows of all views: a row for several of them is read and decoded once. */
export async function readChangedBuckets (
  database: Database, changes: ReadonlyMap<View, ViewChanges>
): Promise<Contents> {
  const rows: Rollups[] = levels.map(() => new Map())
  for (const [levelIndex, ofLevel] of rows.entries()) {
    const keys = new Map<string, Key>()
    for (const [view, { buckets }] of changes) {
      if (view.query.levelIndex !== levelIndex) continue
      const kind = readsDeviceSeries(view.query.selection, view.query.groupBy) ? 'devices' : 'groups'
      for (const { group, bucketMs } of buckets) {
        for (const seriesId of view.groups.get(group) ?? []) {
          keys.set(`${seriesId} ${bucketMs}`, { seriesId, bucketMs, kind })
        }
      }
    }
    const all = [...keys.values()]
    for (let n = 0; n < all.length; n += KEYS_MAX) {
      await readBucketRows(database, levelIndex, all.slice(n, n + KEYS_MAX), ofLevel)
    }
  }
  return (view, { group, bucketMs }) => {
    const rollup = emptyRollup()
    for (const id of view.groups.get(group) ?? []) {
      for (const it of rows[view.query.levelIndex].get(`${id} ${bucketMs}`) ?? []) {
        if (!it) return undefined
        mergeRollup(rollup, it)
      }
    }
    return rollup.count > 0 ? rollup : undefined
  }
}

/** without a series: a row of the journal, with its block in count */
type Columns = [seriesId: number | null, bucketS: number, count: number, min: number, max: number, body: Buffer]

async function readBucketRows (
  database: Database, levelIndex: number, keys: readonly Key[], found: Rollups
): Promise<void> {
  const { name, table, sizeMs } = levels[levelIndex]
  const ids = keys.map(it => it.seriesId)
  const times = keys.map(it => it.bucketMs)
  const range = {
    startMs: times.reduce((a, b) => Math.min(a, b)), endMs: times.reduce((a, b) => Math.max(a, b)) + sizeMs
  }
  const add = (seriesId: number, bucketMs: number, rollup: Rollup | undefined) => {
    const key = `${seriesId} ${bucketMs}`
    const known = found.get(key)
    if (known) known.push(rollup) // the journal may have each minute of a group's day
    else found.set(key, [rollup])
  }

  const journal = createJournalCollector<number>(range)
  for (const id of ids) journal.addSeries(id, id)
  const inJournal = journalOfBlocks('$5::integer[]', { startTime: 'to_timestamp($3)', endTime: 'to_timestamp($4)' },
    'null::integer, null::float8, null::float8, null::float8, null::float8, j.body')
  // `offset 0` keeps a look-up by key per window, in all source partitions; the first and last time let the planner
  // exclude other partitions
  await database.streamPrepared(`read windows ${name}`, `
    select r.series_id, date_part('epoch', r.bucket_start), r.count::double precision, r.min, r.max, r.body
    from unnest($1::integer[], $2::double precision[]) as k (series_id, bucket_s)
    cross join lateral (
      select * from ${table} r
      where r.series_id = k.series_id and r.bucket_start = to_timestamp(k.bucket_s)
        and r.bucket_start >= to_timestamp($3::float8) and r.bucket_start < to_timestamp($4::float8) offset 0) r
    union all ${inJournal}`,
  [ids, times.map(it => it / 1000), range.startMs / 1000, range.endMs / 1000, journalBlocksOf(keys)], columns => {
    const [seriesId, bucketS, count, min, max, body] = columns as Columns
    const bucketStartMs = bucketS * 1000
    if (seriesId === null) journal.addRow(body)
    else add(seriesId, bucketStartMs, unlessCorrupt(() => decodeBody({ bucketStartMs, count, min, max, body }).rollup))
  })
  const isRead = unlessCorrupt(() => {
    journal.finish({
      readings (id, readings) {
        for (const [bucketMs, part] of readingsByBucket(readings, sizeMs)) {
          const rollup = emptyRollup()
          foldReadings(rollup, part)
          add(id, bucketMs, rollup)
        }
      },
      rollup: (id, minuteMs, rollup) => add(id, bucketStartMs(sizeMs, minuteMs), rollup)
    })
    return true
  })
  if (!isRead) for (const { seriesId, bucketMs } of keys) add(seriesId, bucketMs, undefined)
}

/** @returns undefined for corrupt bytes: queries on that bucket get the error, and other streams continue */
function unlessCorrupt<T> (read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if ((error as RelayError).code !== 'RELAY_ROLLUP_CORRUPT') throw error
    return undefined
  }
}
