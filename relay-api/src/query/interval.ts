/**
 * Intervals: the length of the rows of an answer, on the clock of a zone.
 *
 *     5m   15m   1h   6h      parts of a day: a row begins when the clock shows a multiple of it, or is set across one
 *     1d   7d                 local days; of several, counted from 1970-01-01
 *     1w                      weeks from Monday to Sunday; of several, counted from the first Monday before 1970
 *     1mo  3mo  1y            calendar months; of several, those of a year
 *     range                   one row
 */
import { DAY_MS, HOUR_MS, MINUTE_MS, type TimeRange } from 'relay-rollups'

import { createBoundaries, type Boundaries } from './boundaries.ts'
import type { ZoneClock } from './zone-clock.ts'

export type Interval =
  | { readonly name: string, readonly kind: 'clock', readonly sizeMs: number }
  | { readonly name: string, readonly kind: 'days', readonly days: number, readonly firstDay: number }
  | { readonly name: string, readonly kind: 'months', readonly months: number }
  | { readonly name: string, readonly kind: 'range' }

const MONDAY = -3 // 1969-12-29, in days since 1970-01-01
const COUNT_MAX = 1_440

/** Choices of `auto`, and suggestions if an interval is too fine. */
const ladder = [
  '1m', '2m', '5m', '10m', '15m', '30m', '1h', '2h', '3h', '6h', '12h', '1d', '1w', '1mo', '3mo', '1y', 'range'
].map(it => parseInterval(it)!)

/** @returns undefined: not an interval, or one that does not divide a day (or a year) */
export function parseInterval (name: string): Interval | undefined {
  if (name === 'range') return { name, kind: 'range' }
  const parts = /^([1-9]\d{0,3})(mo|[mhdwy])$/.exec(name)
  const count = Number(parts?.[1])
  if (parts === null || count > COUNT_MAX) return undefined
  switch (parts[2]) {
    case 'm': return clockInterval(name, count * MINUTE_MS)
    case 'h': return clockInterval(name, count * HOUR_MS)
    case 'd': return { name, kind: 'days', days: count, firstDay: 0 }
    case 'w': return { name, kind: 'days', days: 7 * count, firstDay: MONDAY }
    case 'mo': return 12 % count === 0 ? { name, kind: 'months', months: count } : undefined
    default: return { name, kind: 'months', months: 12 * count }
  }
}

function clockInterval (name: string, sizeMs: number): Interval | undefined {
  if (sizeMs === DAY_MS) return { name, kind: 'days', days: 1, firstDay: 0 }
  return DAY_MS % sizeMs === 0 ? { name, kind: 'clock', sizeMs } : undefined
}

/**
 * The boundaries of a range's rows: its start, every start of a row in it, and its end.
 * @param max most rows
 * @returns undefined: there are more
 */
export function cutRange (
  { startMs, endMs }: TimeRange, interval: Interval, clock: ZoneClock, max: number
): Boundaries | undefined {
  if ((endMs - startMs) / longestMs(interval) > max) return undefined // known without computing
  const boundaries = createBoundaries()
  boundaries.add(startMs)
  for (let atMs = startMs; atMs < endMs;) {
    if (boundaries.length > max) return undefined
    atMs = nextBoundaryMs(atMs, interval, clock)
    const stretch = atMs < endMs ? clock.stretchAt(atMs) : undefined
    if (stretch && interval.kind === 'clock' && (atMs + stretch.offsetMs) % interval.sizeMs === 0) {
      // up to the next change of the clock all steps are equal
      const lastMs = Math.min(stretch.endMs, endMs) - 1
      const count = Math.floor((lastMs - atMs) / interval.sizeMs) + 1
      if (boundaries.length + count > max) return undefined
      boundaries.add(atMs, interval.sizeMs, count)
      atMs += (count - 1) * interval.sizeMs
    } else {
      boundaries.add(Math.min(atMs, endMs))
    }
  }
  return boundaries
}

/** The row that contains a time, for any range. @param interval not `range` */
export function rowAround (timeMs: number, interval: Interval, clock: ZoneClock): TimeRange {
  let startMs = nextBoundaryMs(timeMs - longestMs(interval), interval, clock)
  for (;;) {
    const endMs = nextBoundaryMs(startMs, interval, clock)
    if (endMs > timeMs) return { startMs, endMs }
    startMs = endMs
  }
}

/** Upper bound of the length of a row. */
export function longestMs (interval: Interval): number {
  switch (interval.kind) {
    case 'clock': return 2 * interval.sizeMs // the clock is set back by less, or across a boundary
    case 'days': return (interval.days + 1) * DAY_MS
    case 'months': return (interval.months * 31 + 1) * DAY_MS
    case 'range': return Infinity
  }
}

/** The first start of a row after a time. */
function nextBoundaryMs (timeMs: number, interval: Interval, clock: ZoneClock): number {
  switch (interval.kind) {
    case 'clock': return nextOnClockMs(timeMs, interval.sizeMs, clock)
    case 'days': {
      const { days, firstDay } = interval
      const day = clock.dayNumberAt(timeMs)
      return firstAfter(timeMs, n => clock.dayStartMs((Math.floor((day - firstDay) / days) + n) * days + firstDay))
    }
    case 'months': {
      const today = new Date(clock.dayNumberAt(timeMs) * DAY_MS)
      const month = today.getUTCFullYear() * 12 + today.getUTCMonth()
      return firstAfter(timeMs, n => {
        const next = (Math.floor(month / interval.months) + n) * interval.months
        return clock.dayStartMs(firstOfMonth(next))
      })
    }
    case 'range': return Infinity
  }
}

/** In a zone that skips a day, two days start at once. */
function firstAfter (timeMs: number, boundaryMs: (n: number) => number): number {
  for (let n = 1; ; n++) {
    const atMs = boundaryMs(n)
    if (atMs > timeMs) return atMs
  }
}

/** @param month months since year 0 @returns days since 1970-01-01 */
function firstOfMonth (month: number): number {
  const date = new Date(0)
  date.setUTCFullYear(Math.floor(month / 12), month % 12, 1) // Date.UTC would read the years 0 to 99 as 1900 to 1999
  return date.getTime() / DAY_MS
}

/** Most zones have at most one change between two boundaries; each is handled. */
function nextOnClockMs (timeMs: number, sizeMs: number, clock: ZoneClock): number {
  let stretch = clock.stretchAt(timeMs)
  const shown = timeMs + stretch.offsetMs
  let nextMs = (Math.floor(shown / sizeMs) + 1) * sizeMs - stretch.offsetMs
  while (nextMs >= stretch.endMs) { // the clock is set before that
    const changeMs = stretch.endMs
    const before = changeMs - 1 + stretch.offsetMs
    stretch = clock.stretchAt(changeMs)
    const after = changeMs + stretch.offsetMs
    if (after % sizeMs === 0 || Math.floor(before / sizeMs) !== Math.floor(after / sizeMs)) return changeMs
    nextMs = (Math.floor(after / sizeMs) + 1) * sizeMs - stretch.offsetMs
  }
  return nextMs
}

/** The shortest interval with so few rows that also passes a test, and the boundaries of its rows. */
export function shortestInterval (
  range: TimeRange, clock: ZoneClock, rowsMax: number, fits: (boundaries: Boundaries) => boolean = () => true
): { readonly interval: Interval, readonly boundaries: Boundaries } {
  for (const interval of ladder) {
    const boundaries = cutRange(range, interval, clock, rowsMax)
    if (boundaries !== undefined && fits(boundaries)) return { interval, boundaries }
  }
  throw new RangeError('one row for the whole range always fits')
}
