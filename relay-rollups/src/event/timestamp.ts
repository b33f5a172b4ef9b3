import { MINUTE_MS } from '../window.ts'

/**
 * Times as written by devices and clients, in ms since the epoch (UTC).
 *
 * Digits finer than a ms are truncated: a time belongs to the ms that contains it, also before 1970. The decimal digits
 * decide, never a double: 1704067200.001 is ms 1, although the nearest double is below.
 */

// 2024-01-01T00:00:00.123456789+01:00. Seconds may be missing, because java.time omits :00; T and Z in either case
const isoPattern =
  /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:Z|([+-])(\d\d)(?::?(\d\d))?)$/i

/** The years 0000 to 9999 in UTC: ISO-8601 has four digits. */
export const YEAR_0_MS = Date.parse('0000-01-01T00:00:00Z')
export const YEAR_10000_MS = Date.parse('9999-12-31T23:59:59.999Z') + 1

/** Widest accepted offset from UTC, as in java.time; those in use end at +14:00. */
const OFFSET_MAX_MINUTES = 18 * 60

/**
 * Reads an ISO-8601 time with its offset: `2024-01-01T00:00:00Z`, `…T02:00+02:00`, `+0200` or `+02`, with up to nine
 * decimals of the second. Years are 0000 to 9999, also in UTC. Days must exist in the (proleptic Gregorian) calendar.
 * There is no leap second and no hour 24.
 * @returns ms since the epoch, negative before 1970; undefined: invalid
 */
export function parseTimestamp (text: string): number | undefined {
  const parts = isoPattern.exec(text)
  if (parts === null) return undefined
  const [year, month, day, hour, minute] = parts.slice(1, 6).map(Number)
  const second = Number(parts[6] ?? 0)
  if (hour > 23 || minute > 59 || second > 59) return undefined

  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day) // Date.UTC would read the years 0 to 99 as 1900 to 1999
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined // no such day

  const offsetHours = Number(parts[9] ?? 0)
  const offsetRest = Number(parts[10] ?? 0)
  const offsetMinutes = offsetHours * 60 + offsetRest
  if (offsetRest > 59 || offsetMinutes > OFFSET_MAX_MINUTES) return undefined

  const millisecond = Number((parts[7] ?? '').slice(0, 3).padEnd(3, '0'))
  date.setUTCHours(hour, minute, second, millisecond)
  const timeMs = date.getTime() - (parts[8] === '-' ? -offsetMinutes : offsetMinutes) * MINUTE_MS
  return timeMs >= YEAR_0_MS && timeMs < YEAR_10000_MS ? timeMs : undefined
}

const numberPattern = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i

/** Limits of a Date: 275,760 years in both directions. All whole ms within are exact doubles. */
const TIME_MAX_MS = 8.64e15

/**
 * Reads seconds since the epoch from the text of a JSON number: `1704067200.123456789`, `1.7040672E9`.
 * @returns ms since the epoch, negative before 1970; undefined: not a number, or beyond a Date
 */
export function parseEpochSeconds (text: string): number | undefined {
  const parts = numberPattern.exec(text)
  if (parts === null) return undefined
  const [, sign, whole, fraction = '', exponent = '0'] = parts

  // the number is 0.DIGITS * 10^point ms, without leading zeros in DIGITS
  const written = whole + fraction
  const digits = written.replace(/^0+/, '')
  if (digits === '') return 0
  const point = whole.length - (written.length - digits.length) + Number(exponent) + 3
  if (point > 16) return undefined

  const wholeMs = point <= 0 ? 0 : Number(digits.slice(0, point).padEnd(point, '0'))
  const ms = sign === '' ? wholeMs : 0 - wholeMs - (/[1-9]/.test(digits.slice(Math.max(point, 0))) ? 1 : 0)
  return Math.abs(ms) <= TIME_MAX_MS ? ms : undefined
}
