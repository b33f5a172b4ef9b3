/**
 * Processes that an earlier run left behind: found by the number it wrote down, believed only if the command line fits,
 * for the number may long be another program's.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** How a process that was started by an earlier run is known and stopped. */
export interface Trace {
  /** its first line is the number of the process */
  readonly pidFile: string
  /** what the command line of that process has in it, and that of another one has not */
  readonly mark: string
  /** asks it to end in order */
  readonly stopSignal: NodeJS.Signals
  /** ends it at once, and its children with it */
  readonly killSignal: NodeJS.Signals
}

const POLL_MS = 20
const KILLED_WITHIN_MS = 5_000

/** The number of the process that a trace leads to, while it runs; undefined: there is none. */
export function findProcess ({ pidFile, mark }: Pick<Trace, 'pidFile' | 'mark'>): number | undefined {
  const pid = readPid(pidFile)
  return pid !== undefined && pid !== process.pid && commandLineOf(pid).includes(mark) ? pid : undefined
}

/** The number in the first line of a file; undefined where there is no such file or number. */
export function readPid (pidFile: string): number | undefined {
  try {
    const pid = Number(readFileSync(pidFile, 'utf8').split('\n')[0])
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** The command line of a process, blanks between its words; empty where there is no such process (or its zombie). */
export function commandLineOf (pid: number): string {
  try {
    if (existsSync('/proc/self/cmdline')) return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
    return execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' })
  } catch {
    return '' // it has ended, before or while we looked
  }
}

/**
 * Asks a process of an earlier run to end, and ends it when it takes too long.
 * @param isAsked true: somebody has asked already, and asking twice would cut it short
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

/** Ends a process of an earlier run (or of this one) at once; does not wait. */
export function killLeftOver (trace: Trace): void {
  const pid = findProcess(trace)
  if (pid !== undefined) signal(pid, trace.killSignal)
}

async function hasEnded (trace: Trace, limitMs: number): Promise<boolean> {
  for (const deadline = Date.now() + limitMs; findProcess(trace) !== undefined;) {
    if (Date.now() > deadline) return false
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
