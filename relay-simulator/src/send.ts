import { setTimeout as delay } from 'node:timers/promises'

import { errorCodes, RelayError, type Logger } from 'relay-common'
import type { EventLog } from 'relay-event-log'

import type { SimulatorMetrics } from './metrics.ts'
import { sentKinds, type Batch } from './timeline.ts'

const RETRY_DELAY_MIN_MS = 100
const RETRY_DELAY_MAX_MS = 5_000
/** A send without an answer for this time means that the log is unreachable; its client may retry far longer. */
const ANSWER_MAX_MS = 5_000

export interface Sender {
  /**
   * Sends a batch, and retries while the event log is unreachable. A retried batch may be in the log twice; later
   * batches wait for it.
   * @param signal once aborted, the current try is the last one
   * @returns whether the whole batch is acknowledged; false only after the abort
   * @throws permanent errors
   */
  send (batch: Batch, signal: AbortSignal): Promise<boolean>
  close (): Promise<void>
}

/**
 * Opens a stream of batches into a topic, one at a time.
 * @param outage shared by all streams into this event log
 */
export async function openSender (
  stream: 'live' | 'backfill', topic: string,
  { eventLog, outage, metrics }: { eventLog: EventLog, outage: Outage, metrics: SimulatorMetrics }
): Promise<Sender> {
  const producer = await eventLog.openProducer()

  const attempt = async (batch: Batch): Promise<boolean> => {
    const stopTimer = metrics.sendSeconds.startTimer({ stream })
    const unanswered = setTimeout(
      () => outage.noticed(`no answer to a send within ${ANSWER_MAX_MS / 1_000} s`), ANSWER_MAX_MS)
    try {
      await producer.send(topic, batch.records)
    } catch (error) {
      if (!isWorthAnotherTry(error)) throw error
      outage.noticed((error as Error).message)
      return false
    } finally {
      clearTimeout(unanswered)
    }
    stopTimer()
    outage.ended()
    for (const kind of sentKinds) if (batch.counts[kind] > 0) metrics.sent.inc({ kind }, batch.counts[kind])
    return true
  }

  return {
    async send (batch, signal) {
      let waitMaxMs = RETRY_DELAY_MIN_MS
      while (!await attempt(batch)) {
        if (signal.aborted) return false
        metrics.sendRetries.inc()
        const waitMs = waitMaxMs * (0.5 + Math.random() / 2) // streams that failed together should not retry together
        await delay(waitMs, undefined, { signal }).catch(() => {}) // the abort: one last try follows
        waitMaxMs = Math.min(2 * waitMaxMs, RETRY_DELAY_MAX_MS)
      }
      return true
    },
    close: () => producer.close()
  }
}

function isWorthAnotherTry (error: unknown): boolean {
  return error instanceof RelayError && errorCodes[error.code].retry
}

/** An outage of the event log: one warning at its start and one line at its end, whoever notices. */
export class Outage {
  readonly #log: Logger
  #sinceMs: number | undefined
  #reason: string | undefined

  constructor (log: Logger) {
    this.#log = log
  }

  /** What is wrong; undefined: nothing, according to the last send. */
  get reason (): string | undefined { return this.#reason }

  noticed (reason: string): void {
    this.#reason = reason
    if (this.#sinceMs !== undefined) return
    this.#sinceMs = performance.now()
    this.#log.warn({ reason }, 'the event log is unreachable; events are buffered and retried')
  }

  ended (): void {
    if (this.#sinceMs === undefined) return
    const seconds = Math.round((performance.now() - this.#sinceMs) / 100) / 10
    this.#sinceMs = this.#reason = undefined
    this.#log.info({ seconds }, 'the event log is reachable again')
  }
}
