/** Parameters that split a range into rows: `interval`, `tz` and `maxPoints`. */
import { RelayError } from 'relay-common'
import { bucketStartMs, DAY_MS, HOUR_MS, type TimeRange } from 'relay-rollups'
import { Type, type Static, type TObject } from 'typebox'

import type { Boundaries } from '../query/boundaries.ts'
import { cutRange, parseInterval, shortestInterval, type Interval } from '../query/interval.ts'
import type { KeptSince } from '../query/plan.ts'
import { openZoneClock, type ZoneClock } from '../query/zone-clock.ts'

export function TimeZone (what: string) {
  return Type.String({
    default: 'UTC', maxLength: 64, description: `IANA time zone ${what}, such as \`Europe/Berlin\``
  })
}

/** For the query schema of a route with rows of intervals. */
export const intervalParameters = {
  interval: Type.String({
    default: 'auto',
    maxLength: 16,
    description: 'length of each row, on the clock of `tz`: minutes and hours that divide a day (`5m`, ' +
      '`1h`, `6h`), days (`1d`), weeks from Monday (`1w`), months that divide a year (`1mo`, `3mo`), ' +
      'years (`1y`), `range` (one row), or `auto`: the shortest that gives at most `maxPoints` rows'
  }),
  maxPoints: Type.Integer({
    default: 300, minimum: 1, maximum: 100_000, description: 'most rows per group, for `auto`'
  }),
  tz: TimeZone('that defines days and hours')
}

export type IntervalQuery = Static<TObject<typeof intervalParameters>>

/** @throws RelayError RELAY_PARAMETER_INVALID */
export function parseZoneClock (tz: string): ZoneClock {
  const clock = openZoneClock(tz.replace(' ', '+')) // Etc/GMT+3, not percent-encoded in the URL
  if (clock) return clock
  throw new RelayError('RELAY_PARAMETER_INVALID',
    'tz must be an IANA time zone such as Europe/Berlin', { parameter: 'tz' })
}

export interface CutRange {
  readonly interval: Interval
  /** row n is [boundaries[n], boundaries[n + 1]) */
  readonly boundaries: Boundaries
}

/**
 * Splits a range into rows.
 * @param pointsMax most rows of a group
 * @throws RelayError RELAY_PARAMETER_INVALID; RELAY_TOO_MANY_POINTS, RELAY_INTERVAL_TOO_FINE with the shortest interval
 *   that fits
 */
export function splitIntoRows (
  { interval: name, maxPoints }: IntervalQuery, range: TimeRange, clock: ZoneClock, keptSince: KeptSince,
  pointsMax: number
): CutRange {
  // with equal steps either all are on whole hours (or days) or one of the first two is not, and retention affects the
  // earliest most
  const areKept = (boundaries: Boundaries) => boundaries.firstOfRuns(2)
    .every(it => it === boundaries.at(0) || it === boundaries.at(-1) || isKept(it, keptSince))
  if (name === 'auto') return shortestInterval(range, clock, Math.min(maxPoints, pointsMax), areKept)

  const interval = parseInterval(name)
  if (!interval) {
    throw new RelayError('RELAY_PARAMETER_INVALID',
      'Invalid interval: minutes and hours must divide a day (1m, 5m, 15m, 1h, 6h), months a year (1mo, 3mo); ' +
      'days, weeks and years (1d, 1w, 1y), range and auto are allowed too', { parameter: 'interval' })
  }
  const boundaries = cutRange(range, interval, clock, pointsMax)
  const shortest = () => shortestInterval(range, clock, pointsMax, areKept).interval.name
  if (!boundaries) {
    throw new RelayError('RELAY_TOO_MANY_POINTS',
      `with interval ${name} there would be more than ${pointsMax} rows; the shortest that fits is ${shortest()}`,
      { parameter: 'interval' })
  }
  if (!areKept(boundaries)) {
    throw new RelayError('RELAY_INTERVAL_TOO_FINE',
      `part of this range is not stored at ${name}; the shortest possible interval is ${shortest()}`,
      { parameter: 'interval' })
  }
  return { interval, boundaries }
}

/** Whether buckets around a boundary are kept in a level that is fine enough. */
function isKept (timeMs: number, keptSince: KeptSince): boolean {
  const dayMs = bucketStartMs(DAY_MS, timeMs)
  if (timeMs === dayMs) return true
  const hourMs = bucketStartMs(HOUR_MS, timeMs)
  return dayMs >= keptSince.hour && (timeMs === hourMs || hourMs >= keptSince.minute)
}
