/**
 * The clock of a time zone: its offsets, starts of days, and written times.
 *
 * The rules come from the IANA database of Node, through Temporal. Between two changes of the offset everything is
 * plain arithmetic, so Temporal is called once per change instead of per bucket.
 */
import { DAY_MS, MINUTE_MS, YEAR_0_MS, YEAR_10000_MS } from 'relay-rollups'
import { Temporal } from 'temporal-polyfill'

/** A range of time with a constant offset: [startMs, endMs). */
export interface OffsetRange {
  readonly startMs: number
  readonly endMs: number
  /** local time minus UTC; whole minutes in all zones today, but not since 1970 (Liberia until 1972) */
  readonly offsetMs: number
}

export interface ZoneClock {
  /** in the spelling of IANA */
  readonly name: string
  /** The stretch that holds a time. */
  stretchAt (timeMs: number): OffsetRange
  /**
   * Start of a local day: midnight, the first of two, or the change that skips it.
   * @param dayNumber local days since 1970-01-01
   */
  dayStartMs (dayNumber: number): number
  /** The local day that contains a time, as days since 1970-01-01. */
  dayNumberAt (timeMs: number): number
  /**
   * When the clock showed the same time so many weeks earlier: the first of two, or later by what the clock skipped
   * then.
   */
  weeksBefore (timeMs: number, weeks: number): number
  /**
   * ISO-8601 with the current offset. In UTC if the offset has seconds, or the year is before 0 or after 9999, which
   * the format can't express.
   */
  write (timeMs: number): string
}

/** @returns undefined: IANA knows no such zone */
export function openZoneClock (name: string): ZoneClock | undefined {
  if (!/^[a-z][\w+/-]*$/i.test(name)) return undefined // Temporal also accepts bare offsets
  let zone: string
  try {
    zone = Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(name).timeZoneId
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }

  let stretch: OffsetRange = { startMs: 0, endMs: 0, offsetMs: 0 } // empty
  const stretchAt = (timeMs: number) => {
    if (timeMs >= stretch.startMs && timeMs < stretch.endMs) return stretch
    return (stretch = findStretch(zone, timeMs))
  }

  const dayStartMs = (dayNumber: number) => {
    const candidateMs = dayNumber * DAY_MS - stretchAt(dayNumber * DAY_MS).offsetMs
    const { startMs, endMs } = stretch
    // offsets change by at most a day, so a change further away belongs to another day
    if (candidateMs - DAY_MS >= startMs && candidateMs < endMs) return candidateMs
    return Temporal.PlainDate.from('1970-01-01').add({ days: dayNumber }).toZonedDateTime(zone).epochMilliseconds
  }

  return {
    name: zone,
    stretchAt,
    dayStartMs,
    dayNumberAt (timeMs) {
      const dayNumber = Math.floor((timeMs + stretchAt(timeMs).offsetMs) / DAY_MS)
      // a clock set back over midnight shows the previous day again, but the day has started
      return dayStartMs(dayNumber + 1) <= timeMs ? dayNumber + 1 : dayNumber
    },
    weeksBefore: (timeMs, weeks) => // of a local time: Temporal's would keep the offset if an hour occurs twice
      Temporal.Instant.fromEpochMilliseconds(timeMs).toZonedDateTimeISO(zone).toPlainDateTime().subtract({ weeks })
        .toZonedDateTime(zone).epochMilliseconds,
    write (timeMs) {
      const { offsetMs } = stretchAt(timeMs)
      const shown = timeMs + offsetMs
      if (zone === 'UTC' || offsetMs % MINUTE_MS !== 0 || shown < YEAR_0_MS || shown >= YEAR_10000_MS) {
        return new Date(timeMs).toISOString().replace('.000Z', 'Z')
      }
      return new Date(shown).toISOString().replace(/(?:\.000)?Z$/, '') + writeOffset(offsetMs)
    }
  }
}

function findStretch (zone: string, timeMs: number): OffsetRange {
  const at = Temporal.Instant.fromEpochMilliseconds(timeMs).toZonedDateTimeISO(zone)
  // a change may be at exactly this time
  const after = Temporal.Instant.fromEpochMilliseconds(timeMs + 1).toZonedDateTimeISO(zone)
  return {
    startMs: after.getTimeZoneTransition('previous')?.epochMilliseconds ?? -Infinity,
    endMs: at.getTimeZoneTransition('next')?.epochMilliseconds ?? Infinity,
    offsetMs: at.offsetNanoseconds / 1e6
  }
}

function writeOffset (offsetMs: number): string {
  const minutes = Math.abs(offsetMs) / MINUTE_MS
  const two = (number: number) => String(number).padStart(2, '0')
  return `${offsetMs < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
}
