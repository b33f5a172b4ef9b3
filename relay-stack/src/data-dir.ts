/**
 * The data folder of a stack:
 *
 *     lock            the process that uses it
 *     stopping        it is stopping: `npm stop` only waits
 *     site.json       where its servers are, for the command line, while it runs
 *     event-log       where its events are: in PostgreSQL, in its Kafka, or in one elsewhere
 *     prometheus.yml  settings for a Prometheus that watches it
 *     sent-until      up to when the simulated fleet has certainly sent its events
 *     passwords/      of the users of PostgreSQL, a file each
 *     postgres/       the data of PostgreSQL, or a link to where its user can reach them
 *     kafka-data/     the data of Kafka
 *     logs/  pids/    of every part; pids/ marks a folder as that of a stack
 *     kafka/          Kafka's jars (in the default folder alone; they outlive --fresh)
 *
 * A folder with other files is refused: its data would be mixed with ours, its permissions changed, and --fresh might
 * delete a part of it.
 */
import { existsSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { chmod, link, mkdir, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { printableLines, RelayError } from 'relay-common'

import { eventLogPlaces, type EventLogPlace } from './event-log.ts'
import { explainFileError } from './file-error.ts'
import { holdFolder, type FolderHold } from './folder-hold.ts'
import { kafkaTrace } from './kafka.ts'
import { postgresTrace } from './postgres.ts'
import { followLink } from './postgres-place.ts'
import { findOwner, letThrough, type Owner, type Say } from './postgres-user.ts'
import { findProcess, killLeftOver, pidFileOf, readPid, stopLeftOver, type Trace } from './process-table.ts'
import { programNames, programTrace } from './program-process.ts'

export interface DataDir {
  readonly path: string
  /** an open file for servers that write here: the folder is held while one of them lives */
  readonly heldFd: number | undefined
  readonly passwords: string
  readonly postgres: string
  readonly kafka: string
  readonly logs: string
  readonly pids: string
  /** Up to when the fleet has sent its events, ms since the epoch; undefined: not even its first history. */
  readSentUntil (): Promise<number | undefined>
  writeSentUntil (timeMs: number): Promise<void>
  /** Location of its events; undefined: it has none yet, or they are older than this record. */
  readEventLog (): Promise<EventLogPlace | undefined>
  writeEventLog (place: EventLogPlace): Promise<void>
  /** Likely location of such older events. */
  guessEventLog (): EventLogPlace | undefined
  /** Notes that the stack is stopping. */
  noteStopping (): void
  close (): Promise<void>
}

/** Time for programs that lost their stack to write what they hold and end. */
const PROGRAM_STOP_TIMEOUT_MS = 12_000
const SERVER_STOP_TIMEOUT_MS = 20_000
const LOCK_TRIES_MAX = 5
/** Servers of a killed stack end within this time; a stack that just started has written its process id. */
const HOLD_TIMEOUT_MS = 3_000
const HOLD_POLL_MS = 50

/** The default folder, which tests and tools of the project use too. */
const DEFAULT_NAME = '.relay'
const MARK = 'pids'
const STOPPING = 'stopping'
/** Files that may be in a new folder: jars of Kafka, and those of a new disk. */
const HARMLESS = new Set(['kafka', 'lost+found', '.DS_Store'])

/** Part of the command line of a process that holds a lock. */
const STACK_MARK = 'relay-stack/src/main.ts'
/** In a lock, before the name of its host: that of a container is its id. */
const HOST = 'host '

/**
 * Opens a data folder for this process only, and ends processes of an earlier run on it.
 * @param fresh true: deletes its data, once nothing uses them
 * @param say receives lines about changes outside of it
 * @throws RelayError RELAY_DATA_DIR_IN_USE; RELAY_CONFIG_INVALID if it is not writable, or has other files
 */
export async function openDataDir (folder: string, fresh: boolean, say: Say = () => {}): Promise<DataDir> {
  try {
    return await openFolder(folder, fresh, say)
  } catch (error) {
    throw explainFileError(error, `the data folder ${folder}`, '--data-dir')
  }
}

async function openFolder (folder: string, fresh: boolean, say: Say): Promise<DataDir> {
  await makeFolder(folder)
  await checkContent(folder)
  const path = await realpath(folder) // one canonical name, because it identifies processes
  const lock = join(path, 'lock')
  const stopping = join(path, STOPPING)
  let dataDir = foldersOf(path)
  const sentUntil = join(path, 'sent-until')
  const eventLog = join(path, 'event-log')

  let hold = await waitForHold(dataDir, () => stackOn(path) !== undefined || hasLeftOvers(dataDir))
  if (!hold && !hasLeftOvers(dataDir)) throw inUse(path)
  try {
    await takeLock(lock, path)
  } catch (error) {
    hold?.close()
    throw error
  }
  try {
    await rm(stopping, { force: true })
    const owner = await findOwner(say)
    await stopLeftOvers(dataDir)
    hold ??= await waitForHold(dataDir) // the servers that held it have ended
    if (!hold) throw inUse(path)
    if (fresh) {
      const data = [sentUntil, eventLog, dataDir.passwords, dataDir.postgres, dataDir.kafka, dataDir.logs, dataDir.pids]
      for (const it of [...data, join(path, 'postgres')]) {
        await rm(it, { recursive: true, force: true })
      }
      dataDir = foldersOf(path) // a link to elsewhere is gone
    }
    await closeToOthers(dataDir, owner)
    await mkdir(dataDir.pids, { recursive: true, mode: 0o700 })
  } catch (error) {
    await rm(lock, { force: true })
    hold?.close()
    throw error
  }

  return {
    ...dataDir,
    heldFd: hold.fd,
    readSentUntil: async () => {
      const timeMs = Date.parse((await readFile(sentUntil, 'utf8').catch(() => '')).trim())
      return Number.isFinite(timeMs) ? timeMs : undefined
    },
    writeSentUntil: timeMs => writeWhole(sentUntil, new Date(timeMs).toISOString()),
    readEventLog: async () => {
      const said = (await readFile(eventLog, 'utf8').catch(() => '')).trim()
      return eventLogPlaces.find(it => it === said)
    },
    writeEventLog: place => writeWhole(eventLog, place),
    guessEventLog: () =>
      existsSync(join(dataDir.kafka, 'log')) ? 'kafka' : existsSync(dataDir.postgres) ? 'postgres' : undefined,
    noteStopping: () => {
      try {
        writeFileSync(stopping, '', { mode: 0o600 })
      } catch {
        // on a full disk: then `npm stop` sends its signal each time
      }
    },
    close: async () => {
      await rm(stopping, { force: true })
      await rm(lock, { force: true })
      hold.close()
    }
  }
}

/**
 * Waits until no process holds the folder, with a limit.
 * @param isInVain ends the wait
 * @returns undefined: some process holds it
 */
async function waitForHold ({ path }: Folders, isInVain = () => false): Promise<FolderHold | undefined> {
  for (const deadline = performance.now() + HOLD_TIMEOUT_MS; ;) {
    const hold = holdFolder(path)
    if (hold || isInVain() || performance.now() > deadline) return hold
    await delay(HOLD_POLL_MS)
  }
}

/** Writes a line to a file, completely or not at all. */
async function writeWhole (file: string, line: string): Promise<void> {
  await writeFile(`${file}.new`, line + '\n', { mode: 0o600 })
  await rename(`${file}.new`, file)
}

/** Creates a folder that is closed to other users, whatever the umask; new parents are open. */
async function makeFolder (path: string): Promise<void> {
  try {
    const first = await mkdir(dirname(path), { recursive: true })
    if (first !== undefined) await openFrom(first, dirname(path))
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') { // of /proc, for example
      throw new RelayError('RELAY_CONFIG_INVALID',
        `can't use the data folder ${path}: no folder can be created there; use another with --data-dir`,
        { cause: error })
    }
    if (code !== 'EEXIST' || !existsSync(path)) throw error
  }
}

/** Lets everybody pass through a folder and its parents, up to the first. */
async function openFrom (first: string, folder: string): Promise<void> {
  await chmod(folder, 0o755)
  if (folder.length > first.length) await openFrom(first, dirname(folder))
}

/** Refuses a folder of somebody else. */
async function checkContent (folder: string): Promise<void> {
  const entries = await readdir(folder)
  if (basename(folder) === DEFAULT_NAME || entries.includes(MARK)) return
  const others = entries.filter(it => !/^lock(\.\d+)?$/.test(it) && !HARMLESS.has(it))
  if (others.length === 0) return
  throw new RelayError('RELAY_CONFIG_INVALID',
    `can't use the data folder ${folder}: it has other files (${printableLines(others[0])}); ` +
    'use an empty one with --data-dir')
}

/** Closes what an earlier version left open. */
async function closeToOthers (dataDir: Folders, owner: Owner): Promise<void> {
  await chmod(dataDir.path, 0o700)
  await letThrough(dataDir.path, owner)
  for (const folder of [dataDir.passwords, dataDir.kafka, dataDir.logs, dataDir.pids]) {
    if (existsSync(folder)) await chmod(folder, 0o700)
  }
}

/**
 * Writes our process id into the lock, which only one process can create. A lock of a dead process is first moved
 * aside; if it has become another's meanwhile, it is put back.
 */
async function takeLock (lock: string, path: string): Promise<void> {
  const aside = `${lock}.${process.pid}`
  for (let tries = 0; tries < LOCK_TRIES_MAX; tries++) {
    await writeFile(aside, `${pidFileOf(process.pid)}${HOST}${hostname()}\n`)
    const isTaken = await link(aside, lock).then(() => true, (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
      return false
    })
    await rm(aside)
    if (isTaken) return

    if (stackOn(path) !== undefined) throw inUse(path)
    const stale = await readFile(lock, 'utf8').catch(() => undefined)
    if (stale === undefined) continue
    await rename(lock, aside).catch(() => {}) // somebody else was faster
    if (await readFile(aside, 'utf8').catch(() => stale) !== stale) await link(aside, lock).catch(() => {})
    await rm(aside, { force: true })
    await delay(10)
  }
  throw new RelayError('RELAY_DATA_DIR_IN_USE', `several stacks started on ${path} at once; start one of them again`)
}

/** Process id of the stack on a data folder. @param path its real path */
export function stackOn (path: string): number | undefined {
  return findProcess({ pidFile: join(path, 'lock'), mark: STACK_MARK })
}

/** Whether a process that can't be seen from here, such as in another container, holds a data folder. */
export function isHeldElsewhere (path: string): boolean {
  const hold = holdFolder(path)
  hold?.close()
  return hold === undefined && stackOn(path) === undefined && !hasLeftOvers(foldersOf(path))
}

/** Whether the stack on a data folder has begun to stop. @param path its real path */
export function isStopping (path: string): boolean {
  return existsSync(join(path, STOPPING))
}

/** Error of a folder that another stack uses. */
function inUse (path: string): RelayError {
  return new RelayError('RELAY_DATA_DIR_IN_USE',
    `another stack (${describeStackOn(path)}) is running on ${path}; stop it, or use another folder with --data-dir`)
}

function readLock (path: string): string {
  try {
    return readFileSync(join(path, 'lock'), 'utf8')
  } catch {
    return '' // it is gone
  }
}

/** Which stack uses a data folder, for people. @param path its real path */
export function describeStackOn (path: string): string {
  const pid = stackOn(path)
  if (pid !== undefined) return `process ${pid}`
  const host = new RegExp(`^${HOST}(.+)$`, 'm').exec(readLock(path))?.[1]
  return `in another container${host === undefined ? '' : `, on host ${printableLines(host)}`}`
}

type Folders = Pick<DataDir, 'path' | 'passwords' | 'postgres' | 'kafka' | 'logs' | 'pids'>

const foldersOf = (path: string): Folders => ({
  path,
  passwords: join(path, 'passwords'),
  postgres: followLink(join(path, 'postgres')),
  kafka: join(path, 'kafka-data'),
  logs: join(path, 'logs'),
  pids: join(path, MARK)
})

const programTraces = (dataDir: Folders): Trace[] => programNames.map(name => programTrace(dataDir.pids, name))
const serverTraces = (dataDir: Folders): Trace[] => [kafkaTrace(dataDir.kafka), postgresTrace(dataDir.postgres)]

const hasLeftOvers = (dataDir: Folders): boolean =>
  [...programTraces(dataDir), ...serverTraces(dataDir)].some(it => findProcess(it) !== undefined)

/** Programs first: they write what they hold, because the channel to their stack is closed. */
async function stopLeftOvers (dataDir: Folders): Promise<void> {
  await Promise.all(programTraces(dataDir).map(it => stopLeftOver(it, PROGRAM_STOP_TIMEOUT_MS, true)))
  await Promise.all(serverTraces(dataDir).map(it => stopLeftOver(it, SERVER_STOP_TIMEOUT_MS)))
}

/** Kills everything that this process started on a data folder. The next start recovers. */
export function killAll (folder: string): void {
  if (!existsSync(folder)) return
  const dataDir = foldersOf(realpathSync(folder))
  if (readPid(join(dataDir.path, 'lock')) !== process.pid) return // it belongs to another stack
  for (const trace of [...programTraces(dataDir), ...serverTraces(dataDir)]) killLeftOver(trace)
}
