/** `GET /api/v1/aggregates`: statistics of a selection over a range, in rows of an interval. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Grants } from 'relay-access'
import { RelayError, type Database } from 'relay-common'
import { DAY_MS, MINUTE_MS } from 'relay-rollups'
import { Type, type Static } from 'typebox'

import type { Answer } from '../../sharing/answers-in-progress.ts'
import { allowCaching } from '../../caching.ts'
import type { Row } from '../../formats/rows-writer.ts'
import { createRowsWriter } from '../../formats/rows.ts'
import { sendPieces } from '../../formats/send.ts'
import { OpenEnum } from '../../open-enum.ts'
import { Cursor, decodeCursor, encodeCursor, type Resumed } from '../../parameters/cursor.ts'
import { Format, mediaTypes, chooseFormat, type FormatName } from '../../parameters/format.ts'
import { intervalParameters, splitIntoRows, parseZoneClock } from '../../parameters/split-rows.ts'
import { parseSelection, selectionParameters } from '../../parameters/selection.ts'
import { parseStatistics, Statistics } from '../../parameters/stats.ts'
import { checkLength, rangeParameters, parseDurationParameter, parseRange } from '../../parameters/time.ts'
import { problemResponses } from '../../problem.ts'
import { aggregate } from '../../query/aggregate.ts'
import { readArrivalTotals, type ArrivalTotals } from '../../query/late-readings.ts'
import { boundariesAt } from '../../query/boundaries.ts'
import type { Asker } from '../../sharing/asker.ts'
import type { AnswerRow } from '../../query/fill.ts'
import { fills, type Fill } from '../../query/rows-query.ts'
import { countDeviceSeries, countGroups } from '../../query/groups.ts'
import { groupBys, type GroupBy } from '../../query/group-by.ts'
import { findGranted } from '../../query/granted.ts'
import { longestMs } from '../../query/interval.ts'
import { planRange } from '../../query/plan.ts'
import { rowStatuses, rowStatusOf } from '../../query/row-status.ts'
import { isOneSlice } from '../../query/slices.ts'
import { columnsOf, type RowsQuery } from '../../query/rows-query.ts'
import { namedColumns, timeColumns } from '../../query/statistics.ts'
import type { ZoneClock } from '../../query/zone-clock.ts'
import type { ReadSource } from '../../replica.ts'
import type { V1Parts } from './parts.ts'

const LIMIT_MAX = 1_000_000
const LIMIT_DEFAULT = 10_000

const Query = Type.Object({
  ...selectionParameters,
  ...rangeParameters,
  ...intervalParameters,
  groupBy: Type.Optional(Type.String({
    enum: [...groupBys], description: 'separate rows per device, zone or type; default: one row for the whole selection'
  })),
  stats: Statistics,
  maxGap: Type.String({
    default: '1h',
    maxLength: 16,
    description: 'longest gap between two readings that still counts: `30s`, `15m`, `1h`, at most `1d`'
  }),
  fill: Type.String({
    enum: [...fills],
    default: 'none',
    description: 'rows without readings: left out (`none`), null, or filled, from the previous row ' +
      '(`previous`, may be before `start`) or by linear interpolation (`linear`). Filled rows say so in `filled`'
  }),
  order: Type.String({ enum: ['asc', 'desc'], default: 'asc', description: 'order by time, within a group' }),
  limit: Type.Integer({
    default: LIMIT_DEFAULT,
    minimum: 1,
    maximum: LIMIT_MAX,
    description: 'most rows; if there are more, `next` is the cursor of the next page'
  }),
  cursor: Cursor,
  format: Format
})

type AggregatesQuery = Static<typeof Query>

const NullableNumber = Type.Unsafe<number | null>({ type: ['number', 'null'] })
const NullableTime = Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'on the clock of `tz`' })
const typeOf = (column: string) =>
  column === 'count' ? Type.Integer() : timeColumns.has(column) ? NullableTime : NullableNumber
const numbers = Object.fromEntries(namedColumns.map(it => [it, Type.Optional(typeOf(it))]))

const rowSchema = Type.Object({
  bucketStart: Type.String({ description: 'on the clock of `tz`; readings from this time on' }),
  bucketEnd: Type.String({ description: 'and before this one' }),
  device: Type.Optional(Type.String()),
  zone: Type.Optional(Type.String()),
  type: Type.Optional(Type.String()),
  ...numbers,
  status: OpenEnum(rowStatuses,
    'final: everything up to its end was read; revised: late readings changed it after that'),
  filled: Type.Optional(Type.Boolean({ description: 'no readings' })),
  unavailable: Type.Optional(Type.Record(
    Type.String(), Type.String(), { description: 'for each null statistic, the reason' }
  ))
}, {
  title: 'AggregateRow',
  additionalProperties: true, // numbers and nulls, for which generated Go does not compile
  description: 'and a member for each of `stats`; any percentile, such as `p99.9`, and `p99.9Error` are numbers or null'
})

const answerSchema = Type.Object({
  start: Type.String({
    description: 'range of all rows, in `tz`; wider than requested only where the stored data is coarser'
  }),
  end: Type.String(),
  interval: Type.String({ description: 'the interval that was used, for `auto`' }),
  tz: Type.String(),
  completeThrough: Type.Unsafe<string | null>({
    type: ['string', 'null'],
    description: 'every partition was read up to this event time, or to the end of the range; null: unknown'
  }),
  lateReadings: Type.Integer({
    description: 'late readings of the selection in the hours of the range: their minute was already final when ' +
      'they arrived'
  }),
  duplicateReadings: Type.Integer({ description: 'and resends, which are not counted again' }),
  rows: Type.Array(rowSchema, { description: 'ordered by group, then by time' }),
  next: Type.Unsafe<string | null>({
    type: ['string', 'null'], description: 'where there are more rows: `cursor` of the next answer'
  })
}, { title: 'Aggregates' })

const schema = {
  operationId: 'getAggregates',
  summary: 'Statistics of a selection over a range',
  description: 'An answer without `next` is complete. CSV has no cursor: an answer is complete or refused.',
  tags: ['aggregates'],
  querystring: Query,
  response: {
    200: {
      description: 'rows',
      content: {
        [mediaTypes.json]: { schema: answerSchema },
        [mediaTypes.ndjson]: { schema: Type.String({ description: 'one row per line, then {"end":{…}}' }) },
        [mediaTypes.csv]: { schema: Type.String({ description: 'RFC 4180' }) }
      }
    },
    304: Type.Null({ description: 'the answer matches If-None-Match' }),
    ...problemResponses()
  }
}

const GAP_MAX_MS = DAY_MS

export function aggregatesRoutes (app: FastifyInstance, parts: V1Parts): void {
  app.withTypeProvider<TypeBoxTypeProvider>().get('/aggregates', { schema }, async (request, reply) =>
    findAggregates(
      request.query, request.principal.grants, chooseFormat(request.query.format, request), parts, request.answer, reply
    ))
}

async function findAggregates (
  query: AggregatesQuery, grants: Grants, format: FormatName, parts: V1Parts, answer: Answer,
  reply: FastifyReply
): Promise<FastifyReply> {
  const { limit, cursor, format: _, ...asked } = query // the rest distinguishes queries
  const source = parts.reads.choose(answer)
  const resumed = cursor === undefined ? undefined : decodeCursor(asked, cursor)
  const [resolved, completeThroughMs] = await Promise.all([
    resolve(query, grants, resumed, source, parts, answer), parts.completeness.read(source)
  ])
  const { rowsQuery, granted, range, interval, clock } = resolved
  if (format === 'csv') await refuseCut(rowsQuery, cursor, source.database, parts.config.POINTS_MAX, answer)
  if (rowsQuery.statistics.some(it => it.needsSteps)) {
    await refuseSteps(rowsQuery, source.database, parts.config.STEP_MINUTES_MAX, answer)
  }

  const { groupBy, statistics, boundaries } = rowsQuery
  const rowsRange = boundaries.length === 0 ? range : { startMs: boundaries.at(0), endMs: boundaries.at(-1) }
  let arrivals: ArrivalTotals | undefined
  const comeWithRows = isOneSlice(rowsQuery)
  const chunks = aggregate(
    comeWithRows ? { ...source, noteArrivals: it => { arrivals = it } } : source,
    format === 'csv' ? { ...rowsQuery, limit: Infinity } : rowsQuery
  )
  const readArrivals = () => readArrivalTotals(source.database, granted, rowsRange)
  const [counted, first] = await Promise.all([comeWithRows ? undefined : readArrivals(), chunks.next()])
  const { late, duplicates } = arrivals ?? counted ?? await readArrivals()
  const head = {
    start: clock.write(rowsRange.startMs),
    end: clock.write(rowsRange.endMs),
    interval: interval.name,
    tz: clock.name,
    completeThrough: completeThroughMs === undefined ? null : clock.write(Math.min(completeThroughMs, range.endMs)),
    lateReadings: late,
    duplicateReadings: duplicates
  }
  const columns = ['bucketStart', 'bucketEnd', ...groupBy ? [groupBy] : [], ...columnsOf(statistics), ...metaColumns]
  const writer = createRowsWriter(format, columns, new Set(metaColumns.slice(1)), head)
  const cells = cellsOf(rowsQuery, clock, completeThroughMs)

  const pieces = async function * () {
    yield writer.begin()
    let chunk = first
    for (; !chunk.done; chunk = await chunks.next()) yield writer.rows(chunk.value.map(cells))
    yield writer.end({ next: chunk.value ? encodeCursor(asked, range, chunk.value) : null })
  }
  allowCaching(reply, range, completeThroughMs, parts.config.CACHE_PAST_S)
  return await sendPieces(reply, answer, mediaTypes[format], pieces())
}

/** The query with all names, times and boundaries resolved. */
async function resolve (
  query: AggregatesQuery, grants: Grants, resumed: Resumed | undefined, source: ReadSource,
  { config, deviceTypes }: V1Parts, asker: Asker
) {
  const nowMs = Date.now()
  const selection = parseSelection(query, deviceTypes, grants)
  const statistics = parseStatistics(query.stats)
  const clock = parseZoneClock(query.tz)
  const maxGapMs = parseDurationParameter('maxGap', query.maxGap, GAP_MAX_MS)
  const range = resumed?.range ?? parseRange(query, nowMs, config.RANGE_MAX_DAYS)
  checkLength(range, config.RANGE_MAX_DAYS) // for a made-up cursor

  const [granted, keptSince] = await Promise.all([
    findGranted(source.database, selection, asker), source.readKeptSince()
  ])
  const { coverage } = planRange(range, keptSince)
  const isGone = coverage.startMs >= coverage.endMs // by retention
  const { interval, boundaries } = splitIntoRows(query, isGone ? range : coverage, clock, keptSince, config.POINTS_MAX)
  const rowsQuery: RowsQuery = {
    selection: query.groupBy === 'device' ? selection : granted, // devices are paged, and one page is enough
    groupBy: query.groupBy as GroupBy | undefined,
    statistics,
    boundaries: isGone ? boundariesAt() : boundaries,
    isDescending: query.order === 'desc',
    fill: query.fill as Fill,
    lookBack: query.fill === 'previous' && interval.kind !== 'range' ? { interval, clock, keptSince } : undefined,
    limit: query.limit,
    after: resumed?.after,
    maxGapMs,
    nowMs,
    keptSince,
    marksRevised: true
  }
  return { rowsQuery, granted, range, interval, clock }
}

/** After the numbers; all but the first only if they say something. */
const metaColumns = ['status', 'filled', 'unavailable']

function cellsOf (
  { groupBy, statistics }: RowsQuery, clock: ZoneClock, completeThroughMs: number | undefined
): (row: AnswerRow) => Row {
  const isTime = columnsOf(statistics).map(it => timeColumns.has(it))
  return row => [
    clock.write(row.startMs),
    clock.write(row.endMs),
    ...groupBy ? [row.key] : [],
    ...row.numbers.map((it, n) => it !== null && isTime[n] ? clock.write(it) : it),
    rowStatusOf(row, completeThroughMs),
    row.isFilled || null,
    row.unavailable ?? null
  ]
}

/** Steps are read from every minute of every device, for any interval. */
async function refuseSteps (
  { selection, boundaries, lookBack }: RowsQuery, database: Database, minutesMax: number, asker: Asker
): Promise<void> {
  if (boundaries.length === 0) return
  const beforeMs = lookBack === undefined ? 0 : longestMs(lookBack.interval) // a row before the range may be read too
  const minutes = (boundaries.at(-1) - boundaries.at(0) + beforeMs) / MINUTE_MS
  const devicesMax = Math.floor(minutesMax / minutes)
  const devices = await countDeviceSeries(database, selection, devicesMax, asker)
  if (devices <= devicesMax) return
  throw new RelayError('RELAY_RANGE_TOO_LONG',
    'increase, rate and timeWeightedAvg read every minute of every device: ' +
    `${minutesMax} device minutes at most (STEP_MINUTES_MAX), which are ${devicesMax} devices in this range, and the selection ` +
    'has more; use a shorter range or fewer devices',
    { parameter: 'stats' })
}

/** CSV has no place for a cursor, so an answer that might be cut is refused. */
async function refuseCut (
  { selection, groupBy, boundaries }: RowsQuery, cursor: string | undefined, database: Database, rowsMax: number,
  asker: Asker
): Promise<void> {
  if (cursor !== undefined) {
    throw new RelayError('RELAY_PARAMETER_INVALID', 'csv has no cursor: an answer is always complete',
      { parameter: 'cursor' })
  }
  const rowsOfGroup = boundaries.length - 1
  if (groupBy === 'device') { // of each there is a series at least
    const devicesMax = Math.floor(rowsMax / Math.max(rowsOfGroup, 1))
    if (await countDeviceSeries(database, selection, devicesMax, asker) <= devicesMax) return
    asker.becomeLong()
  }
  const rows = rowsOfGroup * await countGroups(database, selection, groupBy)
  if (rows <= rowsMax) return
  throw new RelayError('RELAY_TOO_MANY_POINTS',
    `up to ${rows} rows, but csv has no cursor and allows at most ${rowsMax}; use a longer interval, ` +
    'fewer groups, or ndjson', { parameter: 'interval' })
}
