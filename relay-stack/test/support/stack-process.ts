/** The stack as users have it: a process of its own, on a data folder that goes with the test. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { until } from 'relay-test-support/until.ts'
import { commandLineOf } from '../../src/process-table.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export interface StackProcess {
  readonly pid: number
  /** all that it has written so far */
  readonly text: string
  /** resolves with the exit code, or the signal */
  readonly exited: Promise<number | string>
  /** resolves when the text has something in it. @throws when it doesn't within a minute, or the stack ends */
  said (pattern: RegExp): Promise<RegExpExecArray>
  /** resolves when the table and the curl are there */
  up (): Promise<{ pids: Record<string, number>, url: string, token: string }>
  kill (signal: NodeJS.Signals): void
}

/** A data folder that PostgreSQL can reach as another user; what runs on it ends with the test. */
export async function makeDataDir (t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(process.env.RELAY_TEST_MEMORY ?? tmpdir(), 'relay-test-stack-'))
  await chmod(folder, 0o755)
  t.after(async () => {
    await killAll(folder)
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  return join(folder, 'data')
}

/** Ends what still runs on a data folder, and waits until it is gone. */
export async function killAll (folder: string): Promise<void> {
  for (const pid of runningOn(folder)) process.kill(pid, 'SIGKILL')
  await until('what ran on the data folder to be gone', () => runningOn(folder).length === 0)
}

/** Processes that a data folder is known to: by their command line or, for the programs, by their environment. */
export function runningOn (folder: string): number[] {
  return readdirSync('/proc').map(Number).filter(pid => {
    if (!Number.isInteger(pid) || pid === process.pid || commandLineOf(pid) === '') return false
    try {
      return commandLineOf(pid).includes(folder) || readFileSync(`/proc/${pid}/environ`, 'latin1').includes(folder)
    } catch {
      return false // it has ended meanwhile
    }
  })
}

/** Starts the stack by itself, from a folder that is not the repository. */
export function startStackProcess (
  dataDir: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}
): StackProcess {
  return watch(spawn(process.execPath, [MAIN, '--data-dir', dataDir, ...args], {
    env: { ...environmentFor(dataDir), ...environment }, stdio: ['ignore', 'pipe', 'pipe'], cwd: tmpdir()
  }))
}

/** Starts the stack as users do: npm, then a shell, then the stack, in a process group as a terminal makes one. */
export function startByNpm (dataDir: string, args: readonly string[]): StackProcess {
  return watch(spawn('npm', ['start', '--', '--data-dir', dataDir, ...args], {
    env: environmentFor(dataDir), stdio: ['ignore', 'pipe', 'pipe'], cwd: ROOT, detached: true
  }))
}

/** The data folder marks the programs for runningOn; servers that the environment names would change what is tested. */
function environmentFor (dataDir: string): NodeJS.ProcessEnv {
  const none = { KAFKA_BOOTSTRAP_SERVERS: '', DATABASE_URL: '', POSTGRES_HOST: '' }
  return { ...process.env, ...none, RELAY_TEST_DATA_DIR: dataDir }
}

export const onFreePorts = ['--api-port', '0', '--kafka-port', '0', '--postgres-port', '0', '--issuer-port', '0']

function watch (child: ChildProcess): StackProcess {
  let text = ''
  let isOver = false
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', chunk => { text += chunk })
  const exited = new Promise<number | string>(resolve =>
    child.once('close', (code, signal) => { isOver = true; resolve(code ?? signal!) }))

  async function said (pattern: RegExp): Promise<RegExpExecArray> {
    await until(() => `${pattern} in:\n${text}`, () => pattern.test(text) || isOver)
    const found = pattern.exec(text)
    if (!found) throw new Error(`the stack ended without saying ${pattern}:\n${text}`)
    return found
  }

  return {
    pid: child.pid!,
    get text () { return text },
    exited,
    said,
    up: async () => {
      const [, token, url] = await said(/curl -H "Authorization: Bearer (\S+)" "(\S+)"\n/)
      const rows = text.matchAll(/^ {2}(\w+) +(?:http|127)\S+ +(\d+) /gm)
      return { pids: Object.fromEntries([...rows].map(([, part, pid]) => [part, Number(pid)])), url, token }
    },
    kill: signal => { child.kill(signal) }
  }
}

/** Stops a stack in order, and looks that nothing of it is left. */
export async function assertStops (
  stack: StackProcess, dataDir: string, signal: NodeJS.Signals, said = 'stopped'
): Promise<void> {
  stack.kill(signal)
  assert.equal(await stack.exited, 0, stack.text)
  assert.match(stack.text, new RegExp(said))
  assert.deepEqual(runningOn(dataDir), [])
}
