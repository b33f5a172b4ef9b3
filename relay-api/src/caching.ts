/**
 * How long an answer may be cached, by its client only, because answers depend on the caller.
 *
 *     the range ended long before everything was read up to    private, max-age=CACHE_PAST_S
 *     it is about the present, or moves with the clock         private, no-cache: ask again, with the ETag
 *
 * Late events may change the past at any time, so "long" is a setting, and 0 disables caching.
 */
import { createHash } from 'node:crypto'

import type { FastifyReply, FastifyRequest } from 'fastify'
import { HOUR_MS } from 'relay-rollups'

import type { AskedRange } from './parameters/time.ts'

/** Later events are so rare that clients may see them when their cache expires. */
const SETTLED_AFTER_MS = HOUR_MS

/** @param completeThroughMs event time up to which every partition was read; undefined: unknown */
export function allowCaching (
  reply: FastifyReply, range: AskedRange, completeThroughMs: number | undefined, pastS: number
): void {
  const isPast = completeThroughMs !== undefined && range.endMs + SETTLED_AFTER_MS <= completeThroughMs
  const mayKeep = isPast && !range.isRelative && pastS > 0
  reply.header('cache-control', mayKeep ? `private, max-age=${pastS}` : 'private, no-cache')
  const others = reply.getHeader('vary') // set by CORS
  reply.header('vary', [...others === undefined ? [] : [others].flat(), 'accept', 'authorization'].join(', '))
}

/**
 * Sends a complete answer with its ETag, or a 304 if the client has it.
 * @param body in the type of the reply
 */
export function sendTagged (reply: FastifyReply, body: string): FastifyReply {
  const tag = `W/"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`
  reply.header('etag', tag)
  return isTagKnown(reply.request, tag) ? reply.code(304).send() : reply.send(body)
}

/** Whether `If-None-Match` contains a tag; weak and strong tags are equal. */
export function isTagKnown (
  { headers: { 'if-none-match': known } }: Pick<FastifyRequest, 'headers'>, tag: string
): boolean {
  const opaque = (text: string) => text.replace(/^W\//, '')
  return known?.split(',').map(it => it.trim()).some(it => it === '*' || opaque(it) === opaque(tag)) ?? false
}
