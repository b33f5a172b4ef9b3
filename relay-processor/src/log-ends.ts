/** Asks the event log for its ends, again and again: the lag is measured by them, and a log that is away is noticed. */
import type { EventLog, Logger } from 'relay-common'

import type { Line } from './line.ts'

/** how often the log is asked */
const INTERVAL_MS = 5_000
/** a log that is away may take minutes to say so: it counts as away before */
const OVERDUE_AFTER_INTERVALS = 2

export interface LogEnds {
  /** why the log can't be read; undefined: it can, as far as is known */
  fault (): string | undefined
  close (): void
}

/** Tells a line how far the log is, whatever the line itself waits for. */
export function watchLogEnds (
  eventLog: Pick<EventLog, 'readOffsets'>, topic: string, line: Pick<Line, 'noteEnds' | 'observe'>, log: Logger,
  intervalMs = INTERVAL_MS
): LogEnds {
  let askedMs: number | undefined // undefined: there is no question under way
  let failure: string | undefined
  const timer = setInterval(() => {
    line.observe()
    if (askedMs !== undefined) return
    askedMs = performance.now()
    eventLog.readOffsets(topic).then(ends => {
      failure = undefined
      line.noteEnds(ends)
    }, error => {
      failure = (error as Error).message
      log.debug({ err: error }, 'could not read the end offsets of the log')
    }).finally(() => { askedMs = undefined })
  }, intervalMs).unref()
  return {
    fault: () => {
      const isOverdue = askedMs !== undefined && performance.now() - askedMs > OVERDUE_AFTER_INTERVALS * intervalMs
      return failure ?? (isOverdue ? 'it does not answer' : undefined)
    },
    close: () => clearInterval(timer)
  }
}
