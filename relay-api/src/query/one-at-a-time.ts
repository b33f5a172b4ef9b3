/** One at a time: work that would fill the event loop if much of it ran at once. Callers take turns. */
import { createRotation } from './rotation.ts'

export interface OneAtATime {
  /** Waits for a turn, and does the work. @throws the reason of the signal, and errors of the work */
  run<T> (caller: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T>
}

export function createOneAtATime (): OneAtATime {
  const waiting = createRotation<() => void>()
  let isTaken = false
  const turn = async (caller: string, signal: AbortSignal | undefined) => {
    signal?.throwIfAborted()
    if (!isTaken) {
      isTaken = true
      return
    }
    await new Promise<void>((resolve, reject) => {
      const go = () => {
        signal?.removeEventListener('abort', leave)
        resolve()
      }
      const leave = () => {
        waiting.remove(caller, go)
        reject(signal!.reason)
      }
      waiting.add(caller, go)
      signal?.addEventListener('abort', leave, { once: true })
    })
  }
  return {
    async run (caller, signal, work) {
      await turn(caller, signal)
      try {
        return await work()
      } finally {
        const next = waiting.next()
        if (next) next()
        else isTaken = false
      }
    }
  }
}
