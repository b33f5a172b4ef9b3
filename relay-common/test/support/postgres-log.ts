import { openDatabase, type DatabaseSettings } from '../../src/database.ts'
import type { EventLog } from '../../src/event-log/port.ts'
import { openPostgresEventLog } from '../../src/event-log/postgres.ts'
import type { Logger } from '../../src/log.ts'

/** The event log in a database of which only the settings are known; closes both. */
export async function openPostgresLog (settings: DatabaseSettings, log: Logger): Promise<EventLog> {
  const database = await openDatabase(settings, 'event-log-test', log)
  const eventLog = await openPostgresEventLog(database, settings, log)
  return {
    ...eventLog,
    async close () {
      await eventLog.close()
      await database.close()
    }
  }
}
