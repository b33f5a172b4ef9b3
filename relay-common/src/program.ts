import { flushCompileCache } from 'node:module'
import { setTimeout as delay } from 'node:timers/promises'

import closeWithGrace from 'close-with-grace'

import { RelayError } from './errors.ts'
import { createLogger, type Logger } from './log.ts'
import { version } from './version.ts'

/**
 * What Node.js itself is started with for a program, by its name. Its image does the same.
 *
 * The API's young generation is small. What an answer is made of is garbage after a millisecond, so a large one saves few
 * collections, and each of them stops all answers for as long as it takes: half as large, half as long.
 */
export function nodeArgsOf (program: string): readonly string[] {
  return program === 'api' ? ['--max-semi-space-size=8'] : []
}

/** By then all that a start needs once is garbage. Where Node.js was started with `--expose-gc`, it is given back. */
const STARTED_AFTER_MS = 20_000

/** A running program: `done` settles when it ends by itself, with the error if there was one; then it is closed. */
export interface Running {
  readonly done?: Promise<void>
  /** Goes on working for as long as whoever sends clients here takes to notice that it will end. */
  drain? (): Promise<void>
  close (): Promise<void>
}

export interface ProgramConfig {
  readonly LOG_LEVEL: string
  readonly SHUTDOWN_TIMEOUT_MS: number
  readonly SHUTDOWN_DRAIN_MS?: number
}

/**
 * Runs a program from start to exit: SIGTERM and SIGINT drain it, close it and exit 0; a second signal or the deadline ends it at
 * once; an error that nobody handled is one line and exit 1. Started by another process with an IPC channel, it
 * reports `ready` there and closes when that channel does, so that it never outlives a parent that was killed.
 */
export async function runProgram<C extends ProgramConfig> (
  name: string, readSettings: () => C, start: (config: C, log: Logger) => Promise<Running>
): Promise<void> {
  if (process.argv.includes('--version')) {
    console.log(version)
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
    flushCompileCache() // where there is one: a program that is killed writes nothing at its end
    if (!running.done) return
    await running.done
    if (!isClosing) grace.close() // its work is done: an exit 0 like that after a SIGTERM
  } catch (error) {
    const closed = running?.close().catch(closeError => {
      if (closeError !== error) log.error({ err: closeError }, 'could not shut down cleanly')
    })
    await Promise.race([closed, delay(closeMaxMs)]) // what has failed may not be able to close
    fail(error)
  }
}
