/**
 * Turns of the event loop: long computation is done in pieces of a few ms, so that new requests wait for a few pieces
 * and not for all. Answers wait by rank:
 *
 *     short   callers in rotation ──┐
 *     heavy   callers in rotation ──┼──▶ one turn: several pieces of a rank, up to the time of a piece in total; of
 *     long    callers in rotation ──┘    long answers, one piece. The rank that was passed over most comes first after
 *                                        three turns, if its rest is over
 *
 * Most pieces take far less than the time of a piece. If each had its own turn, fifty of them would wait for fifty
 * turns, and for everything that the loop does in between.
 *
 * An answer is a few statements, one after the other. Each needs turns of the loop that are not counted here. So a rank
 * leaves the loop most of the time while an answer of a lower rank is in progress: it rests after each turn.
 *
 * Heavy callers have a rank of their own, because a caller may be heavy only because the others ask for little. Its
 * short answers still come before somebody's long one.
 *
 * Source: multilevel queues, Corbato, Daggett and Daley, "An experimental time-sharing system" (1962).
 */
import { createRotation } from './rotation.ts'

/** Ranks of answers: short ones come first, then those of heavy callers, then long ones. */
export const SHORT = 0
export const HEAVY = 1
export const LONG = 2
export type Rank = typeof SHORT | typeof HEAVY | typeof LONG

const RANKS: readonly Rank[] = [SHORT, HEAVY, LONG]

export interface ComputeTurns {
  /** @param rank the lowest rank of the answers in progress, waiting here or elsewhere; undefined: there are none */
  leaveTimeFor (rank: () => Rank | undefined): void
  /**
   * Waits until the caller may compute for a few ms.
   * @param leastMs least time of the event loop that it will need, in this turn or later
   * @throws the reason of the signal
   */
  take (caller: string, rank: Rank, signal?: AbortSignal, leastMs?: number): Promise<void>
  /**
   * Whether everything that was computed in this turn of the loop took the time of a piece together. Answers that wait
   * for the same event, such as a batch of statements, continue in one turn. With a piece each, 40 of them would stop
   * the loop for 40 pieces.
   */
  isSpent (nowMs: number): boolean
}

/** Computing time between two turns of the event loop. */
export const PIECE_MS = 4
/** most turns of lower ranks in a row while a higher one waits */
const PASSED_OVER_MAX = 3
/** The rest after a turn, as a multiple of it: so the rank gets a quarter of the time. */
const REST_RATIO = 3
const PIECE_MAX_MS = 10
/** Answers come one after the other: those of a rank count as present for this time after the last one. */
const BESIDE_MS = 50

interface Waiting {
  readonly go: () => void
  readonly leastMs: number
}

/** @param now monotonic clock, ms */
export function createComputeTurns (now = () => performance.now()): ComputeTurns {
  let lowestUnderWay: () => Rank | undefined = () => undefined
  const queues = RANKS.map(() => createRotation<Waiting>())
  /** how many turns of lower ranks each has waited for */
  const passedOver = RANKS.map(() => 0)
  /** when an answer of each was seen last */
  const seenMs = RANKS.map(() => -Infinity)
  const restUntilMs = RANKS.map(() => -Infinity)
  /** since when answers compute in this turn of the loop */
  let beganMs: number | undefined
  let scheduled: NodeJS.Immediate | undefined
  let resting: NodeJS.Timeout | undefined

  const waiting = () => RANKS.filter(rank => queues[rank].size > 0)
  /** Looks at the answers in progress once, for all ranks: there may be many. */
  const look = () => {
    const nowMs = now()
    const lowest = lowestUnderWay()
    if (lowest !== undefined) seenMs[lowest] = nowMs
    const isBeside = (other: Rank, rank: Rank) => other < rank && nowMs - seenMs[other] < BESIDE_MS
    return {
      restMs (rank: Rank) {
        // beside short answers, the others share one rest
        if (isBeside(SHORT, rank)) return Math.max(restUntilMs[HEAVY], restUntilMs[LONG]) - nowMs
        return isBeside(HEAVY, rank) ? restUntilMs[LONG] - nowMs : 0
      }
    }
  }
  const isSpent = (nowMs: number) => nowMs - beganMs! >= PIECE_MS
  const end = () => {
    beganMs = undefined
    schedule()
  }
  const runTurn = (rank: Rank) => {
    const queue = queues[rank]
    let neededMs = 0
    const goOn = () => {
      const next = queue.next()!
      neededMs += next.leastMs
      next.go()
      const hasTime = rank !== LONG && neededMs < PIECE_MS
      afterPromises(() => {
        if (hasTime && queue.size > 0 && !isSpent(now())) return goOn()
        const turnMs = Math.min(Math.max(now() - beganMs!, neededMs), PIECE_MAX_MS)
        restUntilMs[rank] = now() + REST_RATIO * turnMs
        end()
      })
    }
    goOn()
  }
  const run = () => {
    scheduled = resting = undefined
    beganMs = now()
    const { restMs } = look()
    const ready = waiting().filter(rank => restMs(rank) <= 0)
    const due = ready.filter(rank => passedOver[rank] >= PASSED_OVER_MAX)
    const rank = due.sort((a, b) => passedOver[b] - passedOver[a]).at(0) ?? ready.at(0)
    if (rank === undefined) return end()
    for (const it of RANKS) {
      if (it === rank || queues[it].size === 0) passedOver[it] = 0
      else if (it > rank) passedOver[it]++
    }
    runTurn(rank)
  }
  const schedule = () => {
    if (scheduled !== undefined || waiting().length === 0) return
    clearTimeout(resting)
    const waitMs = queues[SHORT].size > 0 ? 0 : Math.min(...waiting().map(look().restMs))
    if (waitMs > 0) resting = setTimeout(run, waitMs)
    else scheduled = setImmediate(run)
  }

  return {
    leaveTimeFor (rank) { lowestUnderWay = rank },
    async take (caller, rank, signal, leastMs = 0) {
      signal?.throwIfAborted()
      await new Promise<void>(resolve => {
        queues[rank].add(caller, { go: resolve, leastMs })
        schedule()
      })
      signal?.throwIfAborted()
    },
    isSpent (nowMs) {
      if (beganMs === undefined) {
        beganMs = nowMs
        setImmediate(() => { beganMs = undefined })
      }
      return isSpent(nowMs)
    }
  }
}

/** Calls it after all resolved promises have continued, in the same turn of the loop: ticks run after promises. */
function afterPromises (act: () => void): void { queueMicrotask(() => process.nextTick(act)) }
