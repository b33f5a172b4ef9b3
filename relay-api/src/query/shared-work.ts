/** Work that several wait for: it ends when none of them is left, and one that leaves is not waited for by the others. */

export interface SharedWork<T> {
  /** all who waited have gone: nobody may join any more */
  readonly isLeft: boolean
  /** Waits for it as well. @throws what it throws; the reason of the signal */
  join (signal: AbortSignal | undefined): Promise<T>
}

/** @param start begins at once; its signal ends it */
export function shareWork<T> (start: (signal: AbortSignal) => Promise<T>): SharedWork<T> {
  const left = new AbortController()
  const done = start(left.signal)
  done.catch(() => {}) // heard by those who wait, unless all have gone
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
