import { readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

import { liftTimeLimits, type Database } from './database.ts'
import { RelayError } from '../errors.ts'
import type { Logger } from '../log.ts'

const migrationsDir = fileURLToPath(new URL('../../migrations', import.meta.url))

/** The names of pending migrations, in their order. */
export async function pendingMigrations (database: Database): Promise<string[]> {
  const names = (await readdir(migrationsDir))
    .filter(it => it.endsWith('.sql'))
    .map(it => it.slice(0, -'.sql'.length))
    .sort()
  const [{ present }] = await database.query<{ present: boolean }>(
    "select to_regclass('migrations') is not null as present"
  )
  if (!present) return names
  const taken = new Set((await database.query<{ name: string }>('select name from migrations')).map(it => it.name))
  return names.filter(it => !taken.has(it))
}

/**
 * Brings the schema up to date. If it is, this only reads, which the role of a program may. Safe when several programs
 * start at once: the first one works, and the others wait for its lock and find nothing to do. All steps are one
 * transaction, so a failed step leaves the schema unchanged.
 * @returns the names of the steps that were taken, e.g. `0001-series`
 * @throws RelayError RELAY_MIGRATION_FAILED
 */
export async function migrate (database: Database, log: Logger): Promise<string[]> {
  if ((await pendingMigrations(database)).length === 0) return []
  const { runner } = await import('node-pg-migrate') // most starts don't need it, and save its 4 MB
  const client = await database.connect()
  try {
    await liftTimeLimits(client) // an index of a large site takes long, and so may the step of another program
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
    const [said] = (cause as Error).message.split('\n', 1) // the runner appends a stack trace
    const help = /must be owner|permission denied/.test(said) // and does not pass on the code
      ? '; this role has no permission: run `relay migrate` as the owner of the database first'
      : ''
    throw new RelayError('RELAY_MIGRATION_FAILED',
      `could not migrate the database: ${said}${help}`, { cause })
  } finally {
    client.release(true) // its limits are lifted, and a failure may have left the lock in its session
  }
}
