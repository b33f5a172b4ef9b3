/** What several answers want to know of one moment - retention, progress, the same panel on many screens - is asked once. */
import { setImmediate as nextTurn } from 'node:timers/promises'

import type { Database } from 'relay-common'

/**
 * A database whose prepared statements, where they are the same in name and values and come in one turn of the event
 * loop, share one answer. It is as new as if each had asked for itself: nothing is asked before the turn is over.
 * @param database whose prepared statements only read; their rows are not to be changed
 */
export function onceATurn (database: Database): Database {
  const open = new Map<string, Promise<unknown[]>>()
  return {
    ...database,
    queryPrepared<R> (name: string, sql: string, values?: unknown[]): Promise<R[]> {
      const key = JSON.stringify([name, values])
      let asked = open.get(key)
      if (asked === undefined) {
        asked = nextTurn().then(() => {
          open.delete(key)
          return database.queryPrepared(name, sql, values)
        })
        open.set(key, asked)
      }
      return asked as Promise<R[]>
    }
  }
}
