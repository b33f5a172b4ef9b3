/** PostgreSQL servers of a test, whose data can be copied and restored. */
import { execFile, execFileSync } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

import { Client } from 'pg'

import { startPostgres, type LocalPostgres } from '../relay-stack/src/postgres.ts'

export interface OwnServers {
  /** Starts a server on the data of that name, created if missing. */
  start (name: string, port: number, parameters?: readonly string[]): Promise<LocalPostgres>
  /** Replaces data by a copy of others. No server may run on either. */
  copy (from: string, to: string): Promise<void>
  /**
   * Makes a base backup of a running server, like `pg_basebackup`: its files as they are copied between
   * `pg_backup_start` and `pg_backup_stop`. The server must archive its log (`archiving`).
   */
  backUp (from: string, server: LocalPostgres, to: string): Promise<void>
  /** Parameters that make a server archive its log. */
  readonly archiving: readonly string[]
  /** Starts a server on a backup and the archive up to a restore point; it then continues in its own history. */
  startAt (point: string, name: string, port: number): Promise<LocalPostgres>
  /** Starts a streaming standby on a copy of another server's data. @param parameters further ones */
  startStandby (
    name: string, port: number, primary: LocalPostgres, parameters?: readonly string[]
  ): Promise<LocalPostgres>
}

/** They end with the test, and their data are deleted. @param place folder of their data */
export async function openOwnServers (
  t: TestContext, place = process.env.RELAY_TEST_MEMORY ?? tmpdir()
): Promise<OwnServers> {
  const folder = await mkdtemp(join(place, 'relay-own-servers-'))
  await chmod(folder, 0o755) // root runs the servers as another user
  const servers: LocalPostgres[] = []
  t.after(async () => {
    for (const server of servers.toReversed()) await server.close()
    await rm(folder, { recursive: true, force: true })
  })
  const start: OwnServers['start'] = async (name, port, parameters = []) => {
    const server = await startPostgres({
      dataDir: join(folder, name), logFile: join(folder, `${name}.log`), port, parameters: ['fsync=off', ...parameters]
    })
    servers.push(server)
    return server
  }
  const archive = join(folder, 'archive')
  await mkdir(archive)
  const own = (path: string) => {
    if (process.getuid?.() === 0) {
      execFileSync(
        'chown', ['-R', 'postgres:postgres', path]
      )
    }
  }
  own(archive)
  return {
    start,
    archiving: ['wal_level=replica', 'archive_mode=on', `archive_command=cp %p ${archive}/%f`],
    async backUp (from, server, to) {
      const client = new Client({ connectionString: server.url('postgres') })
      await client.connect()
      try {
        await client.query("select pg_backup_start('backup', fast => true)")
        await copyLive(join(folder, from), join(folder, to))
        const { rows: [{ labelfile }] } = await client.query(
          'select labelfile from pg_backup_stop(wait_for_archive => true)'
        )
        await writeFile(join(folder, to, 'backup_label'), labelfile)
      } finally {
        await client.end()
      }
      for (const it of ['pg_wal', 'postmaster.pid', 'postmaster.opts']) {
        await rm(join(folder, to, it), { recursive: true, force: true })
      }
      await mkdir(join(folder, to, 'pg_wal'))
      own(join(folder, to))
    },
    async startAt (point, name, port) {
      await writeFile(join(folder, name, 'recovery.signal'), '')
      return await start(name, port,
        [`restore_command=cp ${archive}/%f %p`, `recovery_target_name=${point}`, 'recovery_target_action=promote'])
    },
    async copy (from, to) {
      await rm(join(folder, to), { recursive: true, force: true })
      await cp(join(folder, from), join(folder, to), { recursive: true, preserveTimestamps: true })
      own(join(folder, to))
      await chmod(join(folder, to), 0o700)
    },
    async startStandby (name, port, { host, port: primaryPort, user, password }, parameters = []) {
      await writeFile(join(folder, name, 'standby.signal'), '')
      return await start(name, port,
        [`primary_conninfo=host=${host} port=${primaryPort} user=${user} password=${password}`, ...parameters])
    }
  }
}

/** Copies files that are written meanwhile; some may disappear before their turn. */
async function copyLive (from: string, to: string): Promise<void> {
  await new Promise<void>((resolve, reject) => execFile('cp', ['-a', from, to], (error, _, said) => {
    const faults = said.split('\n').filter(it => it !== '' && !/No such file or directory/.test(it))
    if (error && (faults.length > 0 || said === '')) reject(error)
    else resolve()
  }))
}
