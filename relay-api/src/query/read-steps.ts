/**
 * Reads the readings of devices' minutes for consecutive rows of an answer, and walks their steps (`steps.ts`).
 *
 * Statements are kept small: some series at a time, and of those some minutes at a time, so that neither PostgreSQL's
 * sort nor our memory grows with the range.
 */
import {
  bucketStartMs, decodeBody, emptyReadings, mergeReadings, MINUTE_MS, minuteLevel, type Database, type Readings
} from 'relay-common'

import { kindCondition, seriesCondition, type Selection } from '../parameters/selection.ts'
import { groupColumn, type GroupBy } from './groups.ts'
import { emptyStepSums, walkSteps, type StepSums, type StepWalk } from './steps.ts'

export interface StepQuery {
  readonly selection: Selection
  readonly groupBy: GroupBy | undefined
  readonly maxGapMs: number
  readonly nowMs: number
}

/** Most rows of a statement, roughly: they are sorted in PostgreSQL's working memory, 4 MB by default. */
const STATEMENT_ROWS = 20_000
const SERIES_MAX = 2_000
/** PostgreSQL may go through all devices of a zone for each page of series: so pages are few */
const SERIES_PAGE = 20_000

/**
 * @param keys of the groups
 * @param boundaries of the rows, ascending
 * @returns by group, and by row: what its steps add up to
 * @throws RelayError RELAY_DATABASE_UNREACHABLE, RELAY_ROLLUP_CORRUPT
 */
export async function readSteps (
  database: Database, query: StepQuery, keys: readonly string[], boundaries: readonly number[]
): Promise<Map<string, StepSums[]>> {
  const sums = new Map(keys.map(key => [key, boundaries.slice(1).map(emptyStepSums)]))
  const startMs = bucketStartMs(MINUTE_MS, boundaries[0])
  const endMs = boundaries[boundaries.length - 1]
  const minutes = Math.ceil((endMs - startMs) / MINUTE_MS)
  const seriesMax = Math.min(Math.max(Math.floor(STATEMENT_ROWS / minutes), 1), SERIES_MAX)

  for await (const series of seriesOf(database, query, keys, seriesMax)) {
    const walks = new Map(series.map(it => [it.id, createMinuteWalk(
      walkSteps(boundaries, sums.get(it.key)!, query.maxGapMs, query.nowMs))]))
    const visit = (row: Columns) => walks.get(row[0])!.add(row)
    const ids = [...walks.keys()]
    await readBefore(database, ids, startMs, query.maxGapMs, visit)
    const sizeMs = Math.max(Math.floor(STATEMENT_ROWS / ids.length), 1) * MINUTE_MS
    for (let fromMs = startMs; fromMs < endMs; fromMs += sizeMs) {
      await readMinutes(database, ids, fromMs, Math.min(fromMs + sizeMs, endMs), visit)
    }
    for (const walk of walks.values()) walk.finish()
  }
  return sums
}

interface DeviceSeries {
  readonly id: number
  readonly key: string
}

async function * seriesOf (
  database: Database, { selection, groupBy }: StepQuery, keys: readonly string[], limit: number
): AsyncGenerator<DeviceSeries[]> {
  const namesDevices = selection.devices.length > 0 || groupBy === 'device'
  for (let after = 0; ;) {
    const values: unknown[] = [after]
    const condition = seriesCondition(selection, values, namesDevices)
    const column = groupColumn(groupBy)
    const ofGroups = groupBy === undefined ? 'true' : `${column} = any($${values.push(keys)}::text[])`
    // `+ 0`: else statistics can make it a walk through all series of the site in the order of their ids
    const found = await database.query<{ id: number, key: string }>(`
      select s.series_id as id, ${column} as key from series s
      where s.series_id + 0 > $1 and ${kindCondition('devices', namesDevices)} and ${condition} and ${ofGroups}
      order by s.series_id + 0 limit ${SERIES_PAGE}`, values)
    for (let n = 0; n < found.length; n += limit) yield found.slice(n, n + limit)
    if (found.length < SERIES_PAGE) return
    after = found[found.length - 1].id
  }
}

type Columns = [seriesId: number, bucketStartS: number, count: number, min: number, max: number, body: Buffer]

const columns = "r.series_id, date_part('epoch', r.bucket_start), r.count::float8, r.min, r.max, r.body"

/** The newest minute of each series before a time, as far back as a step may reach. */
async function readBefore (
  database: Database, ids: readonly number[], startMs: number, maxGapMs: number, visit: (row: Columns) => void
): Promise<void> {
  await database.streamPrepared('steps before', `
    select ${columns} from unnest($1::integer[]) as s (series_id) cross join lateral (
      select * from ${minuteLevel.table} r where r.series_id = s.series_id
        and r.bucket_start >= to_timestamp($2) and r.bucket_start < to_timestamp($3)
      order by r.bucket_start desc fetch first 1 rows with ties) r`,
  [ids, bucketStartMs(MINUTE_MS, startMs - maxGapMs) / 1000, startMs / 1000], row => visit(row as Columns))
}

async function readMinutes (
  database: Database, ids: readonly number[], startMs: number, endMs: number, visit: (row: Columns) => void
): Promise<void> {
  await database.streamPrepared('steps', `
    select ${columns} from unnest($1::integer[]) as s (series_id) cross join lateral (
      select * from ${minuteLevel.table} r where r.series_id = s.series_id
        and r.bucket_start >= to_timestamp($2) and r.bucket_start < to_timestamp($3) offset 0) r
    order by r.series_id, r.bucket_start`,
  [ids, startMs / 1000, endMs / 1000], row => visit(row as Columns))
}

/** Rows of one minute from several source partitions are walked as one. */
function createMinuteWalk (walk: StepWalk): { add (row: Columns): void, finish (): void } {
  let minuteMs = NaN
  let readings: Readings = emptyReadings()
  let lost: { lastMs: number, lastValue: number } | undefined

  const flush = () => {
    if (lost !== undefined) {
      walk.addLost({ startMs: minuteMs, endMs: minuteMs + MINUTE_MS }, lost.lastMs, lost.lastValue)
    } else {
      walk.add(readings)
    }
    readings = emptyReadings()
    lost = undefined
  }
  return {
    add ([, bucketStartS, count, min, max, body]) {
      const startMs = bucketStartS * 1000
      if (startMs !== minuteMs) flush()
      minuteMs = startMs
      const decoded = decodeBody({ bucketStartMs: startMs, count, min, max, body })
      const { lastMs, lastValue } = decoded.rollup
      if (decoded.readings !== undefined) mergeReadings(readings, decoded.readings, true)
      if (lost !== undefined || decoded.readings === undefined) {
        lost = lost !== undefined && lost.lastMs > lastMs ? lost : { lastMs, lastValue }
      }
    },
    finish () {
      flush()
      walk.finish()
    }
  }
}
