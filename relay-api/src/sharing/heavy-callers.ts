/**
 * Heavy callers: those that got more than the others lately. Attained service decides: the work that the API did
 * recently for each caller.
 *
 *     work   ms of computing, plus the cost of statements: a fixed one per statement and per row; of a large one, its time
 *     rate   work per time over the last second, with exponential decay; for a new caller, since its first query
 *     heavy  a caller whose rate is above its fair share of 0.8 core, and by a margin above the mean rate of all active
 *            callers. While the event loop is busy, it stays heavy until it is below the mean: with equal shares the
 *            loop would have no time left. Or a caller that waits for many answers, more than all others together
 *
 * Elapsed time alone is no measure of work: beside a heavy caller everybody's statements are slow, so the API would
 * delay the wrong caller. But a statement that takes many times as long as those of another caller at the same time is
 * a large one, whatever the machine. PostgreSQL works on all statements at once, so each gets a part of the time
 * (processor sharing). This part is counted while the statement is still in progress.
 *
 * A caller that is delayed attains less, and stops being heavy. Heavy callers wait in `fair-share.ts` (for connections)
 * and `compute-turns.ts` (for the event loop).
 *
 * Source: least attained service, Nuyens and Wierman, "The foreground-background queue" (2008).
 */

/** After this time past work counts 1/e. */
const MEMORY_MS = 1_000
/** A caller is active for this time after its last query or its last work. */
const BESIDE_MS = 1_000
/** Least age of a new caller: without it, the first query alone would be a rate of 100 %. */
const AGE_MIN_MS = 50
/** A heavy caller has more than this multiple of the mean rate. */
const HEAVY_PART = 1.25
/** While the event loop is busy, a heavy caller stays heavy until it has less than this part of the mean. */
const HEAVY_PART_BUSY = 0.8
/** A caller with less than this part of a core is never heavy. */
const HEAVY_MIN = 0.25
/** Nor is one within its fair share of this part of a core: beside small callers, any is above the mean. */
const FAIR_PART = 0.8
/** Answers that a caller may wait for without being heavy. A browser has six connections to a site. */
const OPEN_LIGHT_MAX = 8
const LOOK_INTERVAL_MS = 10
const CALLERS_MAX = 1_000

/** Rough CPU cost of a statement, and of a row that it returns, in PostgreSQL and API together. */
export const STATEMENT_MS = 0.7
const ROW_MS = 0.003
/** A large statement takes at least this time, and this multiple of the mean time of another caller's statements. */
const LARGE_MIN_MS = 20
const LARGE_RATIO = 5
const TYPICAL_WEIGHT = 1 / 8

export interface AttainedService {
  /** A caller has sent a request. */
  ask (caller: string): void
  /** It waits for an answer from now on. */
  open (caller: string): void
  close (caller: string): void
  /** Counts computing. @param ms of the thread */
  compute (caller: string, ms: number): void
  /** A statement of a caller begins. */
  begin (caller: string): Statement
  /** whether a caller got more than its share, beside others */
  isHeavy (caller: string): boolean
}

export interface Statement {
  /** @param rows that it returned */
  end (rows: number): void
}

interface Running {
  readonly caller: string
  readonly sinceMs: number
  /** shared time when it began */
  readonly fromMs: number
}

interface Caller {
  workMs: number
  atMs: number
  /** mean time of its statements, weighted towards the last ones; undefined: none has ended */
  typicalMs: number | undefined
  readonly sinceMs: number
}

/**
 * @param now monotonic clock, ms
 * @param isBusy whether the event loop has little time left
 */
export function createAttainedService (now = () => performance.now(), isBusy = () => false): AttainedService {
  /** active ones, in the order of their last work */
  const callers = new Map<string, Caller>()
  let heavy: ReadonlySet<string> = new Set()
  let lookedAtMs = -Infinity
  /** number of answers that each caller waits for */
  const openOf = new Map<string, number>()
  let openOfAll = 0
  const isCrowding = (name: string) => {
    const own = openOf.get(name) ?? 0
    const others = openOfAll - own
    return own > OPEN_LIGHT_MAX && others > 0 && own > others
  }
  const running = new Set<Running>()
  /** A clock that advances as fast as each statement would, if PostgreSQL had one core for all of them. */
  let sharedMs = 0
  let sharedAtMs = now()
  const passShared = (nowMs: number) => {
    sharedMs += (nowMs - sharedAtMs) / Math.max(running.size, 1)
    sharedAtMs = nowMs
  }

  const add = (name: string, ms: number) => {
    const nowMs = now()
    const caller = callers.get(name) ?? { workMs: 0, atMs: nowMs, typicalMs: undefined, sinceMs: nowMs }
    caller.workMs = caller.workMs * Math.exp((caller.atMs - nowMs) / MEMORY_MS) + ms
    caller.atMs = nowMs
    callers.delete(name)
    callers.set(name, caller)
    if (callers.size > CALLERS_MAX) callers.delete(callers.keys().next().value!)
    return caller
  }
  /** Distinguishes large statements from others: computed once for several statements. */
  const sizes = () => {
    let [leastMs, secondMs, whose] = [Infinity, Infinity, '']
    for (const [name, { typicalMs = Infinity }] of callers) {
      if (typicalMs >= secondMs) continue
      if (typicalMs >= leastMs) secondMs = typicalMs
      else [leastMs, secondMs, whose] = [typicalMs, leastMs, name]
    }
    return {
      isLarge (name: string, tookMs: number) {
        const othersMs = name === whose ? secondMs : leastMs
        return tookMs >= LARGE_MIN_MS && (othersMs === Infinity || tookMs > LARGE_RATIO * othersMs)
      }
    }
  }
  const look = (nowMs: number) => {
    for (const { caller } of running) add(caller, 0) // it is active as long as its statements are in progress
    for (const [name, { atMs }] of callers) {
      if (nowMs - atMs <= BESIDE_MS) break
      callers.delete(name)
    }
    passShared(nowMs)
    const underWayMs = new Map<string, number>()
    const { isLarge } = sizes()
    for (const { caller, sinceMs, fromMs } of running) {
      if (isLarge(caller, nowMs - sinceMs)) underWayMs.set(caller, (underWayMs.get(caller) ?? 0) + sharedMs - fromMs)
    }
    const rates = [...callers].map(([name, it]) => ({ name, rate: rateOf(it, nowMs, underWayMs.get(name)) }))
    const mean = rates.reduce((sum, it) => sum + it.rate, 0) / rates.length
    const isLoopBusy = isBusy()
    const leastRate = Math.max(HEAVY_MIN, fairShare(rates.map(it => it.rate), FAIR_PART))
    const isTooMuch = (name: string, rate: number) => isLoopBusy && heavy.has(name)
      ? rate > HEAVY_PART_BUSY * mean
      : rate > leastRate && rate > HEAVY_PART * mean
    heavy = new Set(rates.filter(({ name, rate }) => isTooMuch(name, rate)).map(({ name }) => name))
  }
  return {
    ask: caller => { add(caller, 0) },
    open (caller) {
      openOf.set(caller, (openOf.get(caller) ?? 0) + 1)
      openOfAll++
    },
    close (caller) {
      const left = openOf.get(caller)! - 1
      if (left === 0) openOf.delete(caller)
      else openOf.set(caller, left)
      openOfAll--
    },
    compute: (caller, ms) => { add(caller, ms) },
    begin (name) {
      const sinceMs = now()
      passShared(sinceMs)
      const it: Running = { caller: name, sinceMs, fromMs: sharedMs }
      running.add(it)
      return {
        end (rows) {
          const tookMs = now() - sinceMs
          passShared(sinceMs + tookMs)
          running.delete(it)
          const leastMs = STATEMENT_MS + rows * ROW_MS
          const isLarge = tookMs >= LARGE_MIN_MS && sizes().isLarge(name, tookMs)
          const caller = add(name, isLarge ? Math.max(leastMs, sharedMs - it.fromMs) : leastMs)
          caller.typicalMs = caller.typicalMs === undefined
            ? tookMs
            : caller.typicalMs + (tookMs - caller.typicalMs) * TYPICAL_WEIGHT
        }
      }
    },
    isHeavy (caller) {
      const nowMs = now()
      if (nowMs - lookedAtMs >= LOOK_INTERVAL_MS) {
        lookedAtMs = nowMs
        look(nowMs)
      }
      return heavy.has(caller) || isCrowding(caller)
    }
  }
}

/**
 * The max-min fair share: what callers with less leave is divided among the others (Bertsekas and Gallager, "Data
 * networks", 1992).
 * @returns the most that one may have; Infinity if all together have less than the capacity
 */
function fairShare (rates: readonly number[], capacity: number): number {
  let left = capacity
  for (const [index, rate] of rates.toSorted((a, b) => a - b).entries()) {
    const equal = left / (rates.length - index)
    if (rate > equal) return equal
    left -= rate
  }
  return Infinity
}

/** Work per time: 1 is a core. */
function rateOf ({ workMs, atMs, sinceMs }: Caller, nowMs: number, underWayMs = 0): number {
  const ageMs = Math.max(nowMs - sinceMs, AGE_MIN_MS)
  return (workMs * Math.exp((atMs - nowMs) / MEMORY_MS) + underWayMs) / (MEMORY_MS * (1 - Math.exp(-ageMs / MEMORY_MS)))
}

/** The event loop is busy when it computes for more than this part of the time. */
const BUSY = 0.7
const BUSY_INTERVAL_MS = 50

/** @returns whether the event loop of this thread was busy most of the last BUSY_INTERVAL_MS */
export function watchLoop (): () => boolean {
  let last = performance.eventLoopUtilization()
  let lastMs = performance.now()
  let isBusy = false
  return () => {
    const nowMs = performance.now()
    if (nowMs - lastMs < BUSY_INTERVAL_MS) return isBusy
    const current = performance.eventLoopUtilization()
    isBusy = performance.eventLoopUtilization(current, last).utilization > BUSY
    last = current
    lastMs = nowMs
    return isBusy
  }
}
