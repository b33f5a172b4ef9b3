/**
 * Rate-limited log lines that unknown clients can cause: the first of a kind at once, and all others of a window as one
 * line at its end, with their number. So a window has a bounded number of lines.
 */
import type { Logger } from 'relay-common'

export interface LineKind {
  /** what happened: lines of one kind and address are counted together */
  readonly kind: string
  readonly address: string
}

export interface SparingLog {
  /** @param fields of the line; for counted lines those of the first */
  warn (kind: LineKind, fields: object, message: string): void
  /** Writes the current counts. */
  close (): void
}

export const WINDOW_MS = 60_000
/** distinct kinds and addresses in one window; others count as one kind */
const TOLD_APART_MAX = 1_000

interface Counted {
  readonly fields: object
  readonly message: string
  further: number
}

export function openSparingLog (log: Logger, windowMs = WINDOW_MS): SparingLog {
  let counted = new Map<string, Counted>()
  const flush = () => {
    for (const { fields, message, further } of counted.values()) {
      if (further > 0) log.warn({ ...fields, further, windowMs }, message)
    }
    counted = new Map()
  }
  const timer = setInterval(flush, windowMs).unref()
  return {
    warn ({ kind, address }, fields, message) {
      const key = `${address} ${kind}`
      const known = counted.get(key)
      if (known) {
        known.further++
      } else if (counted.size < TOLD_APART_MAX) {
        counted.set(key, { fields, message, further: 0 })
        log.warn(fields, message)
      } else {
        const rest = counted.get('') ?? { fields: { act: 'various', address: 'various' }, message, further: 0 }
        rest.further++
        counted.set('', rest)
      }
    },
    close () {
      clearInterval(timer)
      flush()
    }
  }
}
