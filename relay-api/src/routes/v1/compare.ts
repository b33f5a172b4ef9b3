/** `GET /api/v1/compare`: a range compared with an earlier one. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { RelayError } from 'relay-common'
import { addValue, DAY_MS, divideSums, emptySum, roundSum, YEAR_0_MS, type TimeRange } from 'relay-rollups'
import { Type } from 'typebox'

import { parseZoneClock, TimeZone } from '../../parameters/split-rows.ts'
import { parseSelection, selectionParameters } from '../../parameters/selection.ts'
import { parseStatistics, Statistics } from '../../parameters/stats.ts'
import { rangeParameters, parseRange } from '../../parameters/time.ts'
import { problemResponses } from '../../problem.ts'
import { findGranted } from '../../query/granted.ts'
import type { Statistic } from '../../query/statistics.ts'
import { createCoverage, readWholeRange } from '../../query/whole-range.ts'
import type { ZoneClock } from '../../query/zone-clock.ts'
import type { V1Parts } from './parts.ts'

const WEEK_MS = 7 * DAY_MS

type Against = 'previous' | 'weekday'

const NullableNumber = (description: string) => Type.Unsafe<number | null>({ type: ['number', 'null'], description })
const Range = Type.Object({
  start: Type.String({ format: 'date-time' }), end: Type.String({ format: 'date-time' })
}, { title: 'TimeRange', description: 'wider than requested only where the stored data is coarser' })

const schema = {
  operationId: 'compareRanges',
  summary: 'Compare a range with the one before it, or with the same weekdays',
  tags: ['aggregates'],
  querystring: Type.Object({
    ...selectionParameters,
    ...rangeParameters,
    against: Type.Unsafe<Against>({
      type: 'string',
      enum: ['previous', 'weekday'],
      default: 'previous',
      description: 'previous: the range that ends where this one starts; weekday: the same times on the same ' +
        'weekdays on the clock of `tz`, as few weeks earlier as possible without overlap'
    }),
    tz: TimeZone('that defines the weekdays'),
    stats: Statistics
  }),
  response: {
    200: Type.Object({
      range: Range,
      against: Range,
      stats: Type.Array(Type.Object({
        stat: Type.String(),
        value: NullableNumber('value of the range; null: none'),
        againstValue: NullableNumber('value of the earlier range'),
        change: NullableNumber('value - againstValue, computed from the values shown'),
        relativeChange: NullableNumber(
          '(value - againstValue) / |againstValue|: 0.1 means 10 % more; null if againstValue is 0'
        ),
        error: Type.Optional(
          NullableNumber('for a percentile: the true value is within value ± error; null: no bound')
        ),
        againstError: Type.Optional(NullableNumber('same for the earlier range'))
      }, { title: 'ComparedStatistic' }), { description: 'in the order of `stats`' })
    }, { title: 'Comparison' }),
    ...problemResponses(404)
  }
}

export function compareRoutes (app: FastifyInstance, { config, reads, deviceTypes }: V1Parts): void {
  app.withTypeProvider<TypeBoxTypeProvider>().get('/compare', { schema }, async (request, reply) => {
    const nowMs = Date.now()
    const range = parseRange(request.query, nowMs, config.RANGE_MAX_DAYS)
    const earlier = earlierRange(range, request.query.against, parseZoneClock(request.query.tz))
    const statistics = parseStatistics(request.query.stats)
    const asked = parseSelection(request.query, deviceTypes, request.principal.grants)
    const source = reads.choose(request.answer)
    const [selection, keptSince] = await Promise.all([
      findGranted(source.database, asked, request.answer), source.readKeptSince()
    ])

    const read = async (range: TimeRange) => {
      const question = { selection, groupBy: undefined, statistics, range, keptSince, nowMs }
      const { done, value } = await readWholeRange(source, question).next() // at most one
      const coverage = createCoverage(question)
      if (!done) coverage.include(value)
      return { numbers: done ? undefined : value.numbers, range: coverage.range }
    }
    const [now, before] = await Promise.all([read(range), read(earlier)])
    if (now.numbers === undefined && before.numbers === undefined) {
      throw new RelayError('RELAY_NO_DATA', 'no readings match this selection in either range')
    }
    reply.header('cache-control', 'private, no-cache')
    return {
      range: render(now.range),
      against: render(before.range),
      stats: compare(statistics, now.numbers, before.numbers)
    }
  })
}

/** @throws RelayError RELAY_RANGE_INVALID if it would start before the year 0 */
function earlierRange (range: TimeRange, against: Against, clock: ZoneClock): TimeRange {
  const earlier = against === 'previous' ? before(range) : sameWeekdays(range, clock)
  if (earlier.startMs >= YEAR_0_MS) return earlier
  throw new RelayError(
    'RELAY_RANGE_INVALID', 'the range to compare with would start before year 0', { parameter: 'start' }
  )
}

function before ({ startMs, endMs }: TimeRange): TimeRange {
  return { startMs: startMs - (endMs - startMs), endMs: startMs }
}

/** It is an hour longer or shorter if the clock was set in one of the two. */
function sameWeekdays ({ startMs, endMs }: TimeRange, clock: ZoneClock): TimeRange {
  let weeks = Math.max(1, Math.floor((endMs - startMs) / WEEK_MS))
  while (clock.weeksBefore(endMs, weeks) > startMs) weeks++
  return { startMs: clock.weeksBefore(startMs, weeks), endMs: clock.weeksBefore(endMs, weeks) }
}

type Numbers = ReadonlyArray<number | null> | undefined

/** @param now by column of the statistics; undefined: no readings */
function compare (statistics: readonly Statistic[], now: Numbers, before: Numbers) {
  let column = 0
  return statistics.map(({ name, columns }) => {
    const none = name === 'count' ? 0 : null
    const value = now?.[column] ?? none
    const againstValue = before?.[column] ?? none
    const errors = columns[1]?.endsWith('Error')
      ? { error: now?.[column + 1] ?? null, againstError: before?.[column + 1] ?? null }
      : {}
    column += columns.length
    return { stat: name, value, againstValue, ...changeOf(value, againstValue), ...errors }
  })
}

/** Of the two numbers as shown, each rounded once; null: beyond the range of doubles. */
export function changeOf (value: number | null, againstValue: number | null) {
  if (value === null || againstValue === null) return { change: null, relativeChange: null }
  const [change, base] = [emptySum(), emptySum()]
  addValue(change, value)
  addValue(change, -againstValue)
  addValue(base, Math.abs(againstValue))
  const relativeChange = againstValue === 0 ? null : finite(divideSums(change, base))
  return { change: finite(roundSum(change)), relativeChange }
}

function finite (value: number): number | null {
  return Number.isFinite(value) ? value : null
}

function render ({ startMs, endMs }: TimeRange) {
  return { start: new Date(startMs).toISOString(), end: new Date(endMs).toISOString() }
}
