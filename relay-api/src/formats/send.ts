/**
 * Sends an answer that is made piece by piece. One that is short goes whole, with its length and ETag, and an error on
 * the way is a problem; a long one is streamed as fast as its client reads, and an error on the way cuts the
 * connection, so that nobody takes a part for the whole. Who asks for the head of a long one gets what a GET begins
 * with, and nothing more of it is made.
 */
import { Readable } from 'node:stream'

import type { FastifyReply } from 'fastify'

import type { Answer } from '../answers.ts'
import { sendTagged } from '../caching.ts'

/** Longer answers are streamed. */
const WHOLE_MAX_CHARACTERS = 64 * 1024

/** @throws RelayError RELAY_BUDGET_EXCEEDED, RELAY_ANSWERS_BUSY for a long one more than may be; what pieces throw */
export async function sendPieces (
  reply: FastifyReply, answer: Answer, mediaType: string, pieces: AsyncGenerator<string>
): Promise<FastifyReply> {
  let whole = ''
  while (whole.length <= WHOLE_MAX_CHARACTERS) {
    const { done, value } = await pieces.next()
    if (done) return sendTagged(reply.type(`${mediaType}; charset=utf-8`), whole)
    whole += value
  }
  if (reply.request.method === 'HEAD') {
    await pieces.return(undefined)
    return reply.type(`${mediaType}; charset=utf-8`).send(Readable.from([]))
  }
  try {
    answer.becomeLong()
    answer.signal.throwIfAborted()
  } catch (error) {
    await pieces.return(undefined)
    throw error
  }
  const rest = async function * () {
    yield whole
    whole = ''
    yield * pieces
  }
  const body = Readable.from(rest(), { objectMode: false, highWaterMark: WHOLE_MAX_CHARACTERS })
  answer.signal.addEventListener('abort', () => body.destroy(), { once: true }) // also where it is not sent any more
  return reply.type(`${mediaType}; charset=utf-8`).send(body)
}
