import { pino, stdTimeFunctions, type Logger } from 'pino'

import { escapeUnsafe } from './printable.ts'

export type { Logger } from 'pino'

/** Lines that wait for room; further ones are dropped. */
const WAITING_MAX_BYTES = 1024 * 1024

/**
 * A program's logger: JSON lines on stdout, UTC times, with the program's name.
 * @param program e.g. `relay-processor`
 * @param level least severe level that is written
 */
export function createLogger (program: string, level: string): Logger {
  const output = pino.destination({ dest: 1, sync: true, maxLength: WAITING_MAX_BYTES })
  output.on('error', keepGoing)
  return pino({
    name: program,
    level,
    timestamp: stdTimeFunctions.isoTime,
    base: { pid: process.pid },
    formatters: { level: label => ({ level: label }) },
    hooks: { streamWrite: escapeUnsafe } // somebody reads it on a terminal, and clients chose some of it
  }, output)
}

/** Where the lines go may be full, or gone: a program does its work without them, and says on /readyz what is amiss. */
function keepGoing (error: NodeJS.ErrnoException): void {
  if (!['ENOSPC', 'EDQUOT', 'EPIPE'].includes(error.code ?? '')) throw error
}
