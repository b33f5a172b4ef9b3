import { randomUUID } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import getPort from 'get-port'
import { Client } from 'pg'

import {
  createLogger, migrate, openDatabase, readConfig, databaseSettings, type Database, type DatabaseSettings
} from 'relay-common'
import { startPostgres, type LocalPostgres } from '../relay-stack/src/postgres.ts'
import { Type } from 'typebox'

/** What a test opens closes with it; or with a file of tests that share it. */
export interface Scope {
  after (close: () => Promise<void>): void
}

/** A database of a test: migrated, empty, removed with the test. */
export interface TestDatabase {
  readonly database: Database
  /** settings for another program to reach the same database */
  readonly settings: DatabaseSettings
  readonly url: string
}

const TEMPLATE = 'relay_template'

/** Starts a server whose data need not survive a power failure: tests only kill it. */
export async function startTestPostgres (): Promise<{
  url: string, server: LocalPostgres, close: () => Promise<void>
}> {
  const folder = await mkdtemp(join(process.env.RELAY_TEST_MEMORY ?? tmpdir(), 'relay-test-postgres-'))
  await chmod(folder, 0o755) // root runs the server as another user
  const server = await startPostgres({
    dataDir: join(folder, 'data'),
    logFile: join(folder, 'postgres.log'),
    port: await getPort({ host: '127.0.0.1' }),
    parameters: ['fsync=off', 'full_page_writes=off', 'max_wal_size=256MB']
  }).catch(async error => {
    await rm(folder, { recursive: true, force: true })
    throw error
  })
  const close = async () => {
    await server.close()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await makeTemplate(server.url('postgres'))
  } catch (error) {
    await close()
    throw error
  }
  return { url: server.url('postgres'), server, close }
}

/** Makes the migrated database that those of tests are cloned from. */
export async function makeTemplate (adminUrl: string): Promise<void> {
  await administer(adminUrl, `drop database if exists ${TEMPLATE}`)
  await administer(adminUrl, `create database ${TEMPLATE}`)
  const log = createLogger('test', 'silent')
  const database = await openDatabase(settingsOf(urlOf(adminUrl, TEMPLATE)), 'test', log)
  try {
    await migrate(database, log)
  } finally {
    await database.close()
  }
}

async function administer (adminUrl: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: adminUrl })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

function urlOf (adminUrl: string, database: string): string {
  const url = new URL(adminUrl)
  url.pathname = `/${database}`
  return url.href
}

/** One schema, which is compiled once. */
const SETTINGS = Type.Object(databaseSettings)

function settingsOf (url: string): DatabaseSettings {
  return readConfig(SETTINGS, { DATABASE_URL: url })
}

let ownServer: Promise<{ url: string, close: () => Promise<void> }> | undefined
after(async () => (await ownServer)?.close())

/** The shared server of the test run, or one of this file. */
async function serverUrl (): Promise<string> {
  return process.env.RELAY_TEST_POSTGRES ?? (await (ownServer ??= startTestPostgres())).url
}

/**
 * A database for one test, cloned from a migrated template.
 * @param options.migrated false: an empty database instead
 */
export async function openLocalPostgres (t: Scope, { migrated = true } = {}): Promise<TestDatabase> {
  const adminUrl = await serverUrl()
  const name = `test_${randomUUID().replaceAll('-', '')}`
  await administer(adminUrl, `create database ${name}` + (migrated ? ` template ${TEMPLATE} strategy file_copy` : ''))
  const url = urlOf(adminUrl, name)
  const settings = settingsOf(url)
  const database = await openDatabase(settings, 'test', createLogger('test', 'silent'))
  t.after(async () => {
    await database.close()
    await administer(adminUrl, `drop database ${name} with (force)`)
  })
  return { database, settings, url }
}
