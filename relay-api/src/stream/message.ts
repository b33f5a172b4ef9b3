/**
 * Events of a stream (https://html.spec.whatwg.org/multipage/server-sent-events.html):
 *
 *     event: open       the stream starts or resumes; all changes from now on will be sent
 *     event: rollup     the current state of a bucket
 *     event: changed    more changed in this range than is sent: query it
 *     event: reset      the changes since the client's last id are no longer known: query again
 *     event: heartbeat  no changes; the client is up to date
 *     event: end        the stream ends, with the reason
 *     retry: …          how soon a disconnected client reconnects
 *
 * Only the last event of a round has an id: a client that received half of a round resumes with all of it.
 */
import { average, median, total, type Rollup } from 'relay-rollups'
import { Type, type Static } from 'typebox'

import { renderPosition, type StreamPosition } from './position.ts'
import type { Contents, ViewChanges, ChangedBucket } from './changed-buckets.ts'
import type { View } from './view.ts'

/** An `EventSource` uses its own delay until it gets one, and keeps the last one. */
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
    type: ['number', 'null'],
    description: 'the true median is within median ± medianError; null: no double can bound it'
  }),
  last: Type.Number({ description: 'the newest reading' }),
  lastTime: Time
}, { title: 'RollupMessage' })

type RollupMessage = Static<typeof rollupMessageSchema>

/**
 * @param isNews whether to send a window with this data; default: all
 * @returns the events of a view, '' if there are none
 */
export function renderChanges (
  view: View, { buckets, stretch }: ViewChanges, contents: Contents, isNews = (_window: string, _data: string) => true
): string {
  let text = ''
  for (const window of buckets) {
    const rollup = contents(view, window)
    if (!rollup) continue
    const data = JSON.stringify(messageOf(view, window, rollup))
    if (isNews(`${window.group}\n${window.bucketMs}`, data)) text += `event: rollup\ndata: ${data}\n\n`
  }
  if (stretch) text += renderEvent('changed', { start: iso(stretch.startMs), end: iso(stretch.endMs) })
  return text
}

function messageOf (
  { query: { groupBy }, level }: View, { group, bucketMs }: ChangedBucket, rollup: Rollup
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

export function renderOpen (position: StreamPosition): string {
  return `retry: ${RETRY_MS}\n${withId(renderEvent('open', {}), position)}`
}

/**
 * The answer to a client that reconnects too early. An error status would stop it for good: an `EventSource` reconnects
 * only after an answer that was a stream.
 */
export function renderBusy (retryAfterS: number): string {
  return `retry: ${retryAfterS * 1_000}\n${renderEvent('end', { reason: 'busy', retryAfterS })}`
}

export function renderReset (reason: string, position: StreamPosition): string {
  return withId(renderEvent('reset', { reason }), position)
}

export function renderHeartbeat (position: StreamPosition): string {
  return withId(renderEvent('heartbeat', {}), position)
}

function renderEvent (name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}

/** Adds the id of a position to the last of some events. */
export function withId (events: string, position: StreamPosition): string {
  return `${events.slice(0, -1)}id: ${renderPosition(position)}\n\n`
}

function iso (timeMs: number): string {
  return new Date(timeMs).toISOString()
}
