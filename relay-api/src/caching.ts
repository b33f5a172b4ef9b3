/**
 * How long an answer may be kept, by the client alone: answers are for who asked.
 *
 *     the range ended long before everything was read up to    private, max-age=CACHE_PAST_S
 *     it is about the present, or moves with the clock         private, no-cache: ask again, with the ETag
 *
 * Late events may change the past at any time, so "long" is a setting, and 0 turns it off.
 */
import { createHash } from 'node:crypto'

import type { FastifyReply, FastifyRequest } from 'fastify'
import { HOUR_MS } from 'relay-common'

import type { AskedRange } from './parameters/time.ts'

/** Events that are later than this are rare enough to reach clients when what they keep runs out. */
const SETTLED_AFTER_MS = HOUR_MS

/**
 * @param completeThroughMs event time up to which every partition has been read; undefined: not known
 */
export function allowCaching (
  reply: FastifyReply, range: AskedRange, completeThroughMs: number | undefined, pastS: number
): void {
  const isPast = completeThroughMs !== undefined && range.endMs + SETTLED_AFTER_MS <= completeThroughMs
  const mayKeep = isPast && !range.isRelative && pastS > 0
  reply.header('cache-control', mayKeep ? `private, max-age=${pastS}` : 'private, no-cache')
  const others = reply.getHeader('vary') // of who answers pages of other origins
  reply.header('vary', [...others === undefined ? [] : [others].flat(), 'accept', 'authorization'].join(', '))
}

/**
 * Sends an answer that is whole with its ETag, or says that the client has it already.
 * @param body of the type that the reply has
 */
export function sendTagged (reply: FastifyReply, body: string): FastifyReply {
  const tag = `W/"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`
  reply.header('etag', tag)
  return isTagKnown(reply.request, tag) ? reply.code(304).send() : reply.send(body)
}

/** Whether a client says in `If-None-Match` that it has an answer; weak and strong tags are compared alike. */
export function isTagKnown ({ headers: { 'if-none-match': known } }: Pick<FastifyRequest, 'headers'>, tag: string): boolean {
  const opaque = (text: string) => text.replace(/^W\//, '')
  return known?.split(',').map(it => it.trim()).some(it => it === '*' || opaque(it) === opaque(tag)) ?? false
}
