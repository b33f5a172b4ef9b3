import type { Logger } from 'relay-common'

import type { Sender } from './send.ts'
import type { Timeline } from './timeline.ts'

/**
 * Records per send. Larger sends gain little and delay the live stream in the same process: creating and encoding so
 * many takes about 10 ms.
 */
const BATCH_RECORDS_MAX = 5_000
const PROGRESS_INTERVAL_MS = 5_000

export interface BackfillSettings {
  /** with an end */
  readonly timeline: Timeline
  /** the end of the history, ms since the epoch */
  readonly endMs: number
  readonly sender: Sender
  readonly log: Logger
}

/**
 * Sends history as fast as the event log accepts it; long ones log their progress. Late events after the end stay in
 * the timeline.
 * @returns whether it reached its end; false: `signal` was aborted
 */
export async function sendBackfill (
  { timeline, endMs, sender, log }: BackfillSettings, signal: AbortSignal
): Promise<boolean> {
  const events = timeline.ticksLeft
  const startMs = performance.now()
  let saidMs = startMs
  const from = new Date(events > 0 ? timeline.nextTickMs : endMs).toISOString()
  log.info({ events, from, to: new Date(endMs).toISOString() }, 'backfill started')

  let acknowledged = 0
  let batch = timeline.take(endMs, BATCH_RECORDS_MAX)
  while (batch.records.length > 0) {
    const inHand = events - timeline.ticksLeft
    const sending = sender.send(batch, signal)
    const next = signal.aborted ? undefined : timeline.take(endMs, BATCH_RECORDS_MAX) // created while the log is busy
    if (!await sending) return stopped()
    acknowledged = inHand
    if (next === undefined) return stopped()
    batch = next

    const nowMs = performance.now()
    if (nowMs - saidMs >= PROGRESS_INTERVAL_MS) {
      saidMs = nowMs
      const leftMs = (nowMs - startMs) / acknowledged * (events - acknowledged)
      log.info({ ...progress(), secondsLeft: Math.ceil(leftMs / 1_000) }, 'backfill')
    }
  }
  log.info(progress(), 'backfill done')
  return true

  function stopped (): false {
    log.info(progress(), 'backfill stopped')
    return false
  }

  function progress () {
    const seconds = (performance.now() - startMs) / 1_000
    return {
      percent: events === 0 ? 100 : Math.floor(1_000 * acknowledged / events) / 10,
      events: acknowledged,
      eventsPerSecond: Math.round(acknowledged / seconds),
      seconds: Math.round(seconds * 10) / 10
    }
  }
}
