/** `POST /api/v1/events`: accepts events, and answers when they are durable in the event log. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { RelayError } from 'relay-common'
import { ID_UNITS_MAX } from 'relay-rollups'
import { Type } from 'typebox'

import type { Budgets } from '../../budgets/budgets.ts'
import { refusedReasons } from '../../ingest/accept.ts'
import { framingOf, mediaTypes, readBody } from '../../ingest/body.ts'
import { sha256, type Ingest, type IngestAnswer } from '../../ingest/ingest.ts'
import type { Framing } from '../../ingest/items.ts'
import { problemOf, problemResponses, problemSchema } from '../../problem.ts'
import { OpenEnum } from '../../open-enum.ts'
import { refuseOtherMethods } from '../other-methods.ts'
import type { V1Parts } from './parts.ts'

const Id = Type.String({ minLength: 1, maxLength: ID_UNITS_MAX })

/**
 * Only for the document: the decoder decides what is valid, as in the processor. If there are two ways to write
 * something the schema has one, because generated clients have no good type for both.
 */
const eventSchema = Type.Object({
  deviceId: Id,
  deviceType: Type.String({ description: 'one of the device types configured on this site' }),
  zone: Id,
  value: Type.Number(),
  timestamp: Type.String({
    format: 'date-time', description: 'with an offset; a number of seconds since the epoch is taken too'
  })
}, { title: 'DeviceEvent', description: 'other fields are ignored' })

const ingestAnswerSchema = Type.Object({
  accepted: Type.Integer({ description: 'events now durable in the event log' }),
  refused: Type.Array(Type.Object({
    index: Type.Integer({ description: 'index of the event in the body, from 0; blank lines do not count' }),
    reason: OpenEnum(Object.keys(refusedReasons)),
    field: Type.Optional(Type.String({ description: 'the field at fault, if any' })),
    detail: Type.String()
  }, { title: 'RefusedEvent' }))
}, { title: 'IngestAnswer' })

const eventsProblemSchema = Type.Object({
  ...problemSchema.properties, ...Type.Partial(ingestAnswerSchema).properties
}, { title: 'EventsProblem', description: 'a Problem; lists the refused events if it concerns events' })

const KEY_CHARACTERS_MAX = 255

/** Of requests with a key. */
export const keyedHeaders = Type.Object({
  'idempotency-key': Type.Optional(Type.String({
    minLength: 1, maxLength: KEY_CHARACTERS_MAX, description: 'any text that is unique per body of this caller'
  }))
})

const schema = {
  operationId: 'sendEvents',
  summary: 'Send events',
  description: 'One event or an array of events as JSON, or one event per line (`application/x-ndjson`); gzip is ' +
    'accepted. An ' +
    'answer is sent when the events in `accepted` are durable; events that are sent again count once. With an ' +
      '`Idempotency-Key` the same body gets the same answer, ' +
    'and is not sent to the event log again.',
  tags: ['ingest'],
  headers: keyedHeaders,
  body: {
    content: {
      [mediaTypes.json[0]]: { schema: Type.Array(eventSchema) },
      [mediaTypes.ndjson[0]]: { schema: Type.String({ description: 'one event per line' }) }
    }
  },
  response: {
    202: {
      description: 'All events were accepted', content: { [mediaTypes.json[0]]: { schema: ingestAnswerSchema } }
    },
    207: {
      description: 'Some events were accepted; `refused` lists the others',
      content: { [mediaTypes.json[0]]: { schema: ingestAnswerSchema } }
    },
    ...problemResponses(408, 409, 413, 415),
    429: {
      description: 'A limit of the caller is used up; for a quota of new series, zones or partitions, `refused` ' +
        'lists the events',
      content: { 'application/problem+json': { schema: eventsProblemSchema } }
    },
    422: {
      description: 'No event was accepted, or the Idempotency-Key was used with another body',
      content: { 'application/problem+json': { schema: eventsProblemSchema } }
    }
  }
}

/** A plugin of its own, because bodies must arrive unparsed, whatever their type. */
export async function ingestRoutes (app: FastifyInstance, parts: V1Parts): Promise<void> {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
  refuseOtherMethods(app, () => {
    app.withTypeProvider<TypeBoxTypeProvider>().post('/events', {
      schema,
      config: { scope: 'events:write' },
      validatorCompiler: ({ httpPart, schema }) => httpPart === 'body'
        ? () => true // it is not read yet
        : app.validatorCompiler!({ httpPart, schema } as never)
    }, (request, reply) => takeEvents(parts, request, reply))
  })
}

async function takeEvents ({ ingest, budgets }: V1Parts, request: FastifyRequest, reply: FastifyReply) {
  if (!ingest) throw new RelayError('RELAY_INGEST_OFF', 'neither EVENT_LOG nor KAFKA_BOOTSTRAP_SERVERS is set')
  using lease = ingest.inFlight.open(request.principal.id)
  let isRead = false
  try {
    const framing = framingOf(request.headers['content-type'])
    const body = await readBody(request.raw, ingest.bodyLimits, lease)
    isRead = true
    const { status, text, isReplayed } = await answerOnce(ingest, budgets, request, reply, framing, body)
    if (isReplayed) reply.header('idempotency-replayed', 'true')
    return send(request, reply, status, text)
  } catch (error) {
    if (!isRead && !request.raw.complete) reply.header('connection', 'close') // the rest of the body is not read
    if ((error as RelayError).code === 'RELAY_MEDIA_TYPE_UNKNOWN') reply.headers(takenHeaders)
    throw error
  }
}

/** The accepted bodies, for clients that can choose: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3 */
const takenHeaders = {
  'accept-post': Object.values(mediaTypes).map(([name]) => name).join(', '), 'accept-encoding': 'gzip, identity'
}

async function answerOnce (
  ingest: Ingest, budgets: Budgets, request: FastifyRequest, reply: FastifyReply, framing: Framing, body: Buffer
) {
  const { id } = request.principal
  const work = async () => {
    const trace = request.openTrace(Date.now() - reply.elapsedTime)
    const answer = await ingest.accept(body, framing, request.principal, request.answer, trace)
    const isShort = answer.refused.some(it => it.reason === 'quota-exceeded')
    if (isShort) reply.header('retry-after', ingest.quotas.retryAfterS(id))
    return { status: statusOf(answer), text: JSON.stringify(answer), isShort }
  }
  const key = request.headers['idempotency-key']
  if (typeof key !== 'string') return { ...await work(), isReplayed: false }
  budgets.spend('keptAnswers', id)
  const keyed = { caller: sha256(id), key, bodyHash: await ingest.hash(id, framing, body) }
  return await ingest.answers.once(keyed, async () => {
    const { isShort, ...answer } = await work()
    return { ...answer, isKept: !isShort && mayKeep(budgets, id, answer.text.length) }
  })
}

/** A request whose answer is not stored is accepted again when resent, and counts once. */
function mayKeep (budgets: Budgets, caller: string, bytes: number): boolean {
  try {
    budgets.spend('keptAnswerBytes', caller, bytes)
    return true
  } catch (error) {
    if ((error as RelayError).code === 'RELAY_BUDGET_EXCEEDED') return false
    throw error
  }
}

/** An empty batch is not an error: there was nothing to send. */
function statusOf ({ accepted, refused }: IngestAnswer): number {
  if (refused.length === 0) return 202
  if (accepted > 0) return 207
  return refused.every(it => it.reason === 'quota-exceeded') ? 429 : 422
}

/** @param text an IngestAnswer */
function send (request: FastifyRequest, reply: FastifyReply, status: number, text: string): FastifyReply {
  reply.code(status)
  if (status < 400) return reply.type('application/json; charset=utf-8').send(text)
  const answer = JSON.parse(text) as IngestAnswer
  const { length } = answer.refused
  const outcome = length === 1 ? 'the event was not accepted' : `none of the ${length} events was accepted`
  const refusal = status === 429
    ? new RelayError('RELAY_BUDGET_EXCEEDED', `${outcome}: ${answer.refused[0].detail}`)
    : new RelayError('RELAY_EVENTS_REFUSED', `${outcome}; refused lists the reasons`)
  return reply.type('application/problem+json; charset=utf-8')
    .serializer(JSON.stringify)
    .send({ ...problemOf(refusal, status, request.id), ...answer })
}
