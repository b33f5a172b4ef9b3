/** Ranking: the n best of any number of entries, of which no more than n are held. */

export interface Ranked {
  readonly key: string
  readonly value: number
}

export interface Ranking<T extends Ranked> {
  add (entry: T): void
  /** the best first; of equal values the one whose key comes first by its bytes */
  best (): T[]
}

export function createRanking<T extends Ranked> (limit: number, isHighestFirst: boolean): Ranking<T> {
  const held: T[] = [] // sorted; limits are small, so that moving the ones behind costs next to nothing
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
