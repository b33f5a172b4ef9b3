/** Rotation: what waits, by caller. Callers take turns, and each of them has its own in the order of coming. */

export interface Rotation<T> {
  readonly size: number
  add (caller: string, waiting: T): void
  /** Takes one out that no longer waits. */
  remove (caller: string, waiting: T): void
  /** The first one of the caller whose turn it is, of those that may go; it is out then. @param mayGo whether a caller may */
  next (mayGo?: (caller: string) => boolean): T | undefined
}

export function createRotation<T> (): Rotation<T> {
  /** in the order of turns */
  const callers = new Map<string, Set<T>>()
  let size = 0
  return {
    get size () { return size },
    add (caller, waiting) {
      const own = callers.get(caller) ?? new Set()
      callers.set(caller, own.add(waiting))
      size++
    },
    remove (caller, waiting) {
      const own = callers.get(caller)
      if (!own?.delete(waiting)) return
      size--
      if (own.size === 0) callers.delete(caller)
    },
    next (mayGo = () => true) {
      for (const [caller, own] of callers) {
        if (!mayGo(caller)) continue
        const [first] = own
        own.delete(first)
        size--
        callers.delete(caller)
        if (own.size > 0) callers.set(caller, own) // behind all others
        return first
      }
      return undefined
    }
  }
}
