/**
 * Turns of the event loop: answers that need long computation do it in pieces of a few ms, one piece a turn, so that
 * whatever comes meanwhile waits for one piece and not for all of them.
 *
 *     short answers, callers in rotation ──┐
 *                                          ├──▶ one piece a turn; of four turns, one at least is of a long answer
 *     long answers, callers in rotation ───┘
 */
import { createRotation } from './rotation.ts'

export interface Turns {
  /** Waits until the caller may compute for a few ms. @throws the reason of the signal */
  take (caller: string, isLong: boolean, signal?: AbortSignal): Promise<void>
}

/** so many turns in a row are of short answers at most, where a long one waits */
const SHORT_IN_A_ROW_MAX = 3

interface Waiting {
  readonly go: () => void
}

export function createTurns (): Turns {
  const short = createRotation<Waiting>()
  const long = createRotation<Waiting>()
  let shortInARow = 0
  let isScheduled = false

  const next = (): Waiting | undefined => {
    const isShort = long.size === 0 || (short.size > 0 && shortInARow < SHORT_IN_A_ROW_MAX)
    shortInARow = isShort ? shortInARow + 1 : 0
    return isShort ? short.next() : long.next()
  }
  const schedule = () => {
    if (isScheduled || short.size + long.size === 0) return
    isScheduled = true
    setImmediate(() => {
      isScheduled = false
      next()?.go()
      schedule()
    })
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
