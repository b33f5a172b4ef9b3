/**
 * Makes a server hang: it keeps its connections and says nothing, as one whose disk stands still or whose host is cut
 * off.
 */
import { readFileSync } from 'node:fs'

/** A server that is stopped; it goes on when this is disposed of. */
export interface Hung extends Disposable {
  /** Lets it go on. */
  goOn (): void
}

/** Stops a process and its children, which can't become more then. */
export function hang (pid: number): Hung {
  process.kill(pid, 'SIGSTOP')
  const pids = [pid, ...readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(it => it !== '').map(Number)]
  const stopped = pids.filter(it => signal(it, 'SIGSTOP'))
  const goOn = () => {
    for (const it of stopped.splice(0)) signal(it, 'SIGCONT')
  }
  return { goOn, [Symbol.dispose]: goOn }
}

/** @returns whether there is such a process */
function signal (pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name)
  } catch {
    return false
  }
}
