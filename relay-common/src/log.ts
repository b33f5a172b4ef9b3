import { pino, stdTimeFunctions, type Logger } from 'pino'

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
    formatters: { level: label => ({ level: label }) }
  })
}
