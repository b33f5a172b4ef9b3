/**
 * Lines that strangers can cause, written sparingly: the first of a kind at once; of all that follow within a window one
 * line at its end, with their number. However much is sent, a window has a bounded number of lines.
 */
import type { Logger } from 'relay-common'

export interface LineKind {
  /** what happened: lines of one kind and address are counted together */
  readonly kind: string
  readonly address: string
}

export interface SparingLog {
  /** @param fields of the line; of those that are counted together the first one's */
  warn (kind: LineKind, fields: object, message: string): void
  /** Writes what was counted so far. */
  close (): void
}

export const WINDOW_MS = 60_000
/** kinds and addresses that are told apart in one window; further ones count as one kind */
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
