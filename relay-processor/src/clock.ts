/** Time and chance, handed to the line like everything else that comes from outside. */
import { setTimeout as delay } from 'node:timers/promises'

export interface Clock {
  /** ms since the epoch */
  nowMs (): number
  /** Resolves when the time is over, or earlier, when the signal aborts. */
  delay (ms: number, signal: AbortSignal): Promise<void>
  /** from 0 to 1: spreads what many processors would do at once */
  random (): number
}

export const systemClock: Clock = {
  nowMs: Date.now,
  delay: (ms, signal) => delay(ms, undefined, { signal }).catch(() => {}),
  random: Math.random
}
