/** Time and randomness, passed to the line like all other input. */
import { setTimeout as delay } from 'node:timers/promises'

export interface Clock {
  /** ms since the epoch */
  nowMs (): number
  /** Resolves after the time, or earlier if the signal aborts. */
  delay (ms: number, signal: AbortSignal): Promise<void>
  /** from 0 to 1: spreads work that many processors would do at once */
  random (): number
}

export const systemClock: Clock = {
  nowMs: Date.now,
  delay: (ms, signal) => delay(ms, undefined, { signal }).catch(() => {}),
  random: Math.random
}
