/** Work with several waiting callers: it ends when all have left, and others do not wait for one that leaves. */

export interface SharedWork<T> {
  /** all callers have left: nobody may join any more */
  readonly isLeft: boolean
  /** Waits for the work too. @throws the error of the work, or the reason of `signal` if that aborts first */
  join (signal: AbortSignal | undefined): Promise<T>
}

/** @param start starts at once; its signal ends it */
export function shareWork<T> (start: (signal: AbortSignal) => Promise<T>): SharedWork<T> {
  const left = new AbortController()
  const done = start(left.signal)
  done.catch(() => {}) // handled by those who wait, unless all have left
  let waiting = 0
  return {
    get isLeft () { return left.signal.aborted },
    async join (signal) {
      signal?.throwIfAborted()
      waiting++
      if (signal === undefined) return await done // it stays to the end
      let leave: (() => void) | undefined
      const gone = new Promise<never>((_resolve, reject) => {
        leave = () => {
          if (--waiting === 0) left.abort(signal.reason)
          reject(signal.reason)
        }
        signal.addEventListener('abort', leave, { once: true })
      })
      try {
        return await Promise.race([done, gone])
      } finally {
        signal.removeEventListener('abort', leave!)
      }
    }
  }
}
