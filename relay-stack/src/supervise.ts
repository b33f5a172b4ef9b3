/**
 * Keeps a part of the stack running.
 *
 *     starting --> running --ends--> judged --restart--> waiting --> starting again
 *                                       |--give up-----> gaveUp
 *                                       |--it was done-> finished
 *                                       '--no room----> blocked --room again--> starting again
 */
import { setTimeout as delay } from 'node:timers/promises'

export interface RunningPart {
  readonly pid: number
  /** resolves when the process ends, expected or not, with its reason if known */
  readonly exited: Promise<string | void>
  close (): Promise<void>
}

export interface Part<R extends RunningPart = RunningPart> {
  readonly name: string
  start (): Promise<R>
  /** distinguishes a part that has done its work from a dead one; without it every end is a death */
  isFinished? (ended: R): boolean
}

export type Verdict =
  | { readonly kind: 'restart', readonly deaths: number, readonly afterMs: number }
  | { readonly kind: 'give-up', readonly deaths: number }

/** Consecutive deaths after which a restart is pointless. */
const DEATHS_MAX = 5
/** A part that ran this long was healthy: earlier deaths are forgotten. */
const WELL_AFTER_MS = 60_000
/** Doubles with every death; DEATHS_MAX keeps it short. */
const BACKOFF_MS = 1_000
const BLOCKED_POLL_MS = 500

/**
 * Decides what to do with a part that ended.
 * @param deathsBefore consecutive deaths before this one
 * @param ranMs how long it ran; 0: it did not even start
 */
export function judgeDeath (deathsBefore: number, ranMs: number): Verdict {
  const deaths = ranMs >= WELL_AFTER_MS ? 1 : deathsBefore + 1
  if (deaths >= DEATHS_MAX) return { kind: 'give-up', deaths }
  return { kind: 'restart', deaths, afterMs: BACKOFF_MS * 2 ** (deaths - 1) }
}

export interface Observer {
  /** resolves when it was reported */
  died (name: string, how: string, verdict: Verdict): Promise<void>
  cameBack (name: string, pid: number): void
  /** an external reason that prevents parts from running, in words; undefined: none */
  blockedBy (): Promise<string | undefined>
  /** resolves when it was reported */
  blocked (name: string, by: string): Promise<void>
}

export interface Supervised<R extends RunningPart = RunningPart> {
  readonly name: string
  /** the current or last process */
  readonly current: R
  /** resolves when the part was given up */
  readonly gaveUp: Promise<void>
  /** resolves when the part has done its work */
  readonly finished: Promise<void>
  close (): Promise<void>
}

/**
 * Starts a part and restarts it whenever it ends, until it is closed or given up.
 * @throws the error of the first start: an immediate failure is permanent
 */
export async function supervise<R extends RunningPart> (part: Part<R>, observer: Observer): Promise<Supervised<R>> {
  let current = await part.start()
  const closing = new AbortController()
  const gaveUp = Promise.withResolvers<void>()
  const finished = Promise.withResolvers<void>()
  const watched = watch()

  async function watch (): Promise<void> {
    let deaths = 0
    let startedMs = performance.now()
    let how = await current.exited
    while (!closing.signal.aborted) {
      if (startedMs > 0 && part.isFinished?.(current)) return finished.resolve()
      const blocked = await observer.blockedBy()
      if (blocked !== undefined) {
        await observer.blocked(part.name, blocked)
        deaths = 0 // not its fault
        while (!closing.signal.aborted && await observer.blockedBy() !== undefined) await pause(BLOCKED_POLL_MS)
      } else {
        const verdict = judgeDeath(deaths, startedMs === 0 ? 0 : performance.now() - startedMs)
        await observer.died(part.name, how || 'it ended', verdict)
        if (verdict.kind === 'give-up') return gaveUp.resolve()
        deaths = verdict.deaths
        await pause(verdict.afterMs)
      }
      if (closing.signal.aborted) return
      try {
        startedMs = 0
        current = await part.start()
        startedMs = performance.now()
        if (closing.signal.aborted) return
        observer.cameBack(part.name, current.pid)
        how = await current.exited
      } catch (error) {
        how = reasonOf(error)
      }
    }
  }

  /** Ends early when closed. */
  const pause = (ms: number) => delay(ms, undefined, { signal: closing.signal }).catch(() => {})

  let closed: Promise<void> | undefined
  return {
    name: part.name,
    get current () { return current },
    gaveUp: gaveUp.promise,
    finished: finished.promise,
    close: () => (closed ??= closeAll())
  }

  async function closeAll (): Promise<void> {
    closing.abort()
    await current.close()
    await watched
    await current.close() // one that was being started meanwhile
  }
}

/** Why a part did not start, without the last lines of its log, which the report of a death shows. */
export const reasonOf = (error: unknown) => (error as Error).message.split('; its last lines')[0]

/**
 * Starts parts in parallel. They are closed one by one, the last first.
 * @param started closes them, including those that started when another failed
 * @throws the first error
 */
export async function startTogether (
  starts: readonly (() => Promise<Supervised>)[], started: AsyncDisposableStack
): Promise<Supervised[]> {
  const outcomes = await Promise.allSettled(starts.map(it => it()))
  const parts: Supervised[] = []
  for (const it of outcomes) {
    if (it.status === 'fulfilled') parts.push(started.adopt(it.value, part => part.close()))
  }
  const failed = outcomes.find(it => it.status === 'rejected')
  if (failed) throw failed.reason
  return parts
}
