/** The budgets that open streams hold: one for each stream, and one for each query of a caller. */
import type { Budgets } from '../budgets/budgets.ts'

interface AskedQuery { streams: number, readonly held: Disposable }

export class StreamBudgets {
  readonly #budgets: Budgets
  /** by caller and query */
  readonly #asked = new Map<string, Map<string, AskedQuery>>()

  constructor (budgets: Budgets) {
    this.#budgets = budgets
  }

  /** @throws RelayError RELAY_BUDGET_EXCEEDED */
  hold (caller: string, query: string): Disposable {
    const stream = this.#budgets.hold('streams', caller)
    const queries = this.#asked.get(caller) ?? new Map<string, AskedQuery>()
    let asked = queries.get(query)
    if (asked === undefined) {
      try {
        asked = { streams: 0, held: this.#budgets.hold('streamViews', caller) }
      } catch (error) {
        stream[Symbol.dispose]()
        throw error
      }
      queries.set(query, asked)
      this.#asked.set(caller, queries)
    }
    const own = asked
    own.streams++
    return {
      [Symbol.dispose]: () => {
        stream[Symbol.dispose]()
        if (--own.streams > 0) return
        own.held[Symbol.dispose]()
        queries.delete(query)
        if (queries.size === 0) this.#asked.delete(caller)
      }
    }
  }
}
