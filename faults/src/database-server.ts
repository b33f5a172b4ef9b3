/** A real PostgreSQL on this machine, behind a proxy, which can be made to crash. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

import getPort from 'get-port'

import { ensureDatabase, startPostgres, type LocalPostgres } from '../../relay-stack/src/postgres.ts'
import { openTcpProxy, type TcpProxy } from '../../test-support/tcp-proxy.ts'
import { sendSignal } from './signals.ts'

export interface DatabaseServer {
  readonly proxy: TcpProxy
  /** how programs reach the database: by the proxy */
  readonly url: string
  /** how the one who checks reaches it */
  readonly directUrl: string
  /** kill -9 of the server and of all of its processes, at once */
  crash (): Promise<void>
  /** Starts it again on its data: it recovers from its write-ahead log. */
  start (): Promise<void>
  close (): Promise<void>
}

const HOST = '127.0.0.1'
const DATABASE = 'relay'

/** Starts the server, and creates a database on it. @param folder data and log go there */
export async function startDatabaseServer (folder: string): Promise<DatabaseServer> {
  await using started = new AsyncDisposableStack()
  const port = await getPort({ host: HOST })
  const proxy = started.adopt(await openTcpProxy(port), it => it.close())
  const open = () => startPostgres({
    dataDir: join(folder, 'postgres'), logFile: join(folder, 'logs', 'postgres.log'), port
  })
  let postgres: LocalPostgres | undefined
  const endWithUs = () => { if (postgres) sendSignal(postgres.pid, 'SIGQUIT') }
  process.on('exit', endWithUs)
  started.defer(async () => {
    process.off('exit', endWithUs)
    await postgres?.close()
  })
  postgres = await open()
  await ensureDatabase(postgres, DATABASE)

  const directUrl = postgres.url(DATABASE)
  const url = new URL(directUrl)
  url.port = String(proxy.port)
  const running = started.move()
  return {
    proxy,
    url: url.href,
    directUrl,
    crash: async () => {
      const crashed = postgres!
      postgres = undefined
      await killTree(crashed.pid)
      await crashed.exited
    },
    start: async () => { postgres = await open() },
    close: () => running.disposeAsync()
  }
}

/** Ends a process and its children at once. Children of PostgreSQL that outlive it keep the next one from starting. */
async function killTree (pid: number): Promise<void> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid='])
  const processes = stdout.trim().split('\n').map(line => line.trim().split(/\s+/).map(Number))
  const children = processes.filter(([, parent]) => parent === pid).map(([child]) => child)
  for (const it of [pid, ...children]) sendSignal(it, 'SIGKILL')
}
