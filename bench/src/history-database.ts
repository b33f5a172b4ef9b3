/** A PostgreSQL with a history, kept between runs of the benchmarks. */
import { createHash } from 'node:crypto'
import { chmod, mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import getPort from 'get-port'

import { createLogger, databaseSettings, migrate, openDatabase, readConfig } from 'relay-common'
import { Type } from 'typebox'

import { ensureDatabase, startPostgres, type LocalPostgres } from '../../relay-stack/src/postgres.ts'
import { endOnSignal } from './children.ts'
import { writeHistory, type History } from './history.ts'

const cacheDir = fileURLToPath(new URL('../../.relay/bench', import.meta.url))

/** Increase it when the written data changes: then old histories are created again. */
const FORMAT = 1

/**
 * Starts a server on the history, which ends with the benchmark. A missing history is written first: some minutes, some
 * GB.
 * @returns the server, and the connection string of the database
 */
export async function openHistory (name: string, history: History): Promise<LocalPostgres & {
  readonly database: string
}> {
  const { devices, zones, partitions, endMs, days, minuteDays } = history
  const key = createHash('sha256')
    .update(JSON.stringify([FORMAT, { devices, zones, partitions, endMs, days, minuteDays }])).digest('hex').slice(0, 8)
  const dataDir = join(cacheDir, `${name}-${key}`)
  const done = join(dataDir, 'relay-history-complete')
  if (!await stat(done).catch(() => undefined)) await makeHistory(dataDir, done, history)
  const server = await startPostgres({ dataDir, ...await serverSettings(dataDir) })
  // upgrades of Relay migrate old histories too
  await withDatabase(server.url('relay'), migrate)
  let closed: Promise<void> | undefined
  const close = () => (closed ??= server.close())
  const ending = endOnSignal(close)
  return {
    ...server,
    database: server.url('relay'),
    close: () => {
      ending[Symbol.dispose]()
      return close()
    }
  }
}

async function serverSettings (dataDir: string): Promise<{ port: number, logFile: string }> {
  return { port: await getPort({ host: '127.0.0.1' }), logFile: `${dataDir}.log` }
}

async function makeHistory (dataDir: string, done: string, history: History): Promise<void> {
  const startedMs = Date.now()
  await rm(dataDir, { recursive: true, force: true })
  await mkdir(dirname(dataDir), { recursive: true })
  await chmod(dirname(dataDir), 0o755) // root runs PostgreSQL as another user
  const server = await startPostgres({
    dataDir,
    ...await serverSettings(dataDir),
    parameters: [
      'fsync=off', 'full_page_writes=off', 'max_wal_size=8GB', 'autovacuum=off', 'wal_level=minimal',
      'max_wal_senders=0'
    ]
  })
  try {
    await ensureDatabase(server, 'relay')
    await withDatabase(server.url('relay'), async (database, log) => {
      await migrate(database, log)
      let said = 0
      await writeHistory(database, history, share => {
        if (share < said + 0.1 && share < 1) return
        said = share
        console.log(`  history: ${Math.round(share * 100)} % after ${Math.round((Date.now() - startedMs) / 1000)} s`)
      })
      await database.query('vacuum (analyze)')
    })
  } finally {
    await server.close()
  }
  await writeFile(done, new Date().toISOString())
}

async function withDatabase (
  url: string, work: (...args: Parameters<typeof migrate>) => Promise<unknown>
): Promise<void> {
  const log = createLogger('bench', 'error') // that the server ends before an idle connection does is expected
  const database = await openDatabase(
    readConfig(Type.Object(databaseSettings), { DATABASE_URL: url, DATABASE_STATEMENT_TIMEOUT_MS: '0' }), 'bench', log
  )
  try {
    await work(database, log)
  } finally {
    await database.close()
  }
}
