/**
 * Attained service: how much work the API did recently for each caller, and which callers got more than the others.
 *
 *     work   ms of computing, plus a fixed cost per statement and per row
 *     rate   work per time over the last second, with exponential decay; for a new caller, since its first question
 *     heavy  a caller whose rate is above the mean rate of all active callers, by a margin
 *
 * Elapsed time is no measure of work: beside a heavy caller everybody's statements are slow, and by elapsed time the
 * API would hold up the wrong caller. A caller that is held up attains less, and stops being heavy.
 *
 * Source: least attained service, Nuyens and Wierman, "The foreground-background queue" (2008).
 */

/** After this time past work counts 1/e. */
const MEMORY_MS = 1_000
/** A caller is active for this time after its last question or its last work. */
const BESIDE_MS = 1_000
/** Least age of a new caller: without it, the first question alone would be a rate of 100 %. */
const AGE_MIN_MS = 50
/** over the mean rate */
const HEAVY_PART = 1.25
/** A caller with less than this part of a core is never heavy. */
const HEAVY_MIN = 0.25
const LOOK_INTERVAL_MS = 10
const CALLERS_MAX = 1_000

/** Rough CPU cost of a statement, and of a row that it returns, in PostgreSQL and API together. */
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
  /** active ones, in the order of their last work */
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
