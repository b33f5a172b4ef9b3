import { setTimeout as delay } from 'node:timers/promises'

import type { Logger } from 'relay-common'

import type { SimulatorMetrics } from './metrics.ts'
import type { Sender } from './send.ts'
import type { Timeline } from './timeline.ts'

/** Most records at a time: unsent data never exceeds this, because the rest is not created yet. */
const BATCH_RECORDS_MAX = 5_000
/** Events that are due within this time share a send: large fleets need 20 sends per second, not one per event. */
const LINGER_MS = 50
/** The clock is read again after this time, because somebody may set it. */
const SLEEP_MAX_MS = 1_000

export interface LiveSettings {
  readonly timeline: Timeline
  readonly sender: Sender
  /** events that are overdue by more than this are dropped */
  readonly catchUpMaxMs: number
  /** the clock, ms since the epoch */
  readonly nowMs: () => number
  readonly metrics: SimulatorMetrics
  readonly log: Logger
}

/**
 * Sends events as they become due, until `signal` is aborted. The pace can't drift, because due events follow from the
 * clock and the fleet. After a pause (unreachable log, sleeping machine) it sends overdue events as fast as the log
 * accepts them, as far back as configured.
 */
export async function sendLive (settings: LiveSettings, signal: AbortSignal): Promise<void> {
  const { timeline, sender, nowMs, log } = settings
  while (!signal.aborted) {
    skipOverdue(settings)
    const takenMs = nowMs()
    const batch = timeline.take(takenMs + 1, BATCH_RECORDS_MAX)
    if (batch.records.length > 0 && !await sender.send(batch, signal)) {
      const records = batch.records.length
      log.warn({ records }, 'stopped while the event log was unreachable; the last records were not sent')
      return
    }
    const waitMs = Math.max(timeline.nextMs, takenMs + LINGER_MS) - nowMs()
    if (waitMs > 0 && batch.records.length < BATCH_RECORDS_MAX) {
      await delay(Math.min(waitMs, SLEEP_MAX_MS), undefined, { signal }).catch(() => {}) // the abort
    }
  }
}

function skipOverdue ({ timeline, catchUpMaxMs, nowMs, metrics, log }: LiveSettings): void {
  const fromMs = timeline.nextTickMs
  const toMs = nowMs() - catchUpMaxMs
  if (fromMs >= toMs) return
  const events = timeline.skipTo(toMs)
  if (events === 0) return
  metrics.skipped.inc(events)
  const from = new Date(fromMs).toISOString()
  const to = new Date(toMs).toISOString()
  log.warn({ events, from, to }, 'skipped live events that were overdue by more than CATCH_UP_MAX')
}
