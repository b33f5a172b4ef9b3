import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Sends a signal to a process, unless it has just ended. */
export function sendSignal (pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Ends a process and its children at once. Surviving children of PostgreSQL prevent its next start. */
export async function killTree (pid: number): Promise<void> {
  const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid='])
  const processes = stdout.trim().split('\n').map(line => line.trim().split(/\s+/).map(Number))
  const children = processes.filter(([, parent]) => parent === pid).map(([child]) => child)
  for (const it of [pid, ...children]) sendSignal(it, 'SIGKILL')
}
