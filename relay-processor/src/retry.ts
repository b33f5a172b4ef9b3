import { isConnectionError, RelayError, type Logger } from 'relay-common'
import pRetry from 'p-retry'

import type { ProcessorMetrics } from './metrics.ts'

/** Runs work until it succeeds. */
export type Retry = <T>(what: string, work: () => Promise<T>) => Promise<T>

export interface RetrySinks {
  /** what fails at the moment; undefined: nothing any more */
  readonly fault: (message: string | undefined) => void
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
export function createRetry ({ fault, metrics, log, signal }: RetrySinks): Retry {
  return async (what, work) => {
    let hasFailed = false
    const result = await pRetry(work, {
      retries: Infinity,
      minTimeout: DELAY_MIN_MS,
      maxTimeout: DELAY_MAX_MS,
      randomize: true,
      signal,
      shouldRetry: ({ error }) => isTransient(error),
      onFailedAttempt: ({ error, attemptNumber }) => {
        hasFailed = true
        fault(`${what} fails: ${error.message}`)
        metrics.retries.inc()
        log.warn({ err: error, attempt: attemptNumber }, `${what} failed`)
      }
    })
    if (hasFailed) {
      fault(undefined)
      log.info(`${what} works again`)
    }
    return result
  }
}

/**
 * Classes of SQLSTATE that time or somebody's hand may heal while we wait: connections (08), deadlocks and
 * serialization (40), resources such as a full disk (53), limits and locks (55), operator intervention (57), I/O errors
 * (58), and a server that became read-only (25006).
 */
const transientStates = /^(08|40|53|55|57|58)|^25006$/

function isTransient (error: unknown): boolean {
  if (error instanceof RelayError) return error.retry
  const code = (error as { code?: string }).code ?? ''
  return isConnectionError(error) || (code.length === 5 && transientStates.test(code))
}
