/**
 * Turns of the event loop: long computation is done in pieces of a few ms, so that new requests wait for a few pieces
 * and not for all.
 *
 *     short answers, callers in rotation ──┐   one turn: several short pieces, up to the time of a piece in total,
 *                                          ├──▶ or one piece of a long answer: at least every fourth turn
 *     long answers, callers in rotation ───┘    while there are short answers, a rest follows each long piece
 *
 * Most pieces of short answers take far less than the time of a piece. If each had its own turn, fifty of them would
 * wait for fifty turns, and for everything that the loop does in between.
 *
 * A short answer is a few statements, one after the other. Each needs turns of the loop that are not counted here. So
 * long answers leave the loop most of the time while a short one is in progress.
 */
import { createRotation } from './rotation.ts'

export interface ComputeTurns {
  /** @param isShortUnderWay whether a short answer is in progress, waiting here or elsewhere */
  leaveTimeFor (isShortUnderWay: () => boolean): void
  /**
   * Waits until the caller may compute for a few ms.
   * @param leastMs least time of the event loop that it will need, in this turn or later
   * @throws the reason of the signal
   */
  take (caller: string, isLong: boolean, signal?: AbortSignal, leastMs?: number): Promise<void>
  /**
   * Whether everything that was computed in this turn of the loop took the time of a piece together. Answers that wait
   * for the same event, such as a batch of statements, continue in one turn. With a piece each, 40 of them would stop
   * the loop for 40 pieces.
   */
  isSpent (nowMs: number): boolean
}

/** Computing time between two turns of the event loop. */
export const PIECE_MS = 4
/** most turns of short answers in a row while a long one waits */
const SHORT_IN_A_ROW_MAX = 3
/** The rest after a piece of a long answer, as a multiple of it: so it gets a quarter of the time. */
const REST_RATIO = 3
const PIECE_MAX_MS = 10
/** Short answers come one after the other: they count as present for this time after the last one. */
const BESIDE_MS = 50

interface Waiting {
  readonly go: () => void
  readonly leastMs: number
}

/** @param now monotonic clock, ms */
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

/** Calls it after all resolved promises have continued, in the same turn of the loop: ticks run after promises. */
function afterPromises (act: () => void): void { queueMicrotask(() => process.nextTick(act)) }
