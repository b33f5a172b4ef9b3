/** No process of a benchmark outlives it, however it ends. */
import type { ChildProcess } from 'node:child_process'

const running = new Set<ChildProcess>()

process.once('exit', endChildren)

/** Ends a child with its run. */
export function endWith (child: ChildProcess): Disposable {
  running.add(child)
  return {
    [Symbol.dispose] () {
      running.delete(child)
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    }
  }
}

/** Ends all children, before the servers that they use. */
export function endChildren (): void {
  for (const child of running) child.kill('SIGKILL')
}

/**
 * A signal that ends the benchmark ends its children, then its servers.
 * @param close ends the servers; may be called again
 */
export function endOnSignal (close: () => Promise<void>): Disposable {
  const interrupted = () => {
    endChildren()
    close().finally(() => process.exit(130))
  }
  for (const signal of signals) process.once(signal, interrupted)
  return { [Symbol.dispose]: () => { for (const signal of signals) process.off(signal, interrupted) } }
}

const signals = ['SIGINT', 'SIGTERM'] as const
