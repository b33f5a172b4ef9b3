/** What several answers of a caller want to know of one moment - retention, progress, the same panel on many screens - is asked once. */
import { setImmediate as nextTurn } from 'node:timers/promises'

import type { Database, ForWhom } from 'relay-common'

import { shareWork, type SharedWork } from './shared-work.ts'

/**
 * A database whose prepared statements, where they are the same in name and values and come in one turn of the event
 * loop, share one answer. It is as new as if each had asked for itself: nothing is asked before the turn is over. The
 * statement is cancelled when all who share it have gone.
 * @param database whose prepared statements only read; their rows are not to be changed
 */
export function onceATurn (database: Database): Database {
  const open = new Map<string, SharedWork<unknown[]>>()
  return {
    ...database,
    queryPrepared<R> (name: string, sql: string, values?: unknown[], whom?: ForWhom): Promise<R[]> {
      const key = JSON.stringify([name, whom?.caller, values]) // each caller's waits for its own share of the connections
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
