/** `GET /api/v1/aggregates`: numbers of a selection over a range. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { readSelection, selectionParameters, seriesCondition } from '../../parameters/selection.ts'
import { rangeParameters, readRange } from '../../parameters/time.ts'
import { problemResponses } from '../../problem.ts'
import type { V1Parts } from './resources.ts'

const schema = {
  summary: 'Numbers of a selection over a range',
  tags: ['aggregates'],
  querystring: Type.Object({ ...selectionParameters, ...rangeParameters }),
  response: {
    200: Type.Object({
      start: Type.String(),
      end: Type.String(),
      count: Type.Integer({ description: 'readings' })
    }),
    ...problemResponses()
  }
}

export function aggregatesRoutes (app: FastifyInstance, { config, database, deviceTypes }: V1Parts): void {
  app.withTypeProvider<TypeBoxTypeProvider>().get('/aggregates', { schema }, async request => {
    const { startMs, endMs } = readRange(request.query, Date.now(), config.RANGE_MAX_DAYS)
    const values: unknown[] = [startMs / 1000, endMs / 1000]
    const condition = seriesCondition(readSelection(request.query, deviceTypes), values)
    const [{ count }] = await database.query<{ count: number }>(`
      select coalesce(sum(r.count), 0)::double precision as count
      from series s join rollups_minute r on r.series_id = s.series_id
        and r.bucket_start >= to_timestamp($1) and r.bucket_start < to_timestamp($2)
      where s.device_id is not null and ${condition}`, values)
    return { start: new Date(startMs).toISOString(), end: new Date(endMs).toISOString(), count }
  })
}
