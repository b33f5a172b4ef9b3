import { pino, stdTimeFunctions, type Logger } from 'pino'

import { escapeUnsafe } from './printable.ts'

export type { Logger } from 'pino'

/**
 * A program's logger: JSON lines on stdout, UTC times, with the program's name.
 * @param program e.g. `relay-processor`
 * @param level least severe level that is written
 */
export function createLogger (program: string, level: string): Logger {
  return pino({
    name: program,
    level,
    timestamp: stdTimeFunctions.isoTime,
    base: { pid: process.pid },
    formatters: { level: label => ({ level: label }) },
    hooks: { streamWrite: escapeUnsafe } // somebody reads it on a terminal, and clients chose some of it
  })
}
