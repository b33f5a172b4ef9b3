/** Shares reads of several answers of a caller at one moment: retention, progress, the same panel on many screens. */
import { setImmediate as nextTurn } from 'node:timers/promises'

import type { Database, ForWhom } from 'relay-common'

import { shareWork, type SharedWork } from './shared-work.ts'

/**
 * A database whose prepared statements with equal name and values in one turn of the event loop share a result. It is
 * as new as separate results, because nothing is sent before the turn ends. A statement is cancelled when all its
 * callers have left.
 * @param database whose prepared statements only read; do not change their rows
 */
export function onceATurn (database: Database): Database {
  const open = new Map<string, SharedWork<unknown[]>>()
  return {
    ...database,
    queryPrepared<R> (name: string, sql: string, values?: unknown[], whom?: ForWhom): Promise<R[]> {
      const key = JSON.stringify([name, whom?.caller, values]) // each caller waits for its own share of the connections
      let asked = open.get(key)
      if (asked === undefined || asked.isLeft) {
        const own: SharedWork<unknown[]> = asked = shareWork(async signal => {
          await nextTurn()
          if (open.get(key) === own) open.delete(key)
          return await database.queryPrepared(name, sql, values, { ...whom, isLong: whom?.isLong, signal })
        })
        open.set(key, asked)
      }
      return asked.join(whom?.signal) as Promise<R[]>
    }
  }
}
