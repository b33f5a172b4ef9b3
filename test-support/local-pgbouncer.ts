/** A PgBouncer of a test, from Debian's package, in front of a database of the test. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

import getPort from 'get-port'
import { Client } from 'pg'

import { endProgram, skipWithout } from './debian-tool.ts'
import { until } from './until.ts'

/** Debian's path, which is not in everybody's PATH */
const pgbouncer = existsSync('/usr/sbin/pgbouncer') ? '/usr/sbin/pgbouncer' : 'pgbouncer'

/** Options of tests that need it. */
export const behindPgbouncer = { timeout: 240_000, skip: skipWithout(pgbouncer) }

export interface LocalPgbouncer {
  /** of the same database */
  readonly url: string
  /** Restarts its sessions, to apply changed settings of roles. */
  reconnect (): Promise<void>
}

/**
 * @param databaseUrl of the database behind it, with the user of its sessions
 * @param settings of its file
 */
export async function startPgbouncer (
  t: TestContext, databaseUrl: string, settings: Readonly<Record<string, string | number>>
): Promise<LocalPgbouncer> {
  const { hostname, port, username, password, pathname } = new URL(databaseUrl)
  const folder = await mkdtemp(join(tmpdir(), 'relay-test-pgbouncer-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755)
  const file = join(folder, 'pgbouncer.ini')
  const ownPort = await getPort({ host: '127.0.0.1' })
  const all = {
    listen_addr: '127.0.0.1',
    listen_port: ownPort,
    unix_socket_dir: '',
    auth_type: 'any',
    admin_users: username,
    ignore_startup_parameters: 'options',
    max_client_conn: 200,
    ...settings
  }
  await writeFile(file, [
    '[databases]', `* = host=${hostname} port=${port} user=${username} password=${password}`,
    '[pgbouncer]', ...Object.entries(all).map(([name, value]) => `${name} = ${value}`), ''
  ].join('\n'))
  const urlOf = (path: string) => `postgresql://${username}@127.0.0.1:${ownPort}${path}`
  await runPgbouncer(t, file, urlOf(pathname))
  return { url: urlOf(pathname), reconnect: () => query(urlOf('/pgbouncer'), 'reconnect') }
}

/**
 * Runs PgBouncer with a file of settings until the test ends.
 * @param url of a database behind it, which it is asked for until it answers
 */
export async function runPgbouncer (t: TestContext, file: string, url: string): Promise<void> {
  const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : [] // it refuses to run as root
  const bouncer = spawn(pgbouncer, [...asNobody, file], { stdio: 'ignore' })
  t.after(() => endProgram(bouncer))
  await until('PgBouncer to take connections', () => {
    if (bouncer.exitCode !== null) throw new Error('PgBouncer did not start')
    return query(url, 'select 1').then(() => true, () => false)
  })
}

async function query (url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query(sql).finally(() => client.end())
}
