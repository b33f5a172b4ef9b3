/** `GET /api/v1/aggregates`: numbers of a selection over a range, in rows of an interval. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { DAY_MS, MINUTE_MS, RelayError, type Database, type Grants } from 'relay-common'
import { Type, type Static } from 'typebox'

import type { Answer } from '../../answers.ts'
import { allowCaching } from '../../caching.ts'
import { createRowsWriter, type Row } from '../../formats/rows.ts'
import { sendPieces } from '../../formats/send.ts'
import { OpenEnum } from '../../open-enum.ts'
import { Cursor, readCursor, writeCursor, type Resumed } from '../../parameters/cursor.ts'
import { Format, mediaTypes, readFormat, type FormatName } from '../../parameters/format.ts'
import { intervalParameters, readRows, readZoneClock } from '../../parameters/interval.ts'
import { readSelection, selectionParameters } from '../../parameters/selection.ts'
import { readStatistics, Statistics } from '../../parameters/statistics.ts'
import { checkLength, rangeParameters, readDuration, readRange } from '../../parameters/time.ts'
import { problemResponses } from '../../problem.ts'
import { aggregate } from '../../query/aggregate.ts'
import { readArrivalTotals } from '../../query/arrivals.ts'
import { boundariesAt } from '../../query/boundaries.ts'
import type { Asker } from '../../query/asker.ts'
import { fills, type AnswerRow, type Fill } from '../../query/fill.ts'
import { countDeviceSeries, countGroups, groupBys, type GroupBy } from '../../query/groups.ts'
import { findGranted } from '../../query/granted.ts'
import { longestMs } from '../../query/interval.ts'
import { planRange } from '../../query/plan.ts'
import { columnsOf, type Question } from '../../query/question.ts'
import { readKeptSince } from '../../query/read.ts'
import { namedColumns, timeColumns } from '../../query/statistics.ts'
import type { ZoneClock } from '../../query/zone-clock.ts'
import type { V1Parts } from './resources.ts'

const LIMIT_MAX = 1_000_000
const LIMIT_DEFAULT = 10_000

const Query = Type.Object({
  ...selectionParameters,
  ...rangeParameters,
  ...intervalParameters,
  groupBy: Type.Optional(Type.String({
    enum: [...groupBys], description: 'rows of each device, zone or type by itself; else of all that is selected'
  })),
  stats: Statistics,
  maxGap: Type.String({
    default: '1h',
    maxLength: 16,
    description: 'readings further apart have no step between them: `30s`, `15m`, `1h`, `1d` at most'
  }),
  fill: Type.String({
    enum: [...fills],
    default: 'none',
    description: 'rows without readings are left out (`none`), are null, or are filled in: from the row before them ' +
      'in time (`previous`), which may be before `start`, or on a straight line between two (`linear`). They say so in `filled`'
  }),
  order: Type.String({ enum: ['asc', 'desc'], default: 'asc', description: 'by time, within a group' }),
  limit: Type.Integer({
    default: LIMIT_DEFAULT,
    minimum: 1,
    maximum: LIMIT_MAX,
    description: 'most rows; where there are more, `next` is their cursor'
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
  status: OpenEnum(['final', 'provisional', 'revised'],
    'final: everything up to its end has been read; revised: and readings that came after that have changed it'),
  filled: Type.Optional(Type.Boolean({ description: 'there were no readings' })),
  unavailable: Type.Optional(Type.Record(Type.String(), Type.String(), { description: 'by statistic: why it is null' }))
}, {
  title: 'AggregateRow',
  additionalProperties: true, // numbers and nulls, for which generated Go does not compile
  description: 'and a member for each of `stats`; any percentile, such as `p99.9`, and `p99.9Error` are numbers or null'
})

const answerSchema = Type.Object({
  start: Type.String({ description: 'of all rows, in `tz`: the one asked for, unless what is kept is coarser' }),
  end: Type.String(),
  interval: Type.String({ description: 'the one that was taken, for `auto`' }),
  tz: Type.String(),
  completeThrough: Type.Unsafe<string | null>({
    type: ['string', 'null'],
    description: 'every partition has been read up to this event time, or to the end of the range; null: not known'
  }),
  lateReadings: Type.Integer({
    description: 'of the selection, in the hours of the range: readings whose minute had been read to its end when they came'
  }),
  duplicateReadings: Type.Integer({ description: 'and resends, which are not counted again' }),
  rows: Type.Array(rowSchema, { description: 'by group, and in it by time' }),
  next: Type.Unsafe<string | null>({
    type: ['string', 'null'], description: 'where there are more rows: `cursor` of the next answer'
  })
}, { title: 'Aggregates' })

const schema = {
  operationId: 'getAggregates',
  summary: 'Numbers of a selection over a range',
  description: 'An answer without `next` has all rows. CSV has no place for that: there answers are whole, or refused.',
  tags: ['aggregates'],
  querystring: Query,
  response: {
    200: {
      description: 'rows',
      content: {
        [mediaTypes.json]: { schema: answerSchema },
        [mediaTypes.ndjson]: { schema: Type.String({ description: 'a row a line, then {"end":{…}}' }) },
        [mediaTypes.csv]: { schema: Type.String({ description: 'RFC 4180' }) }
      }
    },
    304: Type.Null({ description: 'the answer is the one of If-None-Match' }),
    ...problemResponses()
  }
}

const GAP_MAX_MS = DAY_MS

export function aggregatesRoutes (app: FastifyInstance, parts: V1Parts): void {
  app.withTypeProvider<TypeBoxTypeProvider>().get('/aggregates', { schema }, async (request, reply) =>
    findAggregates(request.query, request.principal.grants, readFormat(request.query.format, request), parts, request.answer, reply))
}

async function findAggregates (
  query: AggregatesQuery, grants: Grants, format: FormatName, parts: V1Parts, answer: Answer,
  reply: FastifyReply
): Promise<FastifyReply> {
  const { limit, cursor, format: _, ...asked } = query // what is left tells questions apart
  const source = parts.reads.choose(answer)
  const resumed = cursor === undefined ? undefined : readCursor(asked, cursor)
  const { question, granted, range, interval, clock } = await resolve(query, grants, resumed, source.database, parts, answer)
  if (format === 'csv') await refuseCut(question, cursor, source.database, parts.config.POINTS_MAX)
  if (question.statistics.some(it => it.needsSteps)) {
    await refuseSteps(question, source.database, parts.config.STEP_MINUTES_MAX)
  }

  const { groupBy, statistics, boundaries } = question
  const completeThroughMs = await parts.completeness.read(source)
  const rowsRange = boundaries.length === 0 ? range : { startMs: boundaries.at(0), endMs: boundaries.at(-1) }
  const { late, duplicates } = await readArrivalTotals(source.database, granted, rowsRange)
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
  const cells = cellsOf(question, clock, completeThroughMs)

  const pieces = async function * () {
    yield writer.begin()
    const chunks = aggregate(source, format === 'csv' ? { ...question, limit: Infinity } : question)
    let chunk = await chunks.next()
    for (; !chunk.done; chunk = await chunks.next()) yield writer.rows(chunk.value.map(cells))
    yield writer.end({ next: chunk.value ? writeCursor(asked, range, chunk.value) : null })
  }
  allowCaching(reply, range, completeThroughMs, parts.config.CACHE_PAST_S)
  return await sendPieces(reply, answer, mediaTypes[format], pieces())
}

/** What is asked, with all names, times and boundaries in it resolved. */
async function resolve (
  query: AggregatesQuery, grants: Grants, resumed: Resumed | undefined, database: Database,
  { config, deviceTypes }: V1Parts, asker: Asker
) {
  const nowMs = Date.now()
  const selection = readSelection(query, deviceTypes, grants)
  const statistics = readStatistics(query.stats)
  const clock = readZoneClock(query.tz)
  const maxGapMs = readDuration('maxGap', query.maxGap, GAP_MAX_MS)
  const range = resumed?.range ?? readRange(query, nowMs, config.RANGE_MAX_DAYS)
  checkLength(range, config.RANGE_MAX_DAYS) // whoever makes a cursor up

  const granted = await findGranted(database, selection, asker)
  const keptSince = await readKeptSince(database)
  const { coverage } = planRange(range, keptSince)
  const isGone = coverage.startMs >= coverage.endMs // by retention
  const { interval, boundaries } = readRows(query, isGone ? range : coverage, clock, keptSince, config.POINTS_MAX)
  const question: Question = {
    selection: query.groupBy === 'device' ? selection : granted, // devices come in pages, of which one is enough
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
  return { question, granted, range, interval, clock }
}

/** Behind the numbers; all but the first only where there is something to say. */
const metaColumns = ['status', 'filled', 'unavailable']

function cellsOf (
  { groupBy, statistics }: Question, clock: ZoneClock, completeThroughMs: number | undefined
): (row: AnswerRow) => Row {
  const isTime = columnsOf(statistics).map(it => timeColumns.has(it))
  const statusOf = ({ endMs, isRevised }: AnswerRow) => {
    if (completeThroughMs === undefined || endMs > completeThroughMs) return 'provisional'
    return isRevised ? 'revised' : 'final'
  }
  return row => [
    clock.write(row.startMs),
    clock.write(row.endMs),
    ...groupBy ? [row.key] : [],
    ...row.numbers.map((it, n) => it !== null && isTime[n] ? clock.write(it) : it),
    statusOf(row),
    row.isFilled || null,
    row.unavailable ?? null
  ]
}

/** Steps are read from every minute of every device, whatever the interval. */
async function refuseSteps (
  { selection, boundaries, lookBack }: Question, database: Database, minutesMax: number
): Promise<void> {
  if (boundaries.length === 0) return
  const beforeMs = lookBack === undefined ? 0 : longestMs(lookBack.interval) // a row before the range may be read too
  const minutes = (boundaries.at(-1) - boundaries.at(0) + beforeMs) / MINUTE_MS
  const deviceMinutes = Math.ceil(minutes * await countDeviceSeries(database, selection))
  if (deviceMinutes <= minutesMax) return
  throw new RelayError('RELAY_RANGE_TOO_LONG', 'increase, rate and timeWeightedAvg are made of every minute of every ' +
    `device: ${deviceMinutes} of them here, and ${minutesMax} at most; take a shorter range, or fewer devices`,
  { parameter: 'stats' })
}

/** CSV has no place for a cursor, so what might be cut is refused. */
async function refuseCut (
  { selection, groupBy, boundaries }: Question, cursor: string | undefined, database: Database, rowsMax: number
): Promise<void> {
  if (cursor !== undefined) {
    throw new RelayError('RELAY_PARAMETER_INVALID', 'cursor is not possible with csv: its answers are whole',
      { parameter: 'cursor' })
  }
  const rows = (boundaries.length - 1) * await countGroups(database, selection, groupBy)
  if (rows <= rowsMax) return
  throw new RelayError('RELAY_TOO_MANY_POINTS',
    `there may be ${rows} rows, and ${rowsMax} are the most of a csv, which has no cursor; take a longer interval, ` +
    'fewer groups, or ndjson', { parameter: 'interval' })
}
