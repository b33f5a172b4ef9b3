/** Counts per key in windows of time, in memory. */
import { LruMap } from 'toad-cache'

export interface WindowCount {
  readonly count: number
  /** until the window of this key ends, rounded up */
  readonly endsInS: number
}

export interface WindowCounter {
  add (key: string): WindowCount
  read (key: string): WindowCount
  /** Takes over a higher count from elsewhere. */
  raise (key: string, count: number, endsInS: number): void
}

/** Keys that one process remembers; beyond that it forgets the one that was quiet for longest. */
export const KEYS_KEPT_MAX = 20_000

/** @param now monotonic, ms */
export function createWindowCounter (
  windowMs: number, keptMax = KEYS_KEPT_MAX, now: () => number = () => performance.now()
): WindowCounter {
  const windows = new LruMap<{ count: number, endMs: number }>(keptMax)
  const find = (key: string) => {
    const window = windows.get(key)
    return window !== undefined && window.endMs > now() ? window : undefined
  }
  const countOf = (window: { readonly count: number, readonly endMs: number } | undefined): WindowCount =>
    ({ count: window?.count ?? 0, endsInS: window === undefined ? 0 : Math.ceil((window.endMs - now()) / 1000) })
  return {
    add (key) {
      let window = find(key)
      if (window === undefined) windows.set(key, window = { count: 0, endMs: now() + windowMs })
      window.count++
      return countOf(window)
    },
    read: key => countOf(find(key)),
    raise (key, count, endsInS) {
      const window = find(key)
      if (window !== undefined && window.count >= count) return
      windows.set(key, { count, endMs: now() + endsInS * 1000 })
    }
  }
}
