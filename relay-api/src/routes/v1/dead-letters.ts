/**
 * `/api/v1/dead-letters`: events that could not be taken, for administrators: a list, one of them, and their replay.
 * Callers with grants see the letters of what they may see. What a letter can't be read to be about, they do not see.
 */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { claimFault, writeAudit, type Grants } from 'relay-access'
import { RelayError } from 'relay-common'
import {
  deadLetterReasons, listedLetter, listLetters, notReplayedReasons, openReplayGuard, parseLetterPlace, readLetters,
  replayLetters, type Letter, type LetterPlace, type LetterTopic, type ListedLetter, type ListPosition, type OnRecord
} from 'relay-dead-letters'
import { Type, type Static } from 'typebox'

import { actorOf } from '../../auth/actor.ts'
import { OpenEnum } from '../../open-enum.ts'
import { Name } from '../../parameters/selection.ts'
import { rangeParameters, parseRange } from '../../parameters/time.ts'
import { problemResponses } from '../../problem.ts'
import type { V1Parts } from './parts.ts'

const LIMIT_MAX = 200
/** Letters of one replay: with their bytes they are in memory at once. */
const REPLAYED_MAX = 100
const PLACE_CHARACTERS_MAX = 29
const reasons = Object.keys(deadLetterReasons)

const Nullable = (description: string) => Type.Unsafe<string | null>({ type: ['string', 'null'], description })
const NullableTime = (description: string) => Type.Unsafe<string | null>(
  { type: ['string', 'null'], format: 'date-time', description }
)
const NullableInteger = (description: string) => Type.Unsafe<number | null>({ type: ['integer', 'null'], description })
const Place = Type.String(
  { maxLength: PLACE_CHARACTERS_MAX, description: 'partition and offset of a letter, such as 0:1234' }
)

const listedSchema = {
  letter: Type.String({ description: 'partition and offset of the letter, such as 0:1234' }),
  time: Type.String({ format: 'date-time', description: 'when it was refused' }),
  reason: OpenEnum(reasons),
  field: Nullable('the field at fault, if any'),
  detail: Type.String({ description: 'what was found' }),
  device: Nullable('device id in the value, or else the key'),
  sourceTopic: Type.String({ description: 'where it came from: a topic, or for MQTT its topic' }),
  sourcePartition: NullableInteger('null: the API refused it, so it never was in the events topic'),
  sourceOffset: NullableInteger('null: as above'),
  principal: Nullable('who sent what the API refused; null: unknown'),
  valueBytes: NullableInteger('length of the value; null: there is none'),
  isTruncated: Type.Boolean({ description: 'the letter holds only the first part of the value' }),
  replayedAt: NullableTime('null: it was not replayed')
}

const listSchema = {
  operationId: 'listDeadLetters',
  summary: 'Dead letters of a range of time, newest first',
  description: 'The letters of the whole range are read for each page: use a short range on a site with ' +
    'millions of them.',
  tags: ['operations'],
  querystring: Type.Object({
    ...rangeParameters,
    reason: Type.Array(
      Type.Enum(reasons), { maxItems: reasons.length, default: [], description: 'only this reason; may be repeated' }
    ),
    device: Type.Optional(Name),
    limit: Type.Integer({ minimum: 1, maximum: LIMIT_MAX, default: 50, description: 'most letters in the answer' }),
    cursor: Type.Optional(
      Type.String({ maxLength: 128, description: '`next` of the previous page, to continue after it' })
    )
  }),
  response: {
    200: Type.Object({
      start: Type.String({ format: 'date-time' }),
      end: Type.String({ format: 'date-time' }),
      letters: Type.Array(Type.Object(listedSchema, { title: 'DeadLetter' })),
      reasons: Type.Array(Type.Object({
        reason: OpenEnum([...reasons, 'other']), count: Type.Integer()
      }, { title: 'DeadLetterCount' }), {
        description: 'letters of the range that the filters let through, over all pages; the most frequent reason first'
      }),
      next: Nullable('where there are older letters: `cursor` of the next answer')
    }, { title: 'DeadLetterList' }),
    ...problemResponses(404)
  }
}

const letterSchema = {
  operationId: 'getDeadLetter',
  summary: 'One dead letter, with its bytes',
  tags: ['operations'],
  params: Type.Object({ letter: Place }),
  response: {
    200: Type.Object({
      ...listedSchema, key: Nullable('bytes of the key, in base64'), value: Nullable('bytes of the value, in base64')
    },
    { title: 'DeadLetterDetails' }),
    ...problemResponses(404)
  }
}

const replayOutcomes = ['ready', 'sent', 'unknown', ...notReplayedReasons] as const

const replaySchema = {
  operationId: 'replayDeadLetters',
  summary: 'Send dead letters to the events topic again',
  description: 'With their original key and value, if their senders have the permission. A dry run, the default, ' +
    'only says what would be sent. ' +
    'Events that are sent twice count once.',
  tags: ['operations'],
  body: Type.Object({
    letters: Type.Array(Place, { minItems: 1, maxItems: REPLAYED_MAX, description: 'which letters' }),
    dryRun: Type.Boolean({ default: true, description: 'true: send nothing' }),
    again: Type.Boolean({ default: false, description: 'true: also letters that were replayed before' })
  }, { title: 'DeadLetterReplay', additionalProperties: false }),
  response: {
    200: Type.Object({
      dryRun: Type.Boolean(),
      sent: Type.Integer({ description: 'letters that were sent; of a dry run, that would be' }),
      letters: Type.Array(Type.Object({
        letter: Type.String(),
        outcome: OpenEnum(
          replayOutcomes, 'ready: a dry run would send it; sent: it was sent; any other: why it was not'
        ),
        detail: Nullable('why it was not sent, in words')
      }, { title: 'ReplayedLetter' }), { description: 'in the order of the request' })
    }, { title: 'DeadLetterReplayAnswer' }),
    ...problemResponses(404)
  }
}

const config = { scope: 'admin' as const }

export function deadLettersRoutes (
  app: FastifyInstance, { config: settings, database, logEnds, ingest }: V1Parts
): void {
  const routes = app.withTypeProvider<TypeBoxTypeProvider>()
  const topics = { events: settings.EVENTS_TOPIC, deadLetters: settings.DEAD_LETTERS_TOPIC }

  /** @throws RelayError RELAY_NO_DATA, RELAY_EVENT_LOG_UNREACHABLE */
  const openTopic = async (request: FastifyRequest): Promise<LetterTopic> => {
    request.answer.becomeLong()
    const eventLog = await logEnds.open()
    if (await eventLog.describeTopic(topics.deadLetters)) return { eventLog, topic: topics.deadLetters }
    throw new RelayError('RELAY_NO_DATA', `the event log of this API has no topic ${topics.deadLetters}: ` +
      'check EVENT_LOG, KAFKA_BOOTSTRAP_SERVERS and DEAD_LETTERS_TOPIC, and that a processor has started')
  }

  routes.get('/dead-letters', { config, schema: listSchema }, async (request, reply) => {
    const { device, limit, cursor } = request.query
    const range = parseRange(request.query, Date.now(), settings.RANGE_MAX_DAYS)
    const behind = decodeListCursor(cursor)
    const filter = {
      since: range.startMs,
      until: range.endMs,
      ...request.query.reason.length === 0 ? {} : { reason: request.query.reason },
      ...device === undefined ? {} : { device }
    }
    const topic = await openTopic(request)
    const { letters, older, reasons } = await listLetters(topic, filter, {
      limit, behind, isSeen: it => maySee(request.principal.grants, it), onRecord: pacedBy(request)
    })
    reply.header('cache-control', 'no-store')
    return {
      start: new Date(range.startMs).toISOString(),
      end: new Date(range.endMs).toISOString(),
      letters: letters.map(render),
      reasons: [...reasons].map(([reason, count]) => ({ reason, count })).sort((a, b) => b.count - a.count),
      next: older > 0 ? writeListCursor(letters.at(-1)!) : null
    }
  })

  routes.get('/dead-letters/:letter', { config, schema: letterSchema }, async (request, reply) => {
    const place = parsePlace(request.params.letter, 'letter')
    const topic = await openTopic(request)
    const [letter] = await readLetters(topic, [place], pacedBy(request))
    if (!letter) throw new RelayError('RELAY_NO_DATA', `there is no dead letter ${request.params.letter}`)
    if (!maySee(request.principal.grants, letter)) {
      throw new RelayError('RELAY_FORBIDDEN', 'you may not see this dead letter')
    }
    reply.header('cache-control', 'no-store')
    return {
      ...render(listedLetter(letter)),
      key: letter.key?.toString('base64') ?? null,
      value: letter.value?.toString('base64') ?? null
    }
  })

  routes.post('/dead-letters/replay', { config, schema: replaySchema }, async (request, reply) => {
    const { letters: names, dryRun, again } = request.body
    const places = names.map((it, index) => parsePlace(it, `item ${index} of letters`))
    if (!ingest) throw new RelayError('RELAY_INGEST_OFF', 'neither EVENT_LOG nor KAFKA_BOOTSTRAP_SERVERS is set')
    const topic = await openTopic(request)
    const read = await readLetters(topic, places, pacedBy(request))
    const found = new Map(read.map(it => [it.place, it]))
    const faultOf = openReplayGuard(database)
    const ready = new Map<string, Letter>() // a letter that is named twice is sent once
    const outcomes: { letter: string, outcome: Outcome, detail: string | null }[] = []
    for (const [index, { partition, offset }] of places.entries()) {
      const letter = found.get(`${partition}:${offset}`)
      if (letter && !maySee(request.principal.grants, letter)) {
        throw new RelayError('RELAY_FORBIDDEN', `you may not see the dead letter ${names[index]}`, { parameter: 'letters' })
      }
      const fault = letter && await faultOf(letter, again)
      if (letter && !fault) ready.set(letter.place, letter)
      outcomes.push(!letter
        ? { letter: names[index], outcome: 'unknown', detail: 'there is no such letter' }
        : {
            letter: names[index],
            outcome: fault?.reason ?? (dryRun ? 'ready' : 'sent'),
            detail: fault?.detail ?? null
          })
    }
    if (!dryRun && ready.size > 0) {
      const letters = [...ready.values()]
      using lease = ingest.inFlight.open(request.principal.id)
      lease.take(letters.reduce((bytes, it) => bytes + (it.key?.length ?? 0) + (it.value?.length ?? 0), 0))
      await database.transaction(client =>
        writeAudit(
          client, actorOf(request), 'dead-letters.replay', topics.deadLetters, { letters: letters.map(it => it.place) }
        ))
      await replayLetters(letters, topics, (topic, records) => ingest.outbox.send(request.principal.id, records, topic))
    }
    reply.header('cache-control', 'no-store')
    return { dryRun, sent: ready.size, letters: outcomes }
  })
}

type Outcome = typeof replayOutcomes[number]

/** Gives others their turn while many letters are read, and ends with the answer. */
function pacedBy ({ answer }: FastifyRequest): OnRecord {
  return () => answer.pace()
}

function maySee (grants: Grants, { value }: Letter): boolean {
  return claimFault(grants, value) === undefined
}

/** @throws RelayError RELAY_PARAMETER_INVALID */
function parsePlace (text: string, what: string): LetterPlace {
  const place = parseLetterPlace(text)
  if (place) return place
  const parameter = what === 'letter' ? what : 'letters'
  throw new RelayError('RELAY_PARAMETER_INVALID', `${what} must be a partition and an offset such as 0:1234`, { parameter })
}

function writeListCursor ({ timeMs, partition, offset }: ListPosition): string {
  return Buffer.from(`1 ${timeMs} ${partition} ${offset}`).toString('base64url') // the version of the format
}

/** @throws RelayError RELAY_CURSOR_INVALID */
function decodeListCursor (cursor: string | undefined): ListPosition | undefined {
  if (cursor === undefined) return undefined
  const parts = /^1 (-?\d{1,15}) (\d{1,9}) (\d{1,19})$/.exec(Buffer.from(cursor, 'base64url').toString())
  const position = parts && { timeMs: Number(parts[1]), partition: Number(parts[2]), offset: BigInt(parts[3]) }
  if (position && writeListCursor(position) === cursor) return position
  throw new RelayError(
    'RELAY_CURSOR_INVALID',
    'cursor is invalid: use `next` of an answer of this route unchanged',
    { parameter: 'cursor' }
  )
}

function render (letter: ListedLetter): Static<ReturnType<typeof Type.Object<typeof listedSchema>>> {
  const {
    place,
    timeMs,
    reason,
    field,
    detail,
    device,
    sourceTopic,
    sourcePartition,
    sourceOffset,
    principal,
    valueBytes,
    keptBytes,
    replayedAt
  } = letter
  return {
    letter: place,
    time: new Date(timeMs).toISOString(),
    reason,
    field: field ?? null,
    detail,
    device: device ?? null,
    sourceTopic,
    sourcePartition: sourcePartition ?? null,
    sourceOffset: sourceOffset === undefined ? null : Number(sourceOffset),
    principal: principal ?? null,
    valueBytes: valueBytes ?? keptBytes ?? null,
    isTruncated: valueBytes !== undefined,
    replayedAt: replayedAt ?? null
  }
}
