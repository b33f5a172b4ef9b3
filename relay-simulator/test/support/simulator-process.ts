/** A simulator as a process, as the stack starts it. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export interface LogLine {
  readonly level: string
  readonly msg: string
  readonly [field: string]: unknown
}

export interface SimulatorProcess {
  readonly process: ChildProcess
  /** its log so far */
  readonly lines: LogLine[]
  /** its exit code at its end; null: a signal ended it */
  readonly exited: Promise<number | null>
  /** lines with a message */
  said (message: string): LogLine[]
}

/** Starts a simulator; it ends with the test in any case. */
export function startSimulatorProcess (
  t: TestContext, environment: NodeJS.ProcessEnv, args: readonly string[] = []
): SimulatorProcess {
  const child = spawn(process.execPath, [main, ...args], {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc']
  })
  const lines: LogLine[] = []
  createInterface({ input: child.stdout! }).on('line', line => lines.push(JSON.parse(line)))
  const exited = once(child, 'close').then(([code]) => code as number | null)
  t.after(async () => {
    child.kill('SIGKILL')
    await exited
  })
  return { process: child, lines, exited, said: message => lines.filter(it => it.msg === message) }
}
