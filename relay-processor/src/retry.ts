import { isConnectionError, isTimeout, RelayError, traceFields, type Logger, type TraceContext } from 'relay-common'

import type { Clock } from './clock.ts'
import type { ProcessorMetrics } from './metrics.ts'

/**
 * Runs work until it succeeds.
 * @param trace of the work, for the log
 */
export type Retry = <T>(what: string, work: () => Promise<T>, trace?: TraceContext) => Promise<T>

export interface RetrySinks {
  /** current failures, by what fails; several tasks may be retried at once */
  readonly faults: Map<string, string>
  readonly clock: Clock
  readonly metrics: ProcessorMetrics
  readonly log: Logger
  /** ends the retries; the work then fails with its last error */
  readonly signal: AbortSignal
}

const DELAY_MIN_MS = 50
const DELAY_MAX_MS = 5_000

/**
 * Retries temporary failures forever: the processor can't drop what it holds, so it stops reading, and /readyz has the
 * reason. Other errors are thrown at once.
 */
export function createRetry ({ faults, clock, metrics, log, signal }: RetrySinks): Retry {
  return async (what, work, trace) => {
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
        log.warn({ err: error, attempt, ...traceFields(trace) }, `${what} failed`)
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
 * SQLSTATE classes and codes that time or an operator may fix: connections (08), deadlocks and serialization (40),
 * resources such as a full disk (53), limits and locks (55), operator intervention (57), I/O errors (58), a read-only
 * server (25006), and a transaction that timed out because we were paused in it (25P03, 25P04).
 */
const transientStates = /^(08|40|53|55|57|58)|^25(006|P03|P04)$/

function isTransient (error: unknown): boolean {
  if (error instanceof RelayError) return error.retry
  const code = (error as { code?: string }).code ?? ''
  return isConnectionError(error) || (code.length === 5 && transientStates.test(code))
}
