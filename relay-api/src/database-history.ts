/**
 * Which history of the database we are in. Positions, rows in memory and ids of series belong to one; after a restore, a
 * restart, or with another server in its place there is another (migration 0021), and what is remembered is dropped.
 *
 * Whoever remembers something asks for the name in the same statement: only so it is of the same moment.
 */
import { Counter, type Database, type Logger, type Registry } from 'relay-common'

/** Of a statement: the name of the history that its rows are of; null: it has none yet, and nothing may be remembered. */
export const CURRENT_HISTORY = '(select history_id from current_history)'

export interface DatabaseHistory {
  /** Hears which history a statement was in. */
  note (historyId: string | null): void
  /** Gives a history a name that has none. */
  ensure (): Promise<void>
}

/** Where that fails (a role that may not, a standby in the primary's place) it is tried again after this. */
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
