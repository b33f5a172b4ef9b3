/**
 * Answers about the past, kept for the time when the database is away: a question that was answered before is answered again
 * as it was, marked with the time of that answer. Late readings may have changed it since.
 *
 *     the database is away ──the same caller has asked the same of the past──▶ 200, Relay-Stale-Since
 *                          └──else──────────────────────────────────────────▶ 503, Retry-After
 *
 * The past is a range that does not move with the clock, and had ended when it was answered.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import { Counter, parseTimestamp, type Registry } from 'relay-common'

import { isAway } from './guarded-database.ts'
import { DEGRADED } from './problem.ts'
import { withPlus } from './parameters/time.ts'

export interface PastAnswers {
  /** Answers a request that has failed. @returns false: there is nothing that could be said */
  answer (error: unknown, request: FastifyRequest, reply: FastifyReply): boolean
}

interface Kept {
  readonly body: string
  readonly type: string
  readonly atMs: number
}

const STALE_SINCE = 'relay-stale-since'
/** Longer ones are streamed, and not kept. */
const BODY_MAX_CHARACTERS = 64 * 1024 + 1
const ENTRY_BYTES = 300

/** To be called where routes have an answer of their own, before they are added. @param maxBytes of memory; 0: none */
export function keepPastAnswers (app: FastifyInstance, maxBytes: number, metrics: Registry): PastAnswers {
  const stale = new Counter({
    name: 'relay_api_stale_answers_total',
    help: 'Stale answers sent from memory while the database was unreachable',
    registers: [metrics]
  })
  if (maxBytes === 0) return { answer: () => false }
  const kept = new LRUCache<string, Kept>({
    maxSize: maxBytes, sizeCalculation: ({ body }, key) => 2 * (body.length + key.length) + ENTRY_BYTES
  })

  app.addHook('onSend', (request, reply, body, done) => {
    done()
    if (reply.statusCode !== 200 || request.method !== 'GET' || reply.hasHeader(STALE_SINCE)) return
    if (typeof body !== 'string' || body.length > BODY_MAX_CHARACTERS || !isPast(request.query)) return
    kept.set(keyOf(request), { body, type: String(reply.getHeader('content-type')), atMs: Date.now() })
  })
  return {
    answer (error, request, reply) {
      const mayBeKept = isAway(error) && request.method === 'GET' && request.principal
      const found = mayBeKept ? kept.get(keyOf(request)) : undefined
      if (!found) return false
      stale.inc()
      reply.code(200).type(found.type)
        .header(DEGRADED, 'database')
        .header(STALE_SINCE, new Date(found.atMs).toISOString())
        .header('cache-control', 'private, no-cache')
        .serializer((it: string) => it)
        .send(found.body)
      return true
    }
  }
}

/** Of one caller, with what it may see now. */
function keyOf ({ principal: { id, grants }, url, headers: { accept } }: FastifyRequest): string {
  return JSON.stringify([id, grants, url, accept])
}

function isPast (query: unknown): boolean {
  const { start, startTime, end, endTime } = query as Readonly<Record<string, unknown>>
  const startMs = absoluteMs(startTime ?? start)
  const endMs = absoluteMs(endTime ?? end)
  return startMs !== undefined && endMs !== undefined && endMs <= Date.now()
}

function absoluteMs (text: unknown): number | undefined {
  return typeof text === 'string' ? parseTimestamp(withPlus(text)) : undefined
}
