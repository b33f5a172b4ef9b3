/**
 * What a stream says (https://html.spec.whatwg.org/multipage/server-sent-events.html):
 *
 *     event: open       it begins, or goes on: what changes from now on will be told
 *     event: rollup     a bucket as it is now
 *     event: changed    more has changed in this range than is told: ask for it
 *     event: reset      what has changed since the client's last id is not known any more: ask anew
 *     event: heartbeat  nothing of that, and the client is up to date
 *     event: end        the stream ends, and why
 *     retry: …          how soon a client comes back that loses its connection from here on
 *
 * An id comes with the last event of what was read together: a client that has half of it comes back for all of it.
 */
import { average, median, total, type Rollup } from 'relay-common'
import { Type, type Static } from 'typebox'

import { renderPosition, type Position } from './position.ts'
import type { Contents, Told, Window } from './windows.ts'
import type { View } from './view.ts'

/** An `EventSource` has a wait of its own until it is told one, and keeps what it was told last. */
const RETRY_MS = 2_000

const Time = Type.String({ format: 'date-time' })

export const rollupMessageSchema = Type.Object({
  bucketStart: Time,
  bucketEnd: Time,
  device: Type.Optional(Type.String({ description: 'where the stream is grouped by devices' })),
  zone: Type.Optional(Type.String({ description: 'where it is grouped by zones' })),
  type: Type.Optional(Type.String({ description: 'where it is grouped by types' })),
  count: Type.Integer(),
  sum: Type.Unsafe<number | null>({ type: ['number', 'null'], description: 'null: beyond the range of doubles' }),
  avg: Type.Number(),
  min: Type.Number(),
  max: Type.Number(),
  median: Type.Number(),
  medianError: Type.Unsafe<number | null>({
    type: ['number', 'null'], description: 'the true median is within median ± medianError; null: no double can bound it'
  }),
  last: Type.Number({ description: 'the newest reading' }),
  lastTime: Time
}, { title: 'RollupMessage' })

type RollupMessage = Static<typeof rollupMessageSchema>

/**
 * @param isNews whether a window is to be told with this data; by default all are
 * @returns the events of a view, '' where there are none
 */
export function renderTold (
  view: View, { windows, stretch }: Told, contents: Contents, isNews = (_window: string, _data: string) => true
): string {
  let text = ''
  for (const window of windows) {
    const rollup = contents(view, window)
    if (!rollup) continue
    const data = JSON.stringify(messageOf(view, window, rollup))
    if (isNews(`${window.group}\n${window.bucketMs}`, data)) text += `event: rollup\ndata: ${data}\n\n`
  }
  if (stretch) text += renderEvent('changed', { start: iso(stretch.startMs), end: iso(stretch.endMs) })
  return text
}

function messageOf (
  { question: { groupBy }, level }: View, { group, bucketMs }: Window, rollup: Rollup
): RollupMessage {
  const { value, error } = median(rollup)
  const sum = total(rollup)
  return {
    bucketStart: iso(bucketMs),
    bucketEnd: iso(bucketMs + level.sizeMs),
    ...(groupBy === undefined ? {} : { [groupBy]: group }),
    count: rollup.count,
    sum: Number.isFinite(sum) ? sum : null,
    avg: average(rollup),
    min: rollup.min,
    max: rollup.max,
    median: value,
    medianError: Number.isFinite(error) ? error : null,
    last: rollup.lastValue,
    lastTime: iso(rollup.lastMs)
  }
}

export function renderOpen (position: Position): string {
  return `retry: ${RETRY_MS}\n${withId(renderEvent('open', {}), position)}`
}

/**
 * All that a client is told that has come back too early. A status that says so would end it for good: an `EventSource`
 * comes back after what was a stream, and after no other answer.
 */
export function renderBusy (retryAfterS: number): string {
  return `retry: ${retryAfterS * 1_000}\n${renderEvent('end', { reason: 'busy', retryAfterS })}`
}

export function renderReset (reason: string, position: Position): string {
  return withId(renderEvent('reset', { reason }), position)
}

export function renderHeartbeat (position: Position): string {
  return withId(renderEvent('heartbeat', {}), position)
}

function renderEvent (name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}

/** Gives the last of some events the id that says how far they bring the client. */
export function withId (events: string, position: Position): string {
  return `${events.slice(0, -1)}id: ${renderPosition(position)}\n\n`
}

function iso (timeMs: number): string {
  return new Date(timeMs).toISOString()
}
