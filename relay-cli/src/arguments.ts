/** Values of command line arguments. */
import { InvalidArgumentError } from 'commander'
import { parseDuration, type DurationUnit } from 'relay-common'
import { parseLetterPlace, type LetterPlace } from 'relay-dead-letters'
import { parseTimestamp } from 'relay-rollups'

const units: readonly DurationUnit[] = ['s', 'm', 'h', 'd']

/**
 * A time: ISO-8601 with an offset, a day (`2024-01-31`, from 00:00 UTC), or an age (`90m`, `24h`, `7d`).
 * @returns ms since the epoch
 */
export function parseTime (text: string): number {
  const agoMs = parseDuration(text.replace(/^-/, ''), units)
  if (agoMs !== undefined) return Date.now() - agoMs
  const timeMs = parseTimestamp(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text)
  if (timeMs === undefined) {
    throw new InvalidArgumentError('Must be a time such as 2024-01-31T12:00:00Z, 2024-01-31 or 24h (ago).')
  }
  return timeMs
}

/** A time, or a bare number, which is an offset. */
export function parseTimeOrOffset (text: string): { readonly timeMs: number } | { readonly offset: bigint } {
  return /^\d+$/.test(text) ? { offset: BigInt(text) } : { timeMs: parseTime(text) }
}

export function parseCount (text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 0) throw new InvalidArgumentError('Must be a whole number.')
  return count
}

/** A maximum: a whole number above 0. */
export function parseLimit (text: string): number {
  const limit = parseCount(text)
  if (limit === 0) throw new InvalidArgumentError('Must be a whole number above 0.')
  return limit
}

/** A place in a log: `<partition>:<offset>`. */
export function parsePlace (text: string): LetterPlace {
  const place = parseLetterPlace(text)
  if (!place) throw new InvalidArgumentError('Must be a partition and offset such as 0:1234.')
  return place
}

/** A duration: `30s`, `90m`, `24h`, `7d`. @returns ms */
export function parseDurationArgument (text: string): number {
  const ms = parseDuration(text, units)
  if (ms === undefined) throw new InvalidArgumentError('Must be a duration such as 30s, 90m, 24h or 7d.')
  return ms
}

/** A folder. An empty one is mostly an unset variable of a script; it would be another folder than meant. */
export function parseFolder (text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('Must not be empty.')
  return text
}
