/**
 * Attained service: how much work each caller has had done lately, and which of them have had more than the others.
 *
 *     work   ms of computing, and statements and their rows at what they cost on an idle machine
 *     rate   the work of the last second or so, older work counts less and less; of a new caller, since it came
 *     heavy  a caller above the mean rate of all who are there, by a margin
 *
 * Time that passes is not work: the statements of a caller who waits behind others take long because of the others, and
 * by time it would be the one to hold up. A caller who is held up attains less, and is heavy no more.
 *
 * Source: least attained service, Nuyens and Wierman, "The foreground-background queue" (2008).
 */

/** Work counts a third, roughly, after so many ms. */
const MEMORY_MS = 1_000
/** A caller is there for so long after its last question or its last work. */
const BESIDE_MS = 1_000
/** A caller that came just now has been there for so long, or its first question would be a rate of 100 %. */
const AGE_MIN_MS = 50
/** of the mean rate */
const HEAVY_PART = 1.25
/** A caller with less than this part of a core is never heavy. */
const HEAVY_MIN = 0.25
const LOOK_INTERVAL_MS = 10
const CALLERS_MAX = 1_000

/** What a statement costs PostgreSQL and the API together, measured on an idle machine, and what a row does. */
const STATEMENT_MS = 0.7
const ROW_MS = 0.003

export interface AttainedService {
  /** A caller has asked something. */
  ask (caller: string): void
  /** Counts computing. @param ms of the thread */
  compute (caller: string, ms: number): void
  /** Counts a statement. @param rows that it returned */
  read (caller: string, rows: number): void
  /** whether a caller has had more than its share, beside others */
  isHeavy (caller: string): boolean
}

interface Caller {
  workMs: number
  atMs: number
  readonly sinceMs: number
}

/** @param now ms of a clock that only goes on */
export function createAttainedService (now = () => performance.now()): AttainedService {
  /** those that are there, the one that has been silent for longest first */
  const callers = new Map<string, Caller>()
  let heavy: ReadonlySet<string> = new Set()
  let lookedAtMs = -Infinity

  const add = (name: string, ms: number) => {
    const nowMs = now()
    const caller = callers.get(name) ?? { workMs: 0, atMs: nowMs, sinceMs: nowMs }
    caller.workMs = caller.workMs * Math.exp((caller.atMs - nowMs) / MEMORY_MS) + ms
    caller.atMs = nowMs
    callers.delete(name)
    callers.set(name, caller)
    if (callers.size > CALLERS_MAX) callers.delete(callers.keys().next().value!)
  }
  const look = (nowMs: number) => {
    for (const [name, { atMs }] of callers) {
      if (nowMs - atMs <= BESIDE_MS) break
      callers.delete(name)
    }
    const rates = [...callers].map(([name, it]) => ({ name, rate: rateOf(it, nowMs) }))
    const mean = rates.reduce((sum, it) => sum + it.rate, 0) / rates.length
    heavy = new Set(rates.filter(({ rate }) => rate > HEAVY_MIN && rate > HEAVY_PART * mean).map(({ name }) => name))
  }
  return {
    ask: caller => add(caller, 0),
    compute: add,
    read: (caller, rows) => add(caller, STATEMENT_MS + rows * ROW_MS),
    isHeavy (caller) {
      const nowMs = now()
      if (nowMs - lookedAtMs >= LOOK_INTERVAL_MS) {
        lookedAtMs = nowMs
        look(nowMs)
      }
      return heavy.has(caller)
    }
  }
}

/** Work per time: 1 is a core. */
function rateOf ({ workMs, atMs, sinceMs }: Caller, nowMs: number): number {
  const ageMs = Math.max(nowMs - sinceMs, AGE_MIN_MS)
  return workMs * Math.exp((atMs - nowMs) / MEMORY_MS) / (MEMORY_MS * (1 - Math.exp(-ageMs / MEMORY_MS)))
}
