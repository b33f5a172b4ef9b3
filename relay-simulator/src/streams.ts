/**
 * Two streams of one fleet into the event log. A short history goes first, because readings after newer events would be
 * late. Beside a long one, live events flow from the first second.
 *
 *     timeline from the start on ──▶ live, by the clock ───────▶ producer ──▶ event log
 *                    ▲ what is still to be sent late
 *     timeline up to the start ────▶ backfill, at full speed ──▶ producer ──▶ event log
 */
import { setTimeout as delay } from 'node:timers/promises'

import type { Logger } from 'relay-common'
import type { EventLog } from 'relay-event-log'

import { sendBackfill } from './backfill.ts'
import { HISTORY_FIRST_EVENTS_MAX } from './config.ts'
import { sendLive } from './live.ts'
import type { SimulatorMetrics } from './metrics.ts'
import { openSender, type Outage, type Sender } from './send.ts'
import type { Timeline } from './timeline.ts'

export interface StreamSettings {
  readonly live: Timeline | undefined
  readonly history: Timeline | undefined
  readonly historyEndMs: number
  readonly topic: string
  readonly eventLog: EventLog
  readonly catchUpMaxMs: number
  /** the clock, ms since the epoch */
  readonly nowMs: () => number
  readonly outage: Outage
  readonly metrics: SimulatorMetrics
  readonly log: Logger
}

export interface Streams {
  /** resolves when both have ended; rejects with the first failure */
  readonly done: Promise<void>
  close (): Promise<void>
}

/** Longest wait for pending sends at a stop; then the producers close, which ends them. */
const STOP_WAIT_MAX_MS = 5_000
const EARLY_RECORDS_MAX = 5_000

export async function startStreams (settings: StreamSettings): Promise<Streams> {
  const { live, history, topic } = settings
  const stop = new AbortController()
  await using opened = new AsyncDisposableStack()
  const open = async (stream: 'live' | 'backfill') =>
    opened.adopt(await openSender(stream, topic, settings), it => it.close())
  const liveSender = live && await open('live')
  const backfillSender = history && await open('backfill')

  const isHistoryFirst = history !== undefined && history.ticksLeft <= HISTORY_FIRST_EVENTS_MAX
  const filling = backfillSender && runBackfill(history, backfillSender, settings, stop.signal)
  const startLive = async () => {
    if (isHistoryFirst) await filling
    if (liveSender) await runLive(live, liveSender, settings, stop.signal)
  }
  const streams = [filling, startLive()]
  const done = Promise.all(streams).then(() => {})
  const senders = opened.move()
  return {
    done,
    async close () {
      stop.abort()
      const ended = Promise.allSettled(streams)
      await Promise.race([ended, delay(STOP_WAIT_MAX_MS, undefined, { ref: false })])
      await senders.disposeAsync()
      await ended
    }
  }
}

async function runLive (
  timeline: Timeline, sender: Sender, settings: StreamSettings, stop: AbortSignal
): Promise<void> {
  await sendLive({ ...settings, timeline, sender }, stop)
  await sendEarly(timeline, sender, settings.log, stop)
}

async function runBackfill (
  timeline: Timeline, sender: Sender, settings: StreamSettings, stop: AbortSignal
): Promise<void> {
  const { live, historyEndMs: endMs, log } = settings
  const isComplete = await sendBackfill({ timeline, endMs, sender, log }, stop)
  // late events after the end of the history move to the stream that continues
  if (isComplete && live && !stop.aborted) timeline.handPostponedTo(live)
  else await sendEarly(timeline, sender, log, stop)
}

/** Sends postponed events now: they may be late, but not lost. */
async function sendEarly (timeline: Timeline, sender: Sender, log: Logger, stop: AbortSignal): Promise<void> {
  while (timeline.postponed.size > 0) {
    const batch = timeline.takeEarly(EARLY_RECORDS_MAX)
    if (await sender.send(batch, stop)) continue
    const records = batch.records.length + timeline.postponed.size
    log.warn({ records }, 'stopped while the event log was unreachable; delayed records were not sent')
    return
  }
}
