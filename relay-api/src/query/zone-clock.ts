/**
 * The clock of a time zone: which offset it has when, when its days begin, and how it writes a time.
 *
 * The rules are those of the IANA database that Node carries, asked through Temporal. Between two changes of a zone's
 * offset all is plain arithmetic, so Temporal is asked once a change, and not once a bucket.
 */
import { DAY_MS, MINUTE_MS, YEAR_0_MS, YEAR_10000_MS } from 'relay-common'
import { Temporal } from 'temporal-polyfill'

/** A stretch of time in which a zone's offset does not change: [startMs, endMs). */
export interface Stretch {
  readonly startMs: number
  readonly endMs: number
  /** local time minus UTC; whole minutes in all zones of today, not in all since 1970 (Liberia until 1972) */
  readonly offsetMs: number
}

export interface ZoneClock {
  /** as IANA writes it */
  readonly name: string
  /** The stretch that holds a time. */
  stretchAt (timeMs: number): Stretch
  /**
   * When a local day begins: at midnight, the first one where there are two, or at the change that skips it.
   * @param dayNumber local days since 1970-01-01
   */
  dayStartMs (dayNumber: number): number
  /** The local day that holds a time, as days since 1970-01-01. */
  dayNumberAt (timeMs: number): number
  /** When the clock showed the same so many weeks earlier: the first time, or as much later as it left out then. */
  weeksBefore (timeMs: number, weeks: number): number
  /**
   * ISO-8601 with the offset of that moment. In UTC where that has seconds, or a year before 0 or behind 9999: the format has no
   * place for them.
   */
  write (timeMs: number): string
}

/** @returns undefined: IANA knows no such zone */
export function openZoneClock (name: string): ZoneClock | undefined {
  if (!/^[a-z][\w+/-]*$/i.test(name)) return undefined // Temporal takes bare offsets as well
  let zone: string
  try {
    zone = Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(name).timeZoneId
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }

  let stretch: Stretch = { startMs: 0, endMs: 0, offsetMs: 0 } // holds nothing yet
  const stretchAt = (timeMs: number) => {
    if (timeMs >= stretch.startMs && timeMs < stretch.endMs) return stretch
    return (stretch = findStretch(zone, timeMs))
  }

  const dayStartMs = (dayNumber: number) => {
    const candidateMs = dayNumber * DAY_MS - stretchAt(dayNumber * DAY_MS).offsetMs
    const { startMs, endMs } = stretch
    // offsets change by a day at most, so a change that is further away is of another day
    if (candidateMs - DAY_MS >= startMs && candidateMs < endMs) return candidateMs
    return Temporal.PlainDate.from('1970-01-01').add({ days: dayNumber }).toZonedDateTime(zone).epochMilliseconds
  }

  return {
    name: zone,
    stretchAt,
    dayStartMs,
    dayNumberAt (timeMs) {
      const dayNumber = Math.floor((timeMs + stretchAt(timeMs).offsetMs) / DAY_MS)
      // a clock that is set back over midnight shows the day before once more; it began before for all that
      return dayStartMs(dayNumber + 1) <= timeMs ? dayNumber + 1 : dayNumber
    },
    weeksBefore: (timeMs, weeks) => // of a time on the clock: Temporal's would keep the offset where an hour comes twice
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

function findStretch (zone: string, timeMs: number): Stretch {
  const at = Temporal.Instant.fromEpochMilliseconds(timeMs).toZonedDateTimeISO(zone)
  // a change may be at this very time
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
