import { readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

import { liftTimeLimits, type Database } from './database.ts'
import { RelayError } from './errors.ts'
import type { Logger } from './log.ts'

const migrationsDir = fileURLToPath(new URL('../migrations', import.meta.url))

/** The steps that a database has not taken, by name, in their order. */
export async function pendingMigrations (database: Database): Promise<string[]> {
  const names = (await readdir(migrationsDir)).filter(it => it.endsWith('.sql')).map(it => it.slice(0, -'.sql'.length)).sort()
  const [{ present }] = await database.query<{ present: boolean }>("select to_regclass('migrations') is not null as present")
  if (!present) return names
  const taken = new Set((await database.query<{ name: string }>('select name from migrations')).map(it => it.name))
  return names.filter(it => !taken.has(it))
}

/**
 * Brings the schema up to date; where it is, only that is looked at, for which a program's role is enough. Safe when several programs start at once: the first one works, the others wait for its
 * lock and then find nothing to do. All steps are one transaction: a step that fails leaves the schema as it was.
 * @returns the names of the steps that were taken, e.g. `0001-series`
 * @throws RelayError RELAY_MIGRATION_FAILED
 */
export async function migrate (database: Database, log: Logger): Promise<string[]> {
  if ((await pendingMigrations(database)).length === 0) return []
  const { runner } = await import('node-pg-migrate') // most starts do without, and save its 4 MB
  const client = await database.connect()
  try {
    await liftTimeLimits(client) // an index of a large site takes as long as it takes, and so does the step of another program
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
    const [said] = (cause as Error).message.split('\n', 1) // the runner adds a stack
    const help = /must be owner|permission denied/.test(said) // nor does it pass the code on
      ? '; this role has no permission: run `relay migrate` as the owner of the database first'
      : ''
    throw new RelayError('RELAY_MIGRATION_FAILED',
      `could not migrate the database: ${said}${help}`, { cause })
  } finally {
    client.release(true) // its limits are gone, and where it has failed so is the session's lock
  }
}
