/** PostgreSQL servers of a test's own, whose data can be copied and put back. */
import { execFileSync } from 'node:child_process'
import { chmod, cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

import { startPostgres, type LocalPostgres } from '../relay-stack/src/postgres.ts'

export interface OwnServers {
  /** Starts a server on the data of that name, made where there are none. */
  start (name: string, port: number, parameters?: readonly string[]): Promise<LocalPostgres>
  /** Replaces data by a copy of others. No server may run on either. */
  copy (from: string, to: string): Promise<void>
  /** Starts a standby on a copy of another server's data, which streams from that. @param parameters more of them */
  startStandby (name: string, port: number, primary: LocalPostgres, parameters?: readonly string[]): Promise<LocalPostgres>
}

/** They end with the test, and their data go. */
export async function openOwnServers (t: TestContext): Promise<OwnServers> {
  const folder = await mkdtemp(join(tmpdir(), 'relay-own-servers-'))
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
  return {
    start,
    async copy (from, to) {
      await rm(join(folder, to), { recursive: true, force: true })
      await cp(join(folder, from), join(folder, to), { recursive: true, preserveTimestamps: true })
      if (process.getuid?.() === 0) execFileSync('chown', ['-R', 'postgres:postgres', join(folder, to)])
      await chmod(join(folder, to), 0o700)
    },
    async startStandby (name, port, { host, port: primaryPort, user, password }, parameters = []) {
      await writeFile(join(folder, name, 'standby.signal'), '')
      return await start(name, port,
        [`primary_conninfo=host=${host} port=${primaryPort} user=${user} password=${password}`, ...parameters])
    }
  }
}
