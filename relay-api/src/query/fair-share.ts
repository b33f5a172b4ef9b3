/**
 * Fair share: who gets the connections of a pool. Whoever asks waits in a queue of its caller, and callers take turns.
 *
 *     a caller may hold more connections     while it holds fewer than SHARE times as many as then are free: 6 of 8 alone, 3
 *                                            each where two are greedy (dynamic thresholds, Choudhury and Hahne 1998). So there
 *                                            is one for whoever comes next
 *     long answers together                  a quarter, at least one: they wait for each other, and not others for them
 *
 * Statements that are for nobody, such as the look-up of a key, go past this; connections are left for them.
 */
import { RelayError, type Database, type ForWhom } from 'relay-common'

import { createRotation } from './rotation.ts'

const SHARE = 3
/** left for what is for nobody, of pools that have so many */
const LEFT_FOR_OTHERS = 2
const LONG_PART = 1 / 4

export interface ShareSettings {
  readonly DATABASE_POOL_MAX: number
  readonly DATABASE_CONNECT_TIMEOUT_MS: number
}

interface Waiting {
  readonly go: () => void
}

/** @returns a database whose statements wait for their caller's share */
export function fairShare (database: Database, settings: ShareSettings): Database {
  const shares = createShares(settings)
  const within = async <T>(whom: ForWhom | undefined, run: () => Promise<T>): Promise<T> => {
    if (whom?.caller === undefined) return await run()
    const { caller, isLong = false, signal } = whom // as it is now: a short answer may become a long one meanwhile
    await shares.take(caller, isLong, signal)
    try {
      return await run()
    } finally {
      shares.giveBack(caller, isLong)
    }
  }
  return {
    ...database,
    query: (sql, values, whom) => within(whom, () => database.query(sql, values, whom)),
    queryPrepared: (name, sql, values, whom) => within(whom, () => database.queryPrepared(name, sql, values, whom)),
    streamPrepared: (name, sql, values, visit, whom) =>
      within(whom, () => database.streamPrepared(name, sql, values, visit, whom))
  }
}

export interface Shares {
  /** Waits for a connection of a caller's share. @throws the reason of the signal; RelayError RELAY_DATABASE_UNREACHABLE */
  take (caller: string, isLong: boolean, signal?: AbortSignal): Promise<void>
  giveBack (caller: string, isLong: boolean): void
}

export function createShares ({ DATABASE_POOL_MAX: poolMax, DATABASE_CONNECT_TIMEOUT_MS: waitMaxMs }: ShareSettings): Shares {
  const max = poolMax > 2 * LEFT_FOR_OTHERS ? poolMax - LEFT_FOR_OTHERS : poolMax
  const longMax = Math.max(Math.floor(max * LONG_PART), 1)
  const held = new Map<string, number>()
  const short = createRotation<Waiting>()
  const long = createRotation<Waiting>()
  let free = max
  let longHeld = 0

  const mayHoldMore = (caller: string) => {
    const own = held.get(caller)
    return own === undefined || own < SHARE * (free - 1) // the last one is for somebody who has none
  }
  const hold = (caller: string, isLong: boolean) => {
    free--
    if (isLong) longHeld++
    held.set(caller, (held.get(caller) ?? 0) + 1)
  }
  const handOut = () => {
    for (;;) {
      if (free === 0) return
      const next = short.next(mayHoldMore) ?? (longHeld < longMax ? long.next(mayHoldMore) : undefined)
      if (next === undefined) return
      next.go()
    }
  }

  return {
    async take (caller, isLong, signal) {
      signal?.throwIfAborted()
      const queue = isLong ? long : short
      if (queue.size === 0 && free > 0 && mayHoldMore(caller) && (!isLong || longHeld < longMax)) return hold(caller, isLong)
      let timer: NodeJS.Timeout | undefined
      let onAbort: (() => void) | undefined
      try {
        await new Promise<void>((resolve, reject) => {
          const waiting = {
            go: () => {
              hold(caller, isLong)
              resolve()
            }
          }
          queue.add(caller, waiting)
          handOut()
          onAbort = () => {
            queue.remove(caller, waiting)
            reject(signal!.reason)
          }
          signal?.addEventListener('abort', onAbort, { once: true })
          if (isLong) return // it is its deadline that ends it
          timer = setTimeout(() => {
            queue.remove(caller, waiting)
            reject(new RelayError('RELAY_DATABASE_UNREACHABLE',
              `no connection was free for ${waitMaxMs} ms: others of this caller, or of many, hold them`))
          }, waitMaxMs)
        })
      } finally {
        clearTimeout(timer)
        if (onAbort) signal?.removeEventListener('abort', onAbort)
      }
    },
    giveBack (caller, isLong) {
      free++
      if (isLong) longHeld--
      const left = held.get(caller)! - 1
      if (left > 0) held.set(caller, left)
      else held.delete(caller)
      handOut()
    }
  }
}
