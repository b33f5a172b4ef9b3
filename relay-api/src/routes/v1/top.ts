/** `GET /api/v1/top`: the devices, zones or types with the highest or lowest statistic over a range. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { RelayError } from 'relay-common'
import { Type } from 'typebox'

import { parseSelection, selectionParameters } from '../../parameters/selection.ts'
import { rangeParameters, parseRange } from '../../parameters/time.ts'
import { problemResponses } from '../../problem.ts'
import { findGranted } from '../../query/granted.ts'
import { groupBys, type GroupBy } from '../../query/group-by.ts'
import { createRanking, type Ranked } from '../../query/ranking.ts'
import { findStatistic, statisticNames } from '../../query/statistics.ts'
import { createCoverage, readWholeRange } from '../../query/whole-range.ts'
import type { V1Parts } from './parts.ts'

const LIMIT_MAX = 1_000

const schema = {
  operationId: 'getTop',
  summary: 'The devices, zones or types with the highest or lowest statistic over a range',
  tags: ['aggregates'],
  querystring: Type.Object({
    ...selectionParameters,
    ...rangeParameters,
    groupBy: Type.Unsafe<GroupBy>({
      type: 'string', enum: [...groupBys], default: 'device', description: 'what is ranked'
    }),
    stat: Type.String({
      default: 'avg', maxLength: 64, description: `statistic to rank by, one of ${statisticNames.join(', ')}`
    }),
    order: Type.Unsafe<'asc' | 'desc'>({
      type: 'string', enum: ['desc', 'asc'], default: 'desc', description: 'desc: highest first; asc: lowest first'
    }),
    limit: Type.Integer({ minimum: 1, maximum: LIMIT_MAX, default: 10, description: 'how many to return' })
  }),
  response: {
    200: Type.Object({
      start: Type.String({
        format: 'date-time', description: 'of the range; wider than requested only where the stored data is coarser'
      }),
      end: Type.String({ format: 'date-time' }),
      stat: Type.String(),
      rows: Type.Array(Type.Object({
        device: Type.Optional(Type.String()),
        zone: Type.Optional(Type.String()),
        type: Type.Optional(Type.String()),
        value: Type.Number(),
        error: Type.Optional(Type.Unsafe<number | null>({
          type: ['number', 'null'],
          description: 'for a percentile: the true value is within value ± error; null: no double can bound it'
        })),
        count: Type.Integer({ description: 'readings' })
      }, { title: 'RankedRow' }), { description: 'in rank order; ties by the bytes of their names' }),
      unranked: Type.Integer({ description: 'how many have readings in the range, but not this statistic' })
    }, { title: 'Ranking' }),
    ...problemResponses()
  }
}

export function topRoutes (app: FastifyInstance, { config, reads, deviceTypes }: V1Parts): void {
  app.withTypeProvider<TypeBoxTypeProvider>().get('/top', { schema }, async (request, reply) => {
    const { groupBy, stat, order, limit } = request.query
    const nowMs = Date.now()
    const range = parseRange(request.query, nowMs, config.RANGE_MAX_DAYS)
    const statistic = parseStatistic(stat)
    const statistics = [findStatistic('count')!, statistic]
    const asked = parseSelection(request.query, deviceTypes, request.principal.grants)
    const source = reads.choose(request.answer)
    const [selection, keptSince] = await Promise.all([
      groupBy === 'device' ? asked : findGranted(source.database, asked, request.answer), source.readKeptSince()
    ])

    const ranking = createRanking<Ranked & { readonly count: number, readonly error: number | null }>(
      limit, order === 'desc'
    )
    let unranked = 0
    const question = { selection, groupBy, statistics, range, keptSince, nowMs }
    const coverage = createCoverage(question)
    for await (const row of readWholeRange(source, question)) {
      coverage.include(row)
      const [count, value, error = null] = row.numbers
      if (value === null) unranked++
      else ranking.add({ key: row.key, value, count: count!, error })
    }
    const hasError = statistic.columns[1]?.endsWith('Error')
    reply.header('cache-control', 'private, no-cache')
    return {
      start: new Date(coverage.range.startMs).toISOString(),
      end: new Date(coverage.range.endMs).toISOString(),
      stat,
      rows: ranking.best().map(({ key, value, error, count }) =>
        ({ [groupBy]: key, value, ...(hasError ? { error } : {}), count })),
      unranked
    }
  })
}

/** @throws RelayError RELAY_PARAMETER_INVALID */
function parseStatistic (stat: string) {
  const found = findStatistic(stat)
  if (found) return found
  throw new RelayError(
    'RELAY_PARAMETER_INVALID', `stat must be one of ${statisticNames.join(', ')}`, { parameter: 'stat' }
  )
}
