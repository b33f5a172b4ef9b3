/**
 * The current history of the database. Positions, cached rows and ids of series belong to one history. After a restore,
 * a restart or a replacement of the server there is another (migration 0021), and caches are dropped.
 *
 * Code that caches something reads the id in the same statement, because only that is of the same moment.
 */
import { Counter, type Database, type Logger, type Registry } from 'relay-common'

/** For statements: id of the history of their rows; null: it has none yet, and nothing may be cached. */
export const CURRENT_HISTORY = '(select history_id from current_history)'

export interface DatabaseHistory {
  /** Reports the history of a statement. */
  note (historyId: string | null): void
  /** Assigns an id to a history without one. */
  ensure (): Promise<void>
}

/** Retry interval after a failure (a role without permission, or a standby in place of the primary). */
const ENSURE_AGAIN_MS = 5_000

export function watchHistory (database: Database, metrics: Registry, log: Logger): DatabaseHistory {
  const changes = new Counter({
    name: 'relay_api_history_changes_total',
    help: 'Restores, restarts and failovers of the database that emptied the caches',
    registers: [metrics]
  })
  let known: string | undefined
  let ensuring: Promise<void> | undefined

  const ensure = async () => {
    try {
      await database.query('select ensure_history()')
      ensuring = undefined
    } catch (error) {
      log.warn({ err: error }, 'could not identify the history of the database: nothing is cached')
      setTimeout(() => { ensuring = undefined }, ENSURE_AGAIN_MS).unref()
    }
  }
  const history: DatabaseHistory = {
    note (historyId) {
      if (historyId === null) {
        history.ensure()
        return
      }
      if (known !== undefined && known !== historyId) {
        changes.inc()
        log.warn({ before: known, now: historyId },
          'the database was restored, restarted or replaced: caches are emptied')
      }
      known = historyId
    },
    ensure: () => (ensuring ??= ensure())
  }
  return history
}
