/** `GET /api/v1/stream`: rollups of a selection as server-sent events, as they are committed. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { errorCodes, RelayError } from 'relay-common'
import { Type } from 'typebox'

import { parseSelection, selectionParameters } from '../../parameters/selection.ts'
import { problemResponses, RETRY_AFTER_S } from '../../problem.ts'
import { renderBusy, rollupMessageSchema } from '../../stream/message.ts'
import { groupBys, type GroupBy } from '../../query/group-by.ts'
import type { V1Parts } from './parts.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** its answers end when clients disconnect */
    isEndless?: boolean
  }
}

/** by index of the level */
const intervals = ['1m', '1h', '1d']

const schema = {
  operationId: 'streamRollups',
  summary: 'Stream the rollups of a selection as they change',
  description: 'Server-sent events. `rollup`: the current state of a bucket. `changed`: a range in which more ' +
    'has changed ' +
    'than is sent. `reset`: the changes since Last-Event-ID are no longer known. `open`: all ' +
    'changes from now on will be sent. `heartbeat`: no changes. `end`: why the stream ends. A client that comes ' +
    'back with the id of its last event (Last-Event-ID) misses nothing; it may get an event twice.',
  tags: ['ingest'],
  querystring: Type.Object({
    ...selectionParameters,
    interval: Type.String({
      enum: intervals, default: intervals[0], description: 'length of the buckets; days are UTC days'
    }),
    groupBy: Type.Optional(Type.String({
      enum: [...groupBys], description: 'one rollup per device, zone or type; default: one for the whole selection'
    }))
  }),
  headers: Type.Object({
    'last-event-id': Type.Optional(Type.String({
      maxLength: 64, description: 'the id as received'
    }))
  }),
  response: {
    200: {
      description: 'The data of `rollup`; other events have little or no data',
      content: { 'text/event-stream': { schema: rollupMessageSchema } }
    },
    ...problemResponses()
  }
}

export function streamRoutes (app: FastifyInstance, { deviceTypes, hub }: V1Parts): void {
  const options = { schema, config: { isEndless: true } }
  app.withTypeProvider<TypeBoxTypeProvider>().get('/stream', options, async (request, reply) => {
    // the schema describes the data of an event, and its type the whole answer
    if (request.method === 'HEAD') return reply.headers(headers).send('' as never)
    const { interval, groupBy } = request.query
    const viewQuery = {
      selection: parseSelection(request.query, deviceTypes, request.principal.grants),
      levelIndex: intervals.indexOf(interval),
      groupBy: groupBy as GroupBy | undefined
    }
    const lastId = request.headers['last-event-id']
    const { reauthenticate, principal: { id } } = request
    await hub.open(viewQuery, lastId, () => begin(request, reply), reauthenticate, id).catch(error => {
      if (lastId === undefined || !(error instanceof RelayError) || !errorCodes[error.code].retry) throw error
      begin(request, reply).end(renderBusy(error.retryAfterS ?? RETRY_AFTER_S))
    })
    return reply
  })
}

const headers = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  'x-accel-buffering': 'no' // a buffering proxy would delay events
}

/** From here on the hub writes the answer. */
function begin (request: FastifyRequest, reply: FastifyReply) {
  reply.hijack()
  request.raw.socket.setNoDelay(true)
  reply.raw.writeHead(200, { ...reply.getHeaders() as Record<string, string>, ...headers })
  return reply.raw
}
