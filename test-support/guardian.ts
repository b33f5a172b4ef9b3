/**
 * Cleans up after a test run, however it ended: a process of its own, whose stdin ends with the run. It recognises
 * processes of the run by their environment; servers are in process groups of their own, so no signal to the run
 * reaches them.
 *
 *     node guardian.ts <id of the run> <folders of the run>
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, statfsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const VARIABLE = 'RELAY_TEST_RUN'
/** PostgreSQL creates a database there in 16 ms of CPU in place of 50 to 120: it has 400 files. */
const MEMORY = '/dev/shm'
const MEMORY_FREE_MIN_BYTES = 6 * 2 ** 30
const ROUNDS_MAX = 50
const ROUND_MS = 100

export interface Guardian {
  /** temporary files of the run; frequently written ones that need not survive go to RELAY_TEST_MEMORY */
  readonly folder: string
  close (): Promise<void>
}

/** Begins a run: its temporary files are in a folder of its own, and processes started from here on end with it. */
export function startGuardian (): Guardian {
  const [folder, memory] = [tmpdir(), hasRoom(MEMORY) ? MEMORY : tmpdir()].map(it =>
    mkdtempSync(join(it, 'relay-test-run-')))
  for (const it of [folder, memory]) chmodSync(it, 0o755) // root runs PostgreSQL as another user
  const before = process.env.TMPDIR
  const guardian = spawn(process.execPath, [fileURLToPath(import.meta.url), basename(folder), folder, memory],
    { detached: true, stdio: ['pipe', 'ignore', 'inherit'], cwd: '/' })
  const exited = once(guardian, 'exit')
  guardian.unref()
  process.env[VARIABLE] = basename(folder)
  process.env.TMPDIR = folder
  process.env.RELAY_TEST_MEMORY = memory
  return {
    folder,
    close: async () => {
      delete process.env[VARIABLE]
      delete process.env.RELAY_TEST_MEMORY
      if (before === undefined) delete process.env.TMPDIR
      else process.env.TMPDIR = before
      guardian.stdin!.end()
      await exited
    }
  }
}

function hasRoom (folder: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize >= MEMORY_FREE_MIN_BYTES
  } catch {
    return false // not on every system
  }
}

/** Processes of the run, and all their descendants. */
function processesOf (run: string): number[] {
  const parents = new Map<number, number>()
  const found = new Set<number>()
  for (const pid of readdirSync('/proc').map(Number).filter(it => it > 0)) {
    try {
      parents.set(pid, Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')[1]))
      if (readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`${VARIABLE}=${run}`)) found.add(pid)
    } catch {} // it has ended meanwhile, or belongs to somebody else
  }
  const isOfRun = (pid: number | undefined): boolean => pid !== undefined &&
    (found.has(pid) || isOfRun(parents.get(pid)))
  return [...parents.keys()].filter(pid => pid !== process.pid && isOfRun(pid))
}

async function cleanUp (run: string, folders: readonly string[]): Promise<void> {
  for (let rounds = 0; rounds < ROUNDS_MAX; rounds++) {
    const left = processesOf(run)
    if (left.length === 0) break
    for (const pid of left) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {} // it has ended meanwhile
    }
    await delay(ROUND_MS)
  }
  for (const it of folders) await rm(it, { recursive: true, force: true, maxRetries: 20 })
}

if (import.meta.main) {
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {}) // they are for the run
  process.stdin.resume()
  await once(process.stdin, 'close')
  const [run, ...folders] = process.argv.slice(2)
  await cleanUp(run, folders)
}
