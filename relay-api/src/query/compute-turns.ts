/**
 * Turns of the event loop: answers that need long computation do it in pieces of a few ms, one piece a turn, so that
 * whatever comes meanwhile waits for one piece and not for all of them.
 *
 *     short answers, callers in rotation ──┐
 *                                          ├──▶ one piece a turn; of four turns, one at least is of a long answer
 *     long answers, callers in rotation ───┘    beside short answers, a rest after each piece of a long one
 *
 * A short answer is a few statements one after the other. Each of them needs turns of the loop that nobody sees here,
 * so long answers leave it most of the time while a short one is under way.
 */
import { createRotation } from './rotation.ts'

export interface ComputeTurns {
  /** Waits until the caller may compute for a few ms. @throws the reason of the signal */
  take (caller: string, isLong: boolean, signal?: AbortSignal): Promise<void>
}

/** so many turns in a row are of short answers at most, where a long one waits */
const SHORT_IN_A_ROW_MAX = 3
/** A piece of a long answer is followed by a rest so many times as long, which leaves it a quarter of the time. */
const REST_RATIO = 3
const PIECE_MAX_MS = 10

interface Waiting {
  readonly go: () => void
}

/**
 * @param isShortUnderWay whether there is an answer that is not long, waiting here or elsewhere
 * @param now ms of a clock that only goes on
 */
export function createComputeTurns (isShortUnderWay: () => boolean, now = () => performance.now()): ComputeTurns {
  const short = createRotation<Waiting>()
  const long = createRotation<Waiting>()
  let shortInARow = 0
  let longFromMs = -Infinity
  let longBeganMs: number | undefined
  let scheduled: NodeJS.Immediate | undefined
  let resting: NodeJS.Timeout | undefined

  const restMs = () => isShortUnderWay() ? longFromMs - now() : 0
  const next = (): Waiting | undefined => {
    const isLongsTurn = long.size > 0 && restMs() <= 0 && (short.size === 0 || shortInARow >= SHORT_IN_A_ROW_MAX)
    shortInARow = isLongsTurn ? 0 : shortInARow + 1
    if (!isLongsTurn) return short.next()
    longBeganMs = now()
    return long.next()
  }
  const endLong = () => {
    if (longBeganMs === undefined) return
    longFromMs = now() + REST_RATIO * Math.min(now() - longBeganMs, PIECE_MAX_MS)
    longBeganMs = undefined
  }
  const run = () => {
    scheduled = resting = undefined
    endLong()
    next()?.go()
    schedule()
  }
  const schedule = () => {
    if (scheduled !== undefined || short.size + long.size === 0) return
    clearTimeout(resting)
    const waitMs = short.size > 0 ? 0 : restMs()
    if (waitMs > 0) resting = setTimeout(run, waitMs)
    else scheduled = setImmediate(run)
  }

  return {
    async take (caller, isLong, signal) {
      signal?.throwIfAborted()
      await new Promise<void>(resolve => {
        (isLong ? long : short).add(caller, { go: resolve })
        schedule()
      })
      signal?.throwIfAborted()
    }
  }
}
