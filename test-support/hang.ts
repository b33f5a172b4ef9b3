/**
 * Makes a server hang: it keeps its connections and does not answer, like one with a stalled disk or a disconnected
 * host.
 */
import { readFileSync } from 'node:fs'

/** A paused server; it continues when this is disposed of. */
export interface Hung extends Disposable {
  /** Continues it. */
  goOn (): void
}

/** Pauses a process and its children, so that no more are created. */
export function hang (pid: number): Hung {
  process.kill(pid, 'SIGSTOP')
  const pids = [
    pid, ...readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(it => it !== '').map(Number)
  ]
  const stopped = pids.filter(it => signal(it, 'SIGSTOP'))
  const goOn = () => {
    for (const it of stopped.splice(0)) signal(it, 'SIGCONT')
  }
  return { goOn, [Symbol.dispose]: goOn }
}

/** @returns whether the process exists */
function signal (pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name)
  } catch {
    return false
  }
}
