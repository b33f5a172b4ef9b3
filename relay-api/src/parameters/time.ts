/**
 * `start` and `end`: the range [start, end).
 *
 *     2024-01-01T00:00:00Z   2024-01-01T02:00:00+02:00     ISO-8601 with an offset
 *     now   now-7d   -24h   now+5m                         relative to the moment of the query; s, m, h, d, w
 */
import { parseDuration, RelayError, unitsMs, type DurationUnit } from 'relay-common'
import { DAY_MS, HOUR_MS, parseTimestamp, YEAR_0_MS, YEAR_10000_MS, type TimeRange } from 'relay-rollups'
import { Type, type Static, type TObject } from 'typebox'

const TIME_CHARACTERS_MAX = 64

const Time = (description: string, preset: string) => Type.String({
  maxLength: TIME_CHARACTERS_MAX,
  default: preset,
  description: `${description}: ISO-8601 with an offset, or relative to now: \`now\`, \`-24h\`, \`now-7d\``
})

/** For the query schema of a route with a range. */
export const rangeParameters = {
  start: Time('start of the range, inclusive', '-24h'),
  end: Time('end of the range, exclusive', 'now')
}

export type RangeQuery = Static<TObject<typeof rangeParameters>>

export interface AskedRange extends TimeRange {
  /** one end moves with the clock: the same query means another range later */
  readonly isRelative: boolean
}

/**
 * Reads `start` and `end`.
 * @param nowMs the clock
 * @throws RelayError RELAY_PARAMETER_INVALID, RELAY_RANGE_INVALID, RELAY_RANGE_TOO_LONG
 */
export function parseRange ({ start, end }: RangeQuery, nowMs: number, rangeMaxDays: number): AskedRange {
  const startMs = parseTimeParameter('start', start, nowMs)
  const endMs = parseTimeParameter('end', end, nowMs)
  if (endMs <= startMs) {
    throw new RelayError('RELAY_RANGE_INVALID', 'end must be after start', { parameter: 'end' })
  }
  checkLength({ startMs, endMs }, rangeMaxDays)
  return { startMs, endMs, isRelative: [start, end].some(it => parseTimestamp(withPlus(it)) === undefined) }
}

/** @throws RelayError RELAY_RANGE_TOO_LONG */
export function checkLength ({ startMs, endMs }: TimeRange, rangeMaxDays: number): void {
  if (endMs - startMs <= rangeMaxDays * DAY_MS) return
  throw new RelayError('RELAY_RANGE_TOO_LONG',
    `from start to end are more than ${rangeMaxDays} days`, { parameter: 'start' })
}

function parseTimeParameter (parameter: string, text: string, nowMs: number): number {
  const timeMs = parseTime(text, nowMs)
  if (timeMs !== undefined) return timeMs
  throw new RelayError('RELAY_PARAMETER_INVALID', `${parameter} must be an ISO-8601 time with an offset, such as ` +
    '2024-01-01T00:00:00Z, or relative to now, such as now, -24h or now-7d', { parameter })
}

const units: readonly DurationUnit[] = ['s', 'm', 'h', 'd', 'w']

/**
 * Reads a duration, such as `30s`, `15m` or `1h`.
 * @throws RelayError RELAY_PARAMETER_INVALID
 */
export function parseDurationParameter (parameter: string, text: string, maxMs: number): number {
  const durationMs = parseDuration(text, units) ?? 0
  if (durationMs > 0 && durationMs <= maxMs) return durationMs
  throw new RelayError('RELAY_PARAMETER_INVALID',
    `${parameter} must be a duration such as 30s, 15m or 1h, at most ${maxMs / HOUR_MS} h`, { parameter })
}

/** @returns ms since the epoch; undefined: invalid, or a year without four digits */
export function parseTime (text: string, nowMs: number): number | undefined {
  const absoluteMs = parseTimestamp(withPlus(text))
  if (absoluteMs !== undefined) return absoluteMs
  const parts = /^(?:now)?(?:([-+ ])(\d{1,9})([smhdw]))?$/.exec(text)
  if (parts === null || text === '') return undefined
  const [, sign, amount = '0', unit = 's'] = parts
  const timeMs = nowMs + (sign === '-' ? -1 : 1) * Number(amount) * unitsMs[unit as DurationUnit]
  return timeMs >= YEAR_0_MS && timeMs < YEAR_10000_MS ? timeMs : undefined
}

/** A `+` that was not percent-encoded in the URL was decoded to a space. */
export function withPlus (time: string): string {
  return time.replace(/ (?=\d\d(:?\d\d)?$)/, '+')
}
