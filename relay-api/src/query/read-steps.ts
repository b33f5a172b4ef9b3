/**
 * Reads the readings of devices' minutes for consecutive rows of an answer, and walks their steps (`counter-steps.ts`).
 *
 * Statements are small, with some series and some minutes at a time, so that neither PostgreSQL's sort nor our memory
 * grows with the range.
 */
import type { Database } from 'relay-common'
import {
  bucketStartMs, cutReadings, decodeBody, emptyReadings, mergeReadings, MINUTE_MS, minuteLevel, type Readings,
  type TimeRange
} from 'relay-rollups'

import { isFound, kindCondition, seriesCondition, type Selection } from '../parameters/selection.ts'
import { nobody, type Asker } from '../sharing/asker.ts'
import { grantedOf, groupOfGranted } from './pieces.ts'
import { groupColumn } from './groups.ts'
import type { GroupBy } from './group-by.ts'
import { around, journalBlocksOf, createJournalCollector, journalOfBlocks } from './read-journal.ts'
import { emptyStepSums, walkSteps, type StepSums, type StepWalk } from './counter-steps.ts'

export interface StepQuery {
  readonly selection: Selection
  readonly groupBy: GroupBy | undefined
  readonly maxGapMs: number
  readonly nowMs: number
}

/** Approximate number of rows per statement: they are sorted in PostgreSQL's working memory, 4 MB by default. */
const STATEMENT_ROWS = 20_000
const SERIES_MAX = 2_000
/** PostgreSQL may read all devices of a zone for each page of series, so pages are few */
const SERIES_PAGE = 20_000

/**
 * @param boundariesOf by group: the boundaries of its rows, ascending
 * @returns by group and row: the sums of its steps
 * @throws RelayError RELAY_DATABASE_UNREACHABLE, RELAY_ROLLUP_CORRUPT
 */
export async function readSteps (
  database: Database, query: StepQuery, boundariesOf: ReadonlyMap<string, readonly number[]>, asker: Asker = nobody
): Promise<Map<string, StepSums[]>> {
  const sums = new Map([...boundariesOf].map(([key, it]) => [key, it.slice(1).map(emptyStepSums)]))
  const ranges = new Map([...boundariesOf].map(([key, it]) => [key, rangeOf(it)]))
  const longestMs = Math.max(...[...ranges.values()].map(it => it.endMs - it.startMs))
  const seriesMax = Math.min(Math.max(Math.floor(STATEMENT_ROWS / Math.ceil(longestMs / MINUTE_MS)), 1), SERIES_MAX)

  for await (const series of seriesOf(database, query, [...boundariesOf.keys()], seriesMax)) {
    const walks = new Map(series.map(it => [it.id, createMinuteWalk(
      walkSteps(boundariesOf.get(it.key)!, sums.get(it.key)!, query.maxGapMs, query.nowMs))]))
    const seriesRanges = series.map(it => ({ id: it.id, ...ranges.get(it.key)! }))
    await readBefore(database, seriesRanges, query.maxGapMs, walks)
    const sizeMs = Math.max(Math.floor(STATEMENT_ROWS / series.length), 1) * MINUTE_MS
    for (let behindMs = 0; behindMs < longestMs; behindMs += sizeMs) {
      await readMinutes(database, seriesRanges.map(({ id, startMs, endMs }) =>
        ({ id, startMs: startMs + behindMs, endMs: Math.min(startMs + behindMs + sizeMs, endMs) })), walks)
    }
    for (const walk of walks.values()) {
      const turn = asker.pace()
      if (turn) await turn
      walk.finish()
    }
  }
  return sums
}

/** From the minute of the first boundary to the last one. */
function rangeOf (boundaries: readonly number[]): TimeRange {
  return { startMs: bucketStartMs(MINUTE_MS, boundaries[0]), endMs: boundaries[boundaries.length - 1] }
}

interface DeviceSeries {
  readonly id: number
  readonly key: string
}

async function * seriesOf (
  database: Database, { selection, groupBy }: StepQuery, keys: readonly string[], limit: number
): AsyncGenerator<DeviceSeries[]> {
  const { granted } = grantedOf(selection, groupBy, keys)
  if (granted && groupBy !== 'device') {
    for (const { ids, ...group } of granted.series) {
      const key = groupOfGranted(group, groupBy)
      for (let n = 0; n < ids.length; n += limit) yield Array.from(ids.subarray(n, n + limit), id => ({ id, key }))
    }
    return
  }
  const namesDevices = isFound(selection) || groupBy === 'device'
  for (let after = 0; ;) {
    const values: unknown[] = [after]
    const condition = seriesCondition(selection, values, namesDevices)
    const column = groupColumn(groupBy)
    const ofGroups = groupBy === undefined ? 'true' : `${column} = any($${values.push(keys)}::text[])`
    // `+ 0`: otherwise statistics can make it walk all series of the site in the order of their ids
    const found = await database.query<{ id: number, key: string }>(`
      select s.series_id as id, ${column} as key from series s
      where s.series_id + 0 > $1 and ${kindCondition('devices', namesDevices)} and ${condition} and ${ofGroups}
      order by s.series_id + 0 limit ${SERIES_PAGE}`, values)
    for (let n = 0; n < found.length; n += limit) yield found.slice(n, n + limit)
    if (found.length < SERIES_PAGE) return
    after = found[found.length - 1].id
  }
}

/** without a series: a row of the journal */
type Columns = [seriesId: number, bucketStartS: number, count: number, min: number, max: number, body: Buffer]

const columns = "r.series_id, date_part('epoch', r.bucket_start), r.count::float8, r.min, r.max, r.body"

/** The range to read of a series. */
interface SeriesRange extends TimeRange {
  readonly id: number
}

type Walks = ReadonlyMap<number, MinuteWalk>

/** The newest minute of each series before its window, as far back as a step may reach; and the whole journal. */
async function readBefore (
  database: Database, seriesRanges: readonly SeriesRange[], maxGapMs: number, walks: Walks
): Promise<void> {
  const before = seriesRanges.map(({ id, startMs }) =>
    ({ id, startMs: bucketStartMs(MINUTE_MS, startMs - maxGapMs), endMs: startMs }))
  await walkRows(database, 'steps before', `
    select ${columns} from ${windowsOfSeries} cross join lateral (
      select * from ${minuteLevel.table} r where r.series_id = w.series_id
        and r.bucket_start >= to_timestamp(w.start_s) and r.bucket_start < to_timestamp(w.end_s) and ${withinAll}
      order by r.bucket_start desc fetch first 1 rows with ties) r`, before, walks)
}

async function readMinutes (database: Database, seriesRanges: readonly SeriesRange[], walks: Walks): Promise<void> {
  await walkRows(database, 'steps', `
    select ${columns} from ${windowsOfSeries} cross join lateral (
      select * from ${minuteLevel.table} r where r.series_id = w.series_id
        and r.bucket_start >= to_timestamp(w.start_s) and r.bucket_start < to_timestamp(w.end_s) and ${withinAll} offset 0) r`,
  seriesRanges, walks)
}

const windowsOfSeries = 'unnest($1::integer[], $2::float8[], $3::float8[]) as w (series_id, start_s, end_s)'

/** The bounds of all windows, so that PostgreSQL only plans and locks partitions of that time. */
const withinAll = 'r.bucket_start >= to_timestamp($4) and r.bucket_start < to_timestamp($5)'

/** Walks the rows of some windows, after the journal of them. */
async function walkRows (
  database: Database, name: string, rows: string, all: readonly SeriesRange[], walks: Walks
): Promise<void> {
  const seriesRanges = all.filter(it => it.startMs < it.endMs)
  const range = around(seriesRanges)
  if (!range) return
  const journal = createJournalCollector<SeriesRange>(range)
  for (const it of seriesRanges) journal.addSeries(it.id, it)
  let isJournalTaken = false
  const takeJournal = () => {
    if (isJournalTaken) return
    isJournalTaken = true
    journal.finish({
      readings: (window, readings) => walks.get(window.id)!.take(cutReadings(readings, window)), rollup: () => {}
    })
  }

  const inJournal = journalOfBlocks('$6::integer[]', { startTime: 'to_timestamp($4)', endTime: 'to_timestamp($5)' },
    'null::integer, null::float8, null::float8, null::float8, null::float8, j.body')
  await database.streamPrepared(name, `${inJournal} union all ${rows}
    order by 1 nulls first, 2`, [
    seriesRanges.map(it => it.id), seriesRanges.map(it => it.startMs / 1000), seriesRanges.map(it => it.endMs / 1000),
    range.startMs / 1000, range.endMs / 1000,
    journalBlocksOf(seriesRanges.map(it => ({ seriesId: it.id, kind: 'devices' })))
  ], it => {
    const row = it as Columns
    if (row[0] === null) {
      journal.addRow(row[5])
      return
    }
    takeJournal()
    walks.get(row[0])!.add(row)
  })
  takeJournal()
  for (const { id } of seriesRanges) walks.get(id)!.pass()
}

interface MinuteWalk {
  /** Takes the journal's readings for the time of the next rows, sorted. */
  take (readings: Readings): void
  /** Adds a row; those of one minute are consecutive. */
  add (row: Columns): void
  /** Everything of that time has come. */
  pass (): void
  finish (): void
}

/** Rows of one minute from several source partitions, and its readings in the journal, are walked together. */
function createMinuteWalk (walk: StepWalk): MinuteWalk {
  let minuteMs = NaN
  let readings: Readings = emptyReadings()
  let lost: { lastMs: number, lastValue: number } | undefined
  let ofJournal: Readings = emptyReadings()
  let taken = 0

  /** Readings of the journal before a time. */
  const takeBefore = (timeMs: number): Readings => {
    const { timesMs, values } = ofJournal
    const from = taken
    while (taken < timesMs.length && timesMs[taken] < timeMs) taken++
    return { timesMs: timesMs.slice(from, taken), values: values.slice(from, taken) }
  }
  const flush = () => {
    mergeReadings(readings, takeBefore(minuteMs + MINUTE_MS), true)
    if (lost !== undefined) {
      const { timesMs, values } = readings
      const last = timesMs.length - 1
      if (timesMs[last] > lost.lastMs) lost = { lastMs: timesMs[last], lastValue: values[last] }
      walk.addLost({ startMs: minuteMs, endMs: minuteMs + MINUTE_MS }, lost.lastMs, lost.lastValue)
    } else {
      walk.add(readings)
    }
    readings = emptyReadings()
    lost = undefined
  }
  const passTo = (timeMs: number) => {
    if (!Number.isNaN(minuteMs)) flush()
    walk.add(takeBefore(timeMs))
  }
  return {
    take (readings) {
      ofJournal = readings
      taken = 0
    },
    add ([, bucketStartS, count, min, max, body]) {
      const startMs = bucketStartS * 1000
      if (startMs !== minuteMs) passTo(startMs)
      minuteMs = startMs
      const decoded = decodeBody({ bucketStartMs: startMs, count, min, max, body })
      const { lastMs, lastValue } = decoded.rollup
      if (decoded.readings !== undefined) mergeReadings(readings, decoded.readings, true)
      if (lost !== undefined || decoded.readings === undefined) {
        lost = lost !== undefined && lost.lastMs > lastMs ? lost : { lastMs, lastValue }
      }
    },
    pass () {
      passTo(Infinity)
      minuteMs = NaN
    },
    finish: () => walk.finish()
  }
}
