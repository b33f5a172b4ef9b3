/**
 * The history that the simulated fleet sends beside its live events: 24 hours at the first start of a data folder, then
 * what was missed while the stack was off. A second simulator sends it and ends; only then is it noted as sent, so one
 * that was killed midway is done again, which is harmless: the fleet's events are functions of time, and a resent
 * reading counts once.
 */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'

import type { DataDir } from './data-dir.ts'
import { fileReason } from './file-error.ts'
import type { RunningProgram } from './program-process.ts'
import { supervise, type Observer } from './supervise.ts'

const HISTORY_MS = 24 * 3_600_000
/** More than this nobody asked for: a large fleet gets less history (1,000 devices at 1 Hz: an hour). */
export const HISTORY_EVENTS_MAX = 3_600_000
/** How often it is noted that the fleet is sending, and what may be under way then. */
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
  /** since when live events are sent, ms since the epoch */
  readonly liveFromMs: number
  /** whether the fleet's live events reach the event log now */
  readonly isSending: () => Promise<boolean>
  readonly observer: Observer
}

/**
 * Sends history once, again where the sender dies; from then on notes how far the fleet is.
 * @returns closes it; `ended` resolves when history is sent, or given up
 * @throws what the first start of the sender throws: settings that it can't use
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

  /** A full disk does no harm here: what is not noted is sent again, and counts once. */
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
