/** Rotation: waiting entries by caller. Callers take turns, and each has its own entries in order. */

export interface Rotation<T> {
  readonly size: number
  add (caller: string, waiting: T): void
  /** Removes one that no longer waits. */
  remove (caller: string, waiting: T): void
  /** Takes the first entry of the next caller that may go. @param mayGo whether a caller may */
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
