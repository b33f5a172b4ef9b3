/** Ranking: the n best of any number of entries, holding at most n. */

export interface Ranked {
  readonly key: string
  readonly value: number
}

export interface Ranking<T extends Ranked> {
  add (entry: T): void
  /** the best first; equal values by the bytes of their keys */
  best (): T[]
}

export function createRanking<T extends Ranked> (limit: number, isHighestFirst: boolean): Ranking<T> {
  const held: T[] = [] // sorted; limits are small, so inserting costs almost nothing
  const isBefore = (a: T, b: T) => a.value === b.value
    ? Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)) < 0
    : isHighestFirst ? a.value > b.value : a.value < b.value
  return {
    add (entry) {
      if (held.length === limit && !isBefore(entry, held[limit - 1])) return
      let low = 0
      for (let high = held.length; low < high;) {
        const middle = (low + high) >>> 1
        if (isBefore(held[middle], entry)) low = middle + 1
        else high = middle
      }
      held.splice(low, 0, entry)
      held.length = Math.min(held.length, limit)
    },
    best: () => held
  }
}
