/**
 * Stores answers about the past for times when the database is unreachable: a repeated query gets the earlier answer,
 * marked with its time. Late readings may have changed it since.
 *
 *     the database is away ──the same caller has asked the same of the past──▶ 200, Relay-Stale-Since
 *                          └──else──────────────────────────────────────────▶ 503, Retry-After
 *
 * The past is a fixed range that had ended at the time of the answer.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import { Counter, type Registry } from 'relay-common'
import { parseTimestamp } from 'relay-rollups'

import { isAway } from './guarded-database.ts'
import { DEGRADED } from './problem.ts'
import { withPlus } from './parameters/time.ts'

export interface PastAnswers {
  /** Answers a failed request. @returns false: there is no stored answer */
  answer (error: unknown, request: FastifyRequest, reply: FastifyReply): boolean
}

interface Kept {
  readonly body: string
  readonly type: string
  readonly atMs: number
}

const STALE_SINCE = 'relay-stale-since'
/** Longer ones are streamed, and not stored. */
const BODY_MAX_CHARACTERS = 64 * 1024 + 1
const ENTRY_BYTES = 300

/** Call it before the routes whose answers it stores. @param maxBytes of memory; 0: none */
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

/** Of one caller, with its current grants. */
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
