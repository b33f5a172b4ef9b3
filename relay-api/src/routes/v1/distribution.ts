/** `GET /api/v1/distribution`: the distribution of the values of a selection, as a histogram. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { RelayError } from 'relay-common'
import { Type } from 'typebox'

import { parseSelection, selectionParameters } from '../../parameters/selection.ts'
import { rangeParameters, parseRange } from '../../parameters/time.ts'
import { problemResponses } from '../../problem.ts'
import { findGranted } from '../../query/granted.ts'
import { readGroupRows } from '../../query/group-rows.ts'
import { readsDeviceSeries } from '../../query/groups.ts'
import { histogramOf } from '../../query/histogram.ts'
import { planRange } from '../../query/plan.ts'
import type { V1Parts } from './parts.ts'

const BINS_MAX = 1_000

const schema = {
  operationId: 'getDistribution',
  summary: 'Histogram of the values of a selection over a range',
  tags: ['aggregates'],
  querystring: Type.Object({
    ...selectionParameters,
    ...rangeParameters,
    bins: Type.Integer({
      minimum: 1,
      maximum: BINS_MAX,
      default: 20,
      description: 'number of bins; fewer are returned if the values are too close'
    }),
    scale: Type.Unsafe<'linear' | 'log'>({
      type: 'string',
      enum: ['linear', 'log'],
      default: 'linear',
      description: 'linear: bins of equal width; log: bins of equal ratio, plus one for values that are not positive'
    })
  }),
  response: {
    200: Type.Object({
      start: Type.String({ format: 'date-time', description: 'start of the range, inclusive' }),
      end: Type.String({ format: 'date-time', description: 'and before this one' }),
      count: Type.Integer(),
      min: Type.Number(),
      max: Type.Number(),
      isExact: Type.Boolean({ description: 'true if every count is exact' }),
      bins: Type.Array(Type.Object({
        from: Type.Number({ description: 'values from here on' }),
        to: Type.Number({ description: 'and below this one; in the last bin, up to and including it' }),
        count: Type.Integer(),
        countError: Type.Integer({ description: 'the true count is within count ± countError' })
      }, { title: 'DistributionBin' }), { description: 'ascending, without gaps; their counts add up to `count`' })
    }, { title: 'Distribution' }),
    ...problemResponses(404)
  }
}

export function distributionRoutes (app: FastifyInstance, { config, reads, deviceTypes }: V1Parts): void {
  app.withTypeProvider<TypeBoxTypeProvider>().get('/distribution', { schema }, async (request, reply) => {
    const nowMs = Date.now()
    const range = parseRange(request.query, nowMs, config.RANGE_MAX_DAYS)
    const asked = parseSelection(request.query, deviceTypes, request.principal.grants)
    const source = reads.choose(request.answer)
    const [selection, keptSince] = await Promise.all([
      findGranted(source.database, asked, request.answer), source.readKeptSince()
    ])
    const plan = planRange(range, keptSince)
    const kind = readsDeviceSeries(selection, undefined) ? 'devices' : 'groups'
    const rows = await readGroupRows(source, { selection, groupBy: undefined, kind }, [''], [plan], nowMs)
    const merged = rows.get('')?.get(0)
    if (merged === undefined) {
      throw new RelayError('RELAY_NO_DATA', 'no readings match this selection and range')
    }

    const { rollup, coverage } = merged
    const bins = histogramOf(rollup, request.query.bins, request.query.scale)
    reply.header('cache-control', 'private, no-cache')
    return {
      start: new Date(coverage.startMs).toISOString(),
      end: new Date(coverage.endMs).toISOString(),
      count: rollup.count,
      min: rollup.min,
      max: rollup.max,
      isExact: bins.every(it => it.countError === 0),
      bins
    }
  })
}
