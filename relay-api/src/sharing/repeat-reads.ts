/**
 * Repeats reads after a lost connection, on another one: reading twice is harmless. A budget prevents that a failing
 * server gets twice the load: a retry costs one, and ten successful reads earn one.
 */
import { Counter, isConnectionError, type Database, type ForWhom, type Registry } from 'relay-common'

export interface RetryBudget {
  /** A read succeeded. */
  earn (): void
  /** @returns false: the budget is empty */
  spend (): boolean
}

const RETRIES_MAX = 10
const EARNED_PER_READ = 0.1

export function createRetryBudget (metrics: Registry): RetryBudget {
  const retries = new Counter({
    name: 'relay_api_retries_total',
    help: 'Reads repeated because their connection was lost',
    registers: [metrics]
  })
  let left = RETRIES_MAX
  return {
    earn () { left = Math.min(left + EARNED_PER_READ, RETRIES_MAX) },
    spend () {
      if (left < 1) return false
      left--
      retries.inc()
      return true
    }
  }
}

/** @param database only used for reads */
export function repeatReads (database: Database, budget: RetryBudget): Database {
  const read = async <T>(ask: () => Promise<T>, whom: ForWhom | undefined, mayAgain = () => true): Promise<T> => {
    try {
      const result = await ask()
      budget.earn()
      return result
    } catch (error) {
      if (!wasCut(error) || whom?.signal?.aborted || !mayAgain() || !budget.spend()) throw error
      return await ask()
    }
  }
  return {
    ...database,
    query: (sql, values, whom) => read(() => database.query(sql, values, whom), whom),
    queryPrepared: (name, sql, values, whom) => read(() => database.queryPrepared(name, sql, values, whom), whom),
    streamPrepared (name, sql, values, visit, whom) {
      let isShown = false
      return read(() => database.streamPrepared(name, sql, values, row => {
        isShown = true
        visit(row)
      }, whom), whom, () => !isShown) // visited rows can't be taken back
    }
  }
}

/** A lost connection, in contrast to one that failed to open or timed out, where another would not help. */
function wasCut (error: unknown): boolean {
  return isConnectionError(error) && (error as { code?: string }).code !== 'ETIMEDOUT'
}
