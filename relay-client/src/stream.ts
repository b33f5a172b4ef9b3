/**
 * Messages of a live stream, over several connections:
 *
 *     connecting ──200──▶ reading ──the connection goes, or the server says so──▶ waiting ──▶ connecting, with the last id
 *
 * Duplicates, which the API allows, are passed on: every rollup is the current state of a bucket.
 */
import { EventSourceParserStream } from 'eventsource-parser/stream'
import type { Client } from 'openapi-fetch'

import { chunksOf } from './lines.ts'
import { errorOf } from './problem.ts'
import type { paths } from './schema.ts'

type Operation = paths['/api/v1/stream']['get']

export type StreamQuery = NonNullable<Operation['parameters']['query']>
export type RollupMessage = Operation['responses'][200]['content']['text/event-stream']

export type StreamMessage =
  | { readonly event: 'rollup', readonly data: RollupMessage }
  /** too many changes in this range to send: query it */
  | { readonly event: 'changed', readonly data: { readonly start: string, readonly end: string } }
  /** it starts or resumes */
  | { readonly event: 'open' }
  /** the changes since then are unknown: query again */
  | { readonly event: 'reset' }
  | { readonly event: 'heartbeat' }

/** Before the first reconnect; it doubles while that fails. */
const WAIT_FIRST_MS = 500

export async function * readStream (
  client: Client<paths>, query: StreamQuery, waitMaxMs: number, signal: AbortSignal | undefined
): AsyncGenerator<StreamMessage, void> {
  let lastId: string | undefined
  for (let waitMs = WAIT_FIRST_MS; !signal?.aborted; waitMs = Math.min(waitMs * 2, waitMaxMs)) {
    let askedMs = 0
    try {
      const { response, error } = await client.GET('/api/v1/stream', {
        params: { query, header: lastId === undefined ? {} : { 'last-event-id': lastId } },
        headers: { accept: 'text/event-stream' },
        parseAs: 'stream',
        signal
      })
      if (!response.ok) throw errorOf(error, response)
      const events = response.body!.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
      for await (const { id, event, data } of chunksOf(events)) {
        if (id !== undefined) lastId = id
        const message = messageOf(event, data)
        if (message) yield message
        waitMs = WAIT_FIRST_MS / 2
        if (event === 'end') askedMs = (JSON.parse(data).retryAfterS ?? 0) * 1_000
      }
    } catch (error) {
      if (signal?.aborted) return
      if (!(error instanceof TypeError)) throw error // fetch throws a TypeError for lost connections
    }
    await pause(Math.max(waitMs, askedMs), signal)
  }
}

/** @returns undefined: irrelevant for the caller, such as an event of a later version */
function messageOf (event: string | undefined, data: string): StreamMessage | undefined {
  if (event === 'rollup' || event === 'changed') return { event, data: JSON.parse(data) }
  if (event === 'open' || event === 'reset' || event === 'heartbeat') return { event }
  return undefined
}

/** Ends early with the signal, without an error. */
function pause (waitMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(resolve, waitMs)
    signal?.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    }, { once: true })
  })
}
