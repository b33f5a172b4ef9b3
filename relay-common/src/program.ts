import { flushCompileCache } from 'node:module'
import { setTimeout as delay } from 'node:timers/promises'

import closeWithGrace from 'close-with-grace'

import { RelayError } from './errors.ts'
import { createLogger, type Logger } from './log.ts'
import { version } from './version.ts'

/**
 * Node.js options of a program, by its name. Its image uses the same.
 *
 * The API has a small young generation, because each collection stops all answers, and a large one takes longer. It is
 * not smaller still: data of answers in progress would be copied too often (docs/notes/performance.md).
 */
export function nodeArgsOf (program: string): readonly string[] {
  return program === 'api' ? ['--max-semi-space-size=16'] : []
}

/** After this time the memory of the start is garbage. With `--expose-gc` it is collected. */
const STARTED_AFTER_MS = 20_000

/** A running program: `done` settles when it ends by itself, with its error if any; it is closed then. */
export interface Running {
  readonly done?: Promise<void>
  /** Continues to work until senders of requests have noticed that it will stop. */
  drain? (): Promise<void>
  close (): Promise<void>
}

export interface ProgramConfig {
  readonly LOG_LEVEL: string
  readonly SHUTDOWN_TIMEOUT_MS: number
  readonly SHUTDOWN_DRAIN_MS?: number
}

/**
 * Runs a program from start to exit. SIGTERM and SIGINT drain it, close it and exit with 0. A second signal or the
 * deadline ends it at once. An unhandled error is one line and exit code 1. A process started with an IPC channel
 * reports `ready` on it and closes with it, so it never outlives a killed parent.
 * @param hasOptions whether `readSettings` reads the command line; otherwise an argument is an error
 */
export async function runProgram<C extends ProgramConfig> (
  name: string, readSettings: () => C, start: (config: C, log: Logger) => Promise<Running>,
  hasOptions = false
): Promise<void> {
  if (process.argv.includes('--version')) {
    console.log(version)
    return
  }
  const [argument] = hasOptions ? [] : process.argv.slice(2)
  if (argument === '--help' || argument === '-h') {
    console.log(`${name} has no options; environment variables configure it (docs/configuration.md)`)
    return
  }
  let log = createLogger(name, 'info')
  let running: Running | undefined
  let closeMaxMs = 0
  let isClosing = false

  const fail = (error: unknown): never => {
    if (error instanceof RelayError) log.fatal({ code: error.code, err: error.cause }, error.message)
    else log.fatal({ err: error }, 'stopped by an unexpected error')
    process.exit(1)
  }

  try {
    if (argument !== undefined) {
      throw new RelayError('RELAY_CONFIG_INVALID',
        `unknown argument ${argument}: ${name} has no options; environment variables configure it ` +
        '(docs/configuration.md)')
    }
    const config = readSettings()
    log = createLogger(name, config.LOG_LEVEL)
    closeMaxMs = config.SHUTDOWN_TIMEOUT_MS
    const { SHUTDOWN_DRAIN_MS: drainMs = 0 } = config
    const grace = closeWithGrace({ delay: drainMs + closeMaxMs, logger: log }, async ({ signal, err }) => {
      isClosing = true
      if (err) log.fatal({ err }, 'stopped by an unexpected error')
      else log.info({ signal }, 'stopping')
      if (signal) await running?.drain?.()
      await running?.close()
    })
    process.once('disconnect', () => grace.close())

    running = await start(config, log)
    process.send?.('ready')
    setTimeout(() => globalThis.gc?.({ type: 'major', flavor: 'last-resort' }), STARTED_AFTER_MS).unref()
    flushCompileCache() // if there is one: a killed program writes nothing at its end
    if (!running.done) return
    await running.done
    if (!isClosing) grace.close() // its work is done: exit code 0, as after a SIGTERM
  } catch (error) {
    const closed = running?.close().catch(closeError => {
      if (closeError !== error) log.error({ err: closeError }, 'could not shut down cleanly')
    })
    await Promise.race([closed, delay(closeMaxMs)]) // a failed program may not be able to close
    fail(error)
  }
}
