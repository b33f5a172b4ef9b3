import { fileURLToPath } from 'node:url'
import { runner } from 'node-pg-migrate'

import type { Database } from './database.ts'
import { RelayError } from './errors.ts'
import type { Logger } from './log.ts'

const migrationsDir = fileURLToPath(new URL('../migrations', import.meta.url))

/**
 * Brings the schema up to date. Safe when several programs start at once: the first one works, the others wait for its
 * lock and then find nothing to do. All steps are one transaction: a step that fails leaves the schema as it was.
 * @returns the names of the steps that were taken, e.g. `0001-series`
 * @throws RelayError RELAY_MIGRATION_FAILED
 */
export async function migrate (database: Database, log: Logger): Promise<string[]> {
  const client = await database.connect()
  let broken = false
  try {
    const taken = await runner({
      dbClient: client,
      dir: migrationsDir,
      direction: 'up',
      migrationsTable: 'migrations',
      advisoryLockMode: 'wait',
      singleTransaction: true,
      logger: {
        debug: () => {},
        info: () => {},
        warn: (text: string) => log.warn(text),
        error: (text: string) => log.error(text)
      }
    })
    if (taken.length > 0) log.info({ migrations: taken.map(it => it.name) }, 'database migrated')
    return taken.map(it => it.name)
  } catch (cause) {
    broken = true // also drops the session's lock
    throw new RelayError('RELAY_MIGRATION_FAILED', `the database could not be brought up to date: ${(cause as Error).message}`, { cause })
  } finally {
    client.release(broken)
  }
}
