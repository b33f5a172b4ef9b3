/**
 * History of the simulated fleet: 24 hours at the first start of a data folder, then the time in which the stack was
 * off. Live events wait for a history of up to HISTORY_FIRST_EVENTS_MAX events, and are sent beside a longer one.
 *
 * A second simulator sends it and ends; only then is it recorded as sent. So one that was killed is repeated, which is
 * harmless: events are functions of time, and a duplicate counts once.
 */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'

import type { DataDir } from './data-dir.ts'
import { fileReason } from './file-error.ts'
import type { RunningProgram } from './program-process.ts'
import { supervise, type Observer } from './supervise.ts'

const HISTORY_MS = 24 * 3_600_000
/** Limit of automatic history: a large fleet gets less (1,000 devices at 1 Hz: an hour). */
export const HISTORY_EVENTS_MAX = 3_600_000
/** How often progress of the fleet is recorded, and what may be in progress then. */
const NOTE_INTERVAL_MS = 10_000
const UNDER_WAY_MS = 30_000

/**
 * How much history to send.
 * @param sentUntilMs up to when the fleet has sent, ms since the epoch; undefined: never
 * @param eventsPerSecond of the whole fleet
 * @returns ms before `nowMs`
 */
export function chooseHistoryMs (sentUntilMs: number | undefined, nowMs: number, eventsPerSecond: number): number {
  const missedMs = sentUntilMs === undefined ? HISTORY_MS : Math.max(0, nowMs - sentUntilMs)
  const affordableMs = eventsPerSecond > 0 ? HISTORY_EVENTS_MAX / eventsPerSecond * 1_000 : HISTORY_MS
  return Math.floor(Math.min(missedMs, affordableMs, HISTORY_MS))
}

export interface BackfillSettings {
  readonly dataDir: DataDir
  /** starts the simulator that sends history and ends */
  readonly start: () => Promise<RunningProgram>
  /** start of live events, ms since the epoch */
  readonly liveFromMs: number
  /** whether live events of the fleet currently reach the event log */
  readonly isSending: () => Promise<boolean>
  readonly observer: Observer
}

/**
 * Sends history once, again if the sender dies; then records the progress of the fleet.
 * @returns closes it; `ended` resolves when history is sent, or given up
 * @throws the error of the first start, such as invalid settings
 */
export async function startBackfill (
  { dataDir, start, liveFromMs, isSending, observer }: BackfillSettings
): Promise<{ readonly ended: Promise<void>, close (): Promise<void> }> {
  const closing = new AbortController()
  const { signal } = closing
  const sender = await supervise({ name: 'backfill', start, isFinished: ({ exitCode }) => exitCode === 0 }, observer)
  let noting: Promise<void> | undefined
  sender.finished.then(() => { noting = note() })

  /** @returns when it is closed */
  async function note (): Promise<void> {
    await noteSent(liveFromMs)
    while (!signal.aborted) {
      await delay(NOTE_INTERVAL_MS, undefined, { signal }).catch(() => {}) // closed: the loop ends
      if (signal.aborted || !await isSending()) continue
      await noteSent(Math.max(liveFromMs, Date.now() - UNDER_WAY_MS))
    }
  }

  /** A full disk is harmless here: unrecorded events are sent again, and count once. */
  async function noteSent (timeMs: number): Promise<void> {
    await dataDir.writeSentUntil(timeMs).catch(error => { if (fileReason(error) === undefined) throw error })
  }

  return {
    ended: Promise.race([sender.finished, sender.gaveUp, once(signal, 'abort').then(() => {})]),
    close: async () => {
      closing.abort()
      await sender.close()
      await noting
    }
  }
}
