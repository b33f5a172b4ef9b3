/**
 * Processes left behind by an earlier run: found by the recorded process id, if the command line matches, because the
 * id may belong to another program by now. It may also belong to the same program of another stack, so our own files
 * have the time of the start too.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** How to identify and stop a process of an earlier run. */
export interface Trace {
  /** its first line is the process id */
  readonly pidFile: string
  /** text that only the command line of that process contains */
  readonly mark: string
  /** ends it regularly */
  readonly stopSignal: NodeJS.Signals
  /** ends it at once, with its children */
  readonly killSignal: NodeJS.Signals
}

const POLL_MS = 20
const KILLED_WITHIN_MS = 5_000

/** The id of the running process of a trace; undefined: none. */
export function findProcess ({ pidFile, mark }: Pick<Trace, 'pidFile' | 'mark'>): number | undefined {
  const [pid, started] = readLines(pidFile)
  if (pid === undefined || pid === process.pid || !commandLineOf(pid).includes(mark)) return undefined
  return started === undefined || started === startOf(pid) ? pid : undefined
}

/** The content of a file for the id of a process. */
export function pidFileOf (pid: number): string {
  return `${pid}\n${STARTED}${startOf(pid)}\n`
}

const STARTED = 'started '

/** When a process started: in ticks since a boot, with the id of the boot. */
function startOf (pid: number): string {
  try {
    if (!existsSync('/proc/self/stat')) {
      return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim()
    }
    const [, ...fields] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ') // after the name
    return `${fields[18]} ${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}`
  } catch {
    return '' // it has ended
  }
}

/** The process id in the first line of a file; undefined: no such file or number. */
export function readPid (pidFile: string): number | undefined {
  return readLines(pidFile)[0]
}

function readLines (pidFile: string): [pid?: number, started?: string] {
  try {
    const [first, second = ''] = readFileSync(pidFile, 'utf8').split('\n')
    const pid = Number(first)
    if (!Number.isSafeInteger(pid) || pid <= 0) return []
    return [pid, second.startsWith(STARTED) ? second.slice(STARTED.length) : undefined]
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** The command line of a process, separated by blanks; empty for a missing process or a zombie. */
export function commandLineOf (pid: number): string {
  try {
    if (existsSync('/proc/self/cmdline')) return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
    return execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' })
  } catch {
    return '' // it ended before or meanwhile
  }
}

/**
 * Asks a process of an earlier run to end, and kills it after a limit.
 * @param isAsked true: it was asked already, and a second time would cut it short
 * @returns whether there was one
 */
export async function stopLeftOver (trace: Trace, limitMs: number, isAsked = false): Promise<boolean> {
  const pid = findProcess(trace)
  if (pid === undefined) return false
  if (!isAsked) signal(pid, trace.stopSignal)
  if (await hasEnded(trace, limitMs)) return true
  signal(pid, trace.killSignal)
  await hasEnded(trace, KILLED_WITHIN_MS)
  return true
}

/** Kills a process of an earlier run (or of this one); does not wait. */
export function killLeftOver (trace: Trace): void {
  const pid = findProcess(trace)
  if (pid !== undefined) signal(pid, trace.killSignal)
}

async function hasEnded (trace: Trace, limitMs: number): Promise<boolean> {
  for (const deadline = performance.now() + limitMs; findProcess(trace) !== undefined;) {
    if (performance.now() > deadline) return false
    await delay(POLL_MS)
  }
  return true
}

function signal (pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // it has ended meanwhile
  }
}
