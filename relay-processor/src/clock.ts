/** Time and randomness, passed to the line like all other input. */
import { setTimeout as delay } from 'node:timers/promises'

import { DAY_MS } from 'relay-rollups'

export interface Clock {
  /** ms since the epoch, by a clock that may be set: for times of events and records */
  nowMs (): number
  /** the same at the start, then by a clock that is never set: for intervals and limits of time */
  steadyMs (): number
  /** Resolves after the time, or earlier if the signal aborts. */
  delay (ms: number, signal: AbortSignal): Promise<void>
  /** from 0 to 1: spreads work that many processors would do at once */
  random (): number
}

export const systemClock: Clock = {
  nowMs: Date.now,
  steadyMs: () => performance.timeOrigin + performance.now(),
  delay: (ms, signal) => delay(ms, undefined, { signal }).catch(() => {}),
  random: Math.random
}

/** a correction of the clock, or a pause of the host, moves it by less */
const AHEAD_MAX_MS = DAY_MS

/**
 * The time by which new rows are past their retention: that of the clock, but no jump ahead since the start. Rows that
 * are written in vain are dropped by the retention of the database; what is not written is lost to all but a replay.
 */
export function retentionTime (clock: Pick<Clock, 'nowMs' | 'steadyMs'>): number {
  return Math.min(clock.nowMs(), clock.steadyMs() + AHEAD_MAX_MS)
}
