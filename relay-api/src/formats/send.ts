/**
 * Sends an answer piece by piece. A short one is sent as a whole, with its length and ETag, and an error becomes a
 * problem. A long one is streamed at the pace of its client, and an error aborts the connection, so that nobody takes a
 * part for the whole. A HEAD of a long answer gets the headers of a GET, and nothing more is computed.
 */
import { Readable } from 'node:stream'

import type { FastifyReply } from 'fastify'

import type { Answer } from '../sharing/answers-in-progress.ts'
import { sendTagged } from '../caching.ts'

/** Longer answers are streamed. */
const WHOLE_MAX_CHARACTERS = 64 * 1024

/**
 * @throws RelayError RELAY_BUDGET_EXCEEDED, RELAY_ANSWERS_BUSY if there are too many long answers; errors of the pieces
 */
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
  answer.signal.addEventListener('abort', () => body.destroy(), { once: true }) // also if it is no longer sent
  return reply.type(`${mediaType}; charset=utf-8`).send(body)
}
