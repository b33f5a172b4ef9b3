/**
 * Turns: long work on what clients send is done in slices, one a turn of the event loop whatever the number of clients,
 * and callers take turns. So whoever sends much waits for itself, and all others for one slice.
 */
import { setImmediate } from 'node:timers'

/** Work that stops after each step: steps must be short. */
export type Work<T> = Iterator<unknown, T>

export interface Turns {
  /**
   * @param caller whose turn it takes
   * @param signal work that nobody waits for any more is given up
   * @throws what the work throws; the reason of the signal
   */
  run<T> (caller: string, work: Work<T>, signal?: AbortSignal): Promise<T>
}

/** A question that comes meanwhile waits for it. Short against an answer, and long against the turn that it costs. */
const SLICE_MS = 2

interface Job {
  readonly work: Work<unknown>
  readonly signal: AbortSignal | undefined
  readonly done: (value: never) => void
  readonly failed: (error: unknown) => void
}

export function createTurns (): Turns {
  /** by caller, in the order of their turns */
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

/** Does short work at once. */
export function runNow<T> (work: Work<T>): T {
  for (;;) {
    const step = work.next()
    if (step.done) return step.value
  }
}
