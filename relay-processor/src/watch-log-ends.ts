/** Polls the ends of the event log: they give the lag, and detect an unreachable log. */
import type { Logger } from 'relay-common'
import type { EventLog } from 'relay-event-log'

import type { Line } from './line.ts'

/** polling interval */
const INTERVAL_MS = 5_000
/** an unreachable log may take minutes to fail, so it counts as unreachable earlier */
const OVERDUE_AFTER_INTERVALS = 2

export interface LogEndsWatch {
  /** why the log can't be read; undefined: it can, as far as known */
  fault (): string | undefined
  close (): void
}

/** Reports the ends of the log to a line, whatever the line itself waits for. */
export function watchLogEnds (
  eventLog: Pick<EventLog, 'readOffsets'>, topic: string, line: Pick<Line, 'noteEnds' | 'observe'>, log: Logger,
  intervalMs = INTERVAL_MS
): LogEndsWatch {
  let askedMs: number | undefined // undefined: no request in progress
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
