import { isConnectionError, isTimeout, RelayError, type Logger } from 'relay-common'

import type { Clock } from './clock.ts'
import type { ProcessorMetrics } from './metrics.ts'

/** Runs work until it succeeds. */
export type Retry = <T>(what: string, work: () => Promise<T>) => Promise<T>

export interface RetrySinks {
  /** what fails at the moment, by what it is that fails; several things may be tried at once */
  readonly faults: Map<string, string>
  readonly clock: Clock
  readonly metrics: ProcessorMetrics
  readonly log: Logger
  /** ends the waiting; the work then fails with its last error */
  readonly signal: AbortSignal
}

const DELAY_MIN_MS = 50
const DELAY_MAX_MS = 5_000

/**
 * Retries what time may heal, for as long as it takes: what the processor holds can't be given up, so it reads no
 * further meanwhile, and /readyz says why. Anything else is thrown at once.
 */
export function createRetry ({ faults, clock, metrics, log, signal }: RetrySinks): Retry {
  return async (what, work) => {
    for (let attempt = 1, delayMs = DELAY_MIN_MS; ; attempt++, delayMs = Math.min(2 * delayMs, DELAY_MAX_MS)) {
      try {
        const result = await work()
        if (attempt > 1) {
          faults.delete(what)
          log.info(`${what} works again`)
        }
        return result
      } catch (cause) {
        if (!isTransient(cause)) throw cause
        const error = isTimeout(cause) ? timeoutOf(cause) : cause
        if (error !== cause) metrics.timeouts.inc()
        faults.set(what, `${what} failed: ${(error as Error).message}`)
        metrics.retries.inc()
        log.warn({ err: error, attempt }, `${what} failed`)
        await clock.delay(delayMs * (0.5 + clock.random() / 2), signal)
        if (signal.aborted) throw error
      }
    }
  }
}

function timeoutOf (cause: unknown): RelayError {
  return new RelayError('RELAY_STATEMENT_TIMEOUT',
    `a statement exceeded DATABASE_STATEMENT_TIMEOUT_MS: ${(cause as Error).message}`, { cause })
}

/**
 * Classes of SQLSTATE that time or somebody's hand may heal while we wait: connections (08), deadlocks and
 * serialization (40), resources such as a full disk (53), limits and locks (55), operator intervention (57), I/O errors
 * (58), a server that became read-only (25006), and a transaction that took too long, as we were stopped within it
 * (25P03, 25P04).
 */
const transientStates = /^(08|40|53|55|57|58)|^25(006|P03|P04)$/

function isTransient (error: unknown): boolean {
  if (error instanceof RelayError) return error.retry
  const code = (error as { code?: string }).code ?? ''
  return isConnectionError(error) || (code.length === 5 && transientStates.test(code))
}
