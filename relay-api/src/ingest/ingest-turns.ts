/**
 * Turns: long work on client data runs in slices, one per turn of the event loop for any number of clients, and callers
 * take turns. So a caller with much work delays itself, and others by one slice.
 */
import { setImmediate } from 'node:timers'

/** Work that pauses after each step; steps must be short. */
export type Work<T> = Iterator<unknown, T>

export interface IngestTurns {
  /**
   * @param caller whose turns it uses
   * @param signal ends work that nobody waits for
   * @throws errors of the work; the reason of the signal
   */
  run<T> (caller: string, work: Work<T>, signal?: AbortSignal): Promise<T>
}

/**
 * A query that arrives meanwhile waits for it. Short compared with an answer, long compared with the cost of a turn.
 */
const SLICE_MS = 2

interface Job {
  readonly work: Work<unknown>
  readonly signal: AbortSignal | undefined
  readonly done: (value: never) => void
  readonly failed: (error: unknown) => void
}

export function createIngestTurns (): IngestTurns {
  /** by caller, in the order of turns */
  const waiting = new Map<string, Job[]>()
  let isScheduled = false

  const slice = () => {
    const endMs = performance.now() + SLICE_MS
    do {
      const [caller, jobs] = waiting.entries().next().value!
      waiting.delete(caller)
      if (runUntil(jobs[0], endMs)) jobs.shift()
      if (jobs.length > 0) waiting.set(caller, jobs) // behind all others
    } while (waiting.size > 0 && performance.now() < endMs)
    isScheduled = waiting.size > 0
    if (isScheduled) setImmediate(slice)
  }

  return {
    run: (caller, work, signal) => new Promise((resolve, reject) => {
      const job: Job = { work, signal, done: resolve, failed: reject }
      const jobs = waiting.get(caller)
      if (jobs) jobs.push(job)
      else waiting.set(caller, [job])
      if (isScheduled) return
      isScheduled = true
      setImmediate(slice)
    })
  }
}

/** @returns whether it has ended */
function runUntil ({ work, signal, done, failed }: Job, endMs: number): boolean {
  try {
    signal?.throwIfAborted()
    do {
      const step = work.next()
      if (step.done) {
        done(step.value as never)
        return true
      }
    } while (performance.now() < endMs)
    return false
  } catch (error) {
    failed(error)
    return true
  }
}

/** Runs short work at once. */
export function runNow<T> (work: Work<T>): T {
  for (;;) {
    const step = work.next()
    if (step.done) return step.value
  }
}
