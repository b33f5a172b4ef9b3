/** The log of one request: a child of the program's, created on first use, which few requests need. */
import type { FastifyBaseLogger } from 'fastify'

type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'
type Said = readonly unknown[]

class LateLog {
  readonly #make: () => FastifyBaseLogger
  #made: FastifyBaseLogger | undefined

  constructor (make: () => FastifyBaseLogger) {
    this.#make = make
  }

  get level (): string { return this.#log.level }
  child (...said: Parameters<FastifyBaseLogger['child']>): FastifyBaseLogger { return this.#log.child(...said) }
  fatal (...said: Said): void { this.#write('fatal', said) }
  error (...said: Said): void { this.#write('error', said) }
  warn (...said: Said): void { this.#write('warn', said) }
  info (...said: Said): void { this.#write('info', said) }
  debug (...said: Said): void { this.#write('debug', said) }
  trace (...said: Said): void { this.#write('trace', said) }
  silent (...said: Said): void { this.#write('silent', said) }

  get #log (): FastifyBaseLogger { return (this.#made ??= this.#make()) }

  #write (level: LogLevel, said: Said): void {
    (this.#log[level] as (...said: Said) => void)(...said)
  }
}

/** @param make creates the child */
export function openRequestLog (make: () => FastifyBaseLogger): FastifyBaseLogger {
  return new LateLog(make) as FastifyBaseLogger
}
