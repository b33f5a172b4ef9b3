import { setTimeout as delay } from 'node:timers/promises'

import { errorCodes, RelayError, type EventLog, type Logger } from 'relay-common'

import type { SimulatorMetrics } from './metrics.ts'
import { sentKinds, type Batch } from './timeline.ts'

const RETRY_DELAY_MIN_MS = 100
const RETRY_DELAY_MAX_MS = 5_000
/** A send that is not answered for so long is a sign that the log is away: its client may try for long by itself. */
const ANSWER_MAX_MS = 5_000

export interface Sender {
  /**
   * Sends a batch, and tries again for as long as the event log is away. A batch that was tried twice may be in the log
   * twice; nothing behind it is sent before it.
   * @param signal once aborted, the try in hand is the last one
   * @returns whether all of the batch is acknowledged; false only after the abort
   * @throws what another try would not heal
   */
  send (batch: Batch, signal: AbortSignal): Promise<boolean>
  close (): Promise<void>
}

/**
 * Opens a stream of batches, one at a time, into a topic.
 * @param outage what all streams into this event log know of its absence
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
        const waitMs = waitMaxMs * (0.5 + Math.random() / 2) // streams that failed together don't come back together
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

/** The absence of the event log: one warning when it begins, one line when it is over, whoever notices. */
export class Outage {
  readonly #log: Logger
  #sinceMs: number | undefined
  #reason: string | undefined

  constructor (log: Logger) {
    this.#log = log
  }

  /** What is wrong; undefined: nothing, as far as the last send tells. */
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
