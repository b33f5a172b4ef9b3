/**
 * Relay's programs as processes. Each reports `ready` over its IPC channel, and closes with it, so none is left behind.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { nodeArgsOf, RelayError } from 'relay-common'

import { readLastLines } from './log-files.ts'
import { pidFileOf, type Trace } from './process-table.ts'
import type { RunningPart } from './supervise.ts'

/** `backfill` is a second simulator, which only sends history and then ends. */
export const programNames = ['simulator', 'processor', 'api', 'issuer', 'backfill'] as const
export type ProgramName = typeof programNames[number]

const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 12_000 // a program ends by itself after SHUTDOWN_TIMEOUT_MS, 10 s
const LAST_LINES = 5
/**
 * Data of a few devices is garbage at once: a small young generation saves tens of MB, and costs a large fleet more
 * collections. The API has a larger one, because everybody waits for the collections of one large answer. Programs that
 * may collect garbage release the memory of their start. The script `start` of package.json limits malloc to one arena
 * that returns free memory, for all processes of the stack: arenas of Node's threads would keep 10 MB per program.
 */
function sparingNode (name: ProgramName): string[] {
  return [`--max-semi-space-size=${name === 'api' ? 4 : 1}`, '--expose-gc']
}

export interface ProgramSettings {
  readonly name: ProgramName
  readonly environment: NodeJS.ProcessEnv
  readonly logFile: string
  /** folder of the files with process ids */
  readonly pids: string
  /** ends the wait for `ready`, and the program with it */
  readonly signal: AbortSignal
}

export interface RunningProgram extends RunningPart {
  readonly exited: Promise<string>
  /** the exit code, once it has exited; null: a signal ended it */
  readonly exitCode: number | null
}

const mainOf = (name: ProgramName) =>
  fileURLToPath(new URL(`../../relay-${name === 'backfill' ? 'simulator' : name}/src/main.ts`, import.meta.url))

export function programTrace (pids: string, name: ProgramName): Trace {
  return { pidFile: join(pids, `${name}.pid`), mark: mainOf(name), stopSignal: 'SIGTERM', killSignal: 'SIGKILL' }
}

/**
 * Starts a program and waits until it is ready.
 * @throws RelayError RELAY_PROGRAM_FAILED with its last lines, if it ends or stays silent; RELAY_PORT_IN_USE
 */
export async function startProgram (settings: ProgramSettings): Promise<RunningProgram> {
  const { name, environment, logFile, pids, signal } = settings
  const { pidFile } = programTrace(pids, name)
  const output = await open(logFile, 'a', 0o600)
  const child = spawn(process.execPath, [...nodeArgsOf(name), ...sparingNode(name), mainOf(name)], {
    env: environment,
    // a separate process group: Ctrl-C in a terminal is for us, and we stop the programs once and in order
    detached: true,
    stdio: ['ignore', output.fd, output.fd, 'ipc']
  })
  const exited = Promise.withResolvers<string>()
  child.once('error', error => exited.resolve(error.message)) // it could not be started
  child.once('exit', (code, by) => exited.resolve(by ? `killed by ${by}` : `exit code ${code}`))
  await output.close()
  if (child.pid) {
    await writeFile(pidFile, pidFileOf(child.pid)).catch(async error => {
      await stop(child, exited.promise) // nobody would find it again
      throw error
    })
  }

  const outcome = await waitUntilReady(child, exited.promise, signal)
  if (outcome !== 'ready') {
    await stop(child, exited.promise)
    const lines = await readLastLines(logFile, LAST_LINES)
    const isPort = lines.at(-1)?.includes('code=RELAY_PORT_IN_USE')
    throw new RelayError(isPort ? 'RELAY_PORT_IN_USE' : 'RELAY_PROGRAM_FAILED',
      `${name} did not start: ${outcome}; its last lines (all in ${logFile}):\n${lines.join('\n')}`)
  }

  let closed: Promise<void> | undefined
  return {
    pid: child.pid!,
    exited: exited.promise,
    get exitCode () { return child.exitCode },
    close: () => (closed ??= stop(child, exited.promise).then(() => rm(pidFile, { force: true })))
  }
}

async function waitUntilReady (child: ChildProcess, exited: Promise<string>, signal: AbortSignal): Promise<string> {
  const given = AbortSignal.any([signal, AbortSignal.timeout(START_TIMEOUT_MS)])
  const cutShort = Promise.withResolvers<string>()
  const cut = () =>
    cutShort.resolve(signal.aborted ? 'it was stopped' : `it was not ready within ${START_TIMEOUT_MS / 1_000} s`)
  given.addEventListener('abort', cut)
  if (given.aborted) cut()
  const ready = new Promise<string>(resolve => child.once('message', () => resolve('ready')))
  try {
    return await Promise.race([ready, exited, cutShort.promise])
  } finally {
    given.removeEventListener('abort', cut)
  }
}

async function stop (child: ChildProcess, exited: Promise<string>): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
  await exited
  clearTimeout(timer)
}
