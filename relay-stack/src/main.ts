/**
 * `npm start`: the local stack as a process, with options, signals, a deadline and exit codes.
 *
 *     first signal --> programs, event log, PostgreSQL stop in order --> exit 0
 *     an unexpected error, or npm is gone --> the same --> exit 1
 *     second signal, or the deadline --> all of it is killed --> exit 1
 */
import { flushCompileCache } from 'node:module'
import { dirname } from 'node:path'

import { RelayError } from 'relay-common'

import { killAll } from './data-dir.ts'
import { fullDisk } from './disk.ts'
import { explainFileError } from './file-error.ts'
import { parseOptions } from './options.ts'
import { startStack } from './stack.ts'

process.umask(0o077) // files written by us and our children are closed to all others

const STOP_TIMEOUT_MS = 45_000
/** npm forwards a Ctrl-C that we also got from the terminal: one key, two signals. */
const SAME_SIGNAL_MS = 1_000

const options = parseOptions(process.argv.slice(2), process.env, process.env.INIT_CWD ?? process.cwd())
const stopping = new AbortController()
const say = (text: string) => process.stdout.write(text)
// a closed terminal sends SIGHUP and accepts no text: that must not disturb the stop
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

let signalledMs: number | undefined
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    if (signalledMs === undefined) {
      signalledMs = performance.now()
      say(`\n${name}: stopping; send it again to stop at once\n`)
      stopping.abort()
      startDeadline()
    } else if (performance.now() - signalledMs > SAME_SIGNAL_MS) {
      endAtOnce('a second signal')
    }
  })
}
let isFailed = false
process.on('uncaughtException', error => fail(describe(error)))
if (process.env.npm_lifecycle_event === 'start') stopWithNpm()

process.exit(await run())

async function run (): Promise<number> {
  try {
    const stack = await startStack(options, process.env, say, stopping.signal)
    globalThis.gc?.({ type: 'major', flavor: 'last-resort' }) // a start leaves much garbage, and the rest needs little
    flushCompileCache()
    const end = await Promise.race([stack.gaveUp, whenStopped()])
    if (end !== undefined) {
      process.stderr.write(`${end} keeps dying; see its log. Stopping the rest\n`)
      startDeadline()
    }
    await stack.close()
    say('stopped\n')
    return end !== undefined || isFailed ? 1 : 0
  } catch (error) {
    if (stopping.signal.aborted) return isFailed ? 1 : 0 // stopped during the start
    const full = await fullDisk(options.dataDir) ?? await fullDisk(dirname(options.dataDir))
    process.stderr.write((full ? `${full}; free some space, or use another with --data-dir` : describe(error)) + '\n')
    return 1
  }
}

/** One line for errors that people can fix; the full stack for ours. */
function describe (error: unknown): string {
  const explained = explainFileError(error, 'a file of the stack', '--data-dir')
  return explained instanceof RelayError ? explained.message : `an unexpected error: ${(error as Error).stack}`
}

function whenStopped (): Promise<undefined> {
  return new Promise(resolve => {
    if (stopping.signal.aborted) resolve(undefined)
    else stopping.signal.addEventListener('abort', () => resolve(undefined))
  })
}

/** Stops in order after a failure. */
function fail (why: string): void {
  process.stderr.write(`stopping: ${why}\n`)
  isFailed = true
  if (!stopping.signal.aborted) startDeadline()
  stopping.abort()
}

/** A killed npm could not forward a signal. But if we were started directly, we continue. */
function stopWithNpm (): void {
  const npm = process.ppid
  setInterval(() => { if (process.ppid !== npm && !stopping.signal.aborted) fail('npm is gone') }, 500).unref()
}

function startDeadline (): void {
  setTimeout(() => endAtOnce(`it took longer than ${STOP_TIMEOUT_MS / 1_000} s`), STOP_TIMEOUT_MS).unref()
}

function endAtOnce (why: string): never {
  process.stderr.write(`killing all processes: ${why}\n`)
  killAll(options.dataDir)
  process.exit(1)
}
