/**
 * Turns of the event loop: answers that need long computation do it in pieces of a few ms, so that whatever comes
 * meanwhile waits for some of them and not for all.
 *
 *     short answers, callers in rotation ──┐   a turn: short ones, one after the other, until a piece's time is over;
 *                                          ├──▶ or one piece of a long one. Of four turns, one at least is for these
 *     long answers, callers in rotation ───┘    beside short answers, a rest after each piece of a long one
 *
 * Most pieces of short answers take far less than the time of a piece. If each had a turn of its own, fifty of them
 * would wait for fifty turns, with whatever else the loop does in between.
 *
 * A short answer is a few statements one after the other. Each of them needs turns of the loop that nobody sees here,
 * so long answers leave it most of the time while a short one is under way.
 */
import { createRotation } from './rotation.ts'

export interface ComputeTurns {
  /** @param isShortUnderWay whether there is an answer that is not long, waiting here or elsewhere */
  leaveTimeFor (isShortUnderWay: () => boolean): void
  /**
   * Waits until the caller may compute for a few ms.
   * @param leastMs what it will take of the event loop at least, in this turn or later
   * @throws the reason of the signal
   */
  take (caller: string, isLong: boolean, signal?: AbortSignal, leastMs?: number): Promise<void>
  /**
   * Whether all that computes in this turn of the loop has taken the time of a piece together. Answers that wait for
   * the same thing, such as a batch of statements, go on in one turn: 40 of them with a piece each would stop the loop
   * for 40 pieces.
   */
  isSpent (nowMs: number): boolean
}

/** Computing time between two turns of the event loop. */
export const PIECE_MS = 4
/** so many turns in a row are of short answers at most, where a long one waits */
const SHORT_IN_A_ROW_MAX = 3
/** A piece of a long answer is followed by a rest so many times as long, which leaves it a quarter of the time. */
const REST_RATIO = 3
const PIECE_MAX_MS = 10
/** Short answers come one after the other: they are there for so long after the last one. */
const BESIDE_MS = 50

interface Waiting {
  readonly go: () => void
  readonly leastMs: number
}

/** @param now ms of a clock that only goes on */
export function createComputeTurns (now = () => performance.now()): ComputeTurns {
  let isShortUnderWay = () => false
  const short = createRotation<Waiting>()
  const long = createRotation<Waiting>()
  let shortInARow = 0
  let longFromMs = -Infinity
  let shortAtMs = -Infinity
  /** since when answers compute in this turn of the loop */
  let beganMs: number | undefined
  let scheduled: NodeJS.Immediate | undefined
  let resting: NodeJS.Timeout | undefined

  const isBesideShort = () => {
    if (isShortUnderWay()) shortAtMs = now()
    return now() - shortAtMs < BESIDE_MS
  }
  const restMs = () => isBesideShort() ? longFromMs - now() : 0
  const isSpent = (nowMs: number) => nowMs - beganMs! >= PIECE_MS
  const end = () => {
    beganMs = undefined
    schedule()
  }
  const runShort = () => {
    shortInARow++
    const goOn = () => {
      short.next()?.go()
      if (short.size > 0 && !isSpent(now())) afterPromises(goOn)
      else afterPromises(end)
    }
    goOn()
  }
  const runLong = () => {
    shortInARow = 0
    const { go, leastMs } = long.next()!
    go()
    afterPromises(() => {
      const pieceMs = Math.min(Math.max(now() - beganMs!, leastMs), PIECE_MAX_MS)
      longFromMs = now() + REST_RATIO * pieceMs
      end()
    })
  }
  const run = () => {
    scheduled = resting = undefined
    beganMs = now()
    const isLongsTurn = long.size > 0 && restMs() <= 0 && (short.size === 0 || shortInARow >= SHORT_IN_A_ROW_MAX)
    if (isLongsTurn) runLong()
    else runShort()
  }
  const schedule = () => {
    if (scheduled !== undefined || short.size + long.size === 0) return
    clearTimeout(resting)
    const waitMs = short.size > 0 ? 0 : restMs()
    if (waitMs > 0) resting = setTimeout(run, waitMs)
    else scheduled = setImmediate(run)
  }

  return {
    leaveTimeFor (it) { isShortUnderWay = it },
    async take (caller, isLong, signal, leastMs = 0) {
      signal?.throwIfAborted()
      await new Promise<void>(resolve => {
        (isLong ? long : short).add(caller, { go: resolve, leastMs })
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

/** Calls it when all that was resolved has gone on, in the same turn of the loop: ticks are run after promises. */
function afterPromises (act: () => void): void { queueMicrotask(() => process.nextTick(act)) }
