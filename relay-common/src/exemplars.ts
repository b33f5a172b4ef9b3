/** Exemplars: the newest trace of each bucket of a histogram. They go with its values, also between threads. */

export type Labels = Readonly<Record<string, string | number>>

export interface Exemplar {
  readonly labelSet: { readonly trace_id: string }
  readonly value: number
  /** s since the epoch */
  readonly timestamp: number
}

/** One value of a metric, as the library has it. */
export interface Value {
  readonly labels: Labels
  readonly sharedLabels?: Labels
  readonly metricName?: string
  readonly exemplar?: Exemplar | undefined
}

export class Exemplars {
  /** upper bounds, ascending */
  readonly #buckets: readonly number[]
  /** by series and bucket */
  readonly #newest = new Map<string, Exemplar>()

  constructor (buckets: readonly number[]) {
    this.#buckets = buckets
  }

  note (labels: Labels, value: number, traceId: string): void {
    const le = this.#buckets.find(it => value <= it) ?? '+Inf'
    this.#newest.set(keyOf(labels, le), { labelSet: { trace_id: traceId }, value, timestamp: Date.now() / 1_000 })
  }

  /** The values of the histogram with their exemplars. */
  addTo<T extends Value> (values: readonly T[]): T[] {
    return values.map(it => {
      const { le, ...own } = it.labels
      if (le === undefined) return it
      return { ...it, exemplar: this.#newest.get(keyOf({ ...it.sharedLabels, ...own }, le)) }
    })
  }
}

/** Sums over threads with the newest of the threads' exemplars, which the library's sums lack. */
export function withNewestExemplars<T extends Value> (sums: readonly T[], ofThreads: readonly Value[]): T[] {
  const newest = new Map<string, Exemplar>()
  for (const { labels, metricName, exemplar } of ofThreads) {
    if (!exemplar) continue
    const key = keyOf(labels, metricName)
    if (exemplar.timestamp > (newest.get(key)?.timestamp ?? 0)) newest.set(key, exemplar)
  }
  if (newest.size === 0) return [...sums]
  return sums.map(it => ({ ...it, exemplar: newest.get(keyOf(it.labels, it.metricName)) }))
}

const keyOf = (labels: Labels, of: string | number = '') =>
  JSON.stringify([...Object.entries(labels).map(([name, value]) => [name, String(value)]).sort(), String(of)])
