import { pino, stdTimeFunctions, type Logger } from 'pino'

import { escapeUnsafe } from './printable.ts'

export type { Logger } from 'pino'

/** Lines that wait for the output; further ones are dropped. */
const WAITING_MAX_BYTES = 1024 * 1024

/**
 * The logger of a program: JSON lines on stdout, with UTC times and the program's name.
 * @param program e.g. `relay-processor`
 * @param level least severe level that is logged
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
    hooks: { streamWrite: escapeUnsafe } // clients choose some of the text, and somebody reads it on a terminal
  }, output)
}

/** The output may be full or closed: a program continues without it, and reports problems on /readyz. */
function keepGoing (error: NodeJS.ErrnoException): void {
  if (!['ENOSPC', 'EDQUOT', 'EPIPE'].includes(error.code ?? '')) throw error
}
