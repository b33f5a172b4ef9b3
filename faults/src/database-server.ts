/** A real PostgreSQL on this machine, behind a proxy, which can crash, go back in time, and lose commits. */
import { execFile } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

import getPort from 'get-port'
import { createLogger, openDatabase } from 'relay-common'

import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { ensureDatabase, startPostgres, type LocalPostgres } from '../../relay-stack/src/postgres.ts'
import { openTcpProxy, type TcpProxy } from 'relay-test-support/tcp-proxy.ts'
import { killTree, sendSignal } from './signals.ts'

export interface DatabaseServer {
  readonly proxy: TcpProxy
  /** address for programs: through the proxy */
  readonly url: string
  /** address for checks */
  readonly directUrl: string
  /** kill -9 of the server and all its processes at once */
  crash (): Promise<void>
  /** Starts it again on its data: it recovers from its write-ahead log. */
  start (): Promise<void>
  /** Stops it, copies its data, and starts it again. */
  backUp (): Promise<void>
  /** Stops it, replaces its data by the copy, and starts it again. */
  restore (): Promise<void>
  /** Starts a standby on the copy, which streams from the server. */
  startStandby (): Promise<Standby>
  close (): Promise<void>
}

export interface Standby {
  /** Disconnects it: it gets no further commits of the server. */
  cutOff (): void
  /** Ends the server like a crash. The standby replaces it with what it has. */
  takeOver (): Promise<void>
}

const HOST = '127.0.0.1'
const DATABASE = 'relay'
const run = promisify(execFile)

/** Starts the server with a database. @param folder for data and log */
export async function startDatabaseServer (folder: string): Promise<DatabaseServer> {
  await using started = new AsyncDisposableStack()
  const port = await getPort({ host: HOST })
  const proxy = started.adopt(await openTcpProxy(port), it => it.close())
  const replication = started.adopt(await openTcpProxy(port), it => it.close())
  const [dataDir, copyDir] = ['postgres', 'postgres-copy'].map(it => join(folder, it))
  const startOn = (dataDir: string, port: number, parameters: readonly string[] = []) =>
    startPostgres({ dataDir, logFile: join(folder, 'logs', 'postgres.log'), port, parameters })
  let postgres: LocalPostgres | undefined
  let standby: LocalPostgres | undefined
  const endWithUs = () => { for (const it of [postgres, standby]) if (it) sendSignal(it.pid, 'SIGQUIT') }
  process.on('exit', endWithUs)
  started.defer(async () => {
    process.off('exit', endWithUs)
    await standby?.close()
    await postgres?.close()
  })
  postgres = await startOn(dataDir, port)
  await ensureDatabase(postgres, DATABASE)

  const start = async () => { postgres = await startOn(dataDir, port) }
  const stop = async () => {
    await postgres?.close()
    postgres = undefined
  }
  const crash = async () => {
    const crashed = postgres!
    postgres = undefined
    await killTree(crashed.pid)
    await crashed.exited
  }
  const startStandby = async (): Promise<Standby> => {
    const { host, user, password } = postgres!
    replication.isRefusing = false
    await writeFile(join(copyDir, 'standby.signal'), '')
    standby = await startOn(copyDir, await getPort({ host: HOST }),
      [`primary_conninfo=host=${host} port=${replication.port} user=${user} password=${password}`])
    const promoted = standby
    return {
      cutOff () {
        replication.isRefusing = true
        replication.cut()
      },
      async takeOver () {
        await crash()
        await promote(promoted)
        await promoted.close()
        standby = undefined
        await copy(copyDir, dataDir)
        await start()
      }
    }
  }

  const directUrl = postgres.url(DATABASE)
  const url = new URL(directUrl)
  url.port = String(proxy.port)
  const running = started.move()
  return {
    proxy,
    url: url.href,
    directUrl,
    crash,
    start,
    async backUp () {
      await stop()
      await copy(dataDir, copyDir)
      await start()
    },
    async restore () {
      await stop()
      await copy(copyDir, dataDir)
      await start()
    },
    startStandby,
    close: () => running.disposeAsync()
  }
}

/** With owners and modes, because root runs the server as another user. */
async function copy (from: string, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true })
  await run('cp', ['-a', from, to])
}

/** Waits until it accepts writes. */
async function promote (server: LocalPostgres): Promise<void> {
  const config = readProcessorConfig({ DATABASE_URL: server.url(DATABASE) })
  const database = await openDatabase(config, 'faults', createLogger('faults', 'silent'))
  try {
    await database.query('select pg_promote()')
  } finally {
    await database.close()
  }
}
