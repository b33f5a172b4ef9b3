/** The clock of a zone by other means than Relay's: what Intl shows, minute by minute. Slow and simple. */
import { bucketStartMs, DAY_MS, HOUR_MS, MINUTE_MS } from 'relay-rollups'

const formats = new Map<string, Intl.DateTimeFormat>()
const seen = new Map<string, Map<number, number>>()

/** The time shown at a whole minute, as ms since 1970-01-01T00:00 on that clock. */
export function clockAt (zone: string, minuteMs: number): number {
  const hourMs = bucketStartMs(HOUR_MS, minuteMs)
  const atStart = lookAt(zone, hourMs)
  // no clock was ever changed twice in an hour: if none is missing, none was
  return lookAt(zone, hourMs + HOUR_MS) - atStart === HOUR_MS ? atStart + minuteMs - hourMs : lookAt(zone, minuteMs)
}

function lookAt (zone: string, timeMs: number): number {
  let ofZone = seen.get(zone)
  if (!ofZone) seen.set(zone, ofZone = new Map())
  let found = ofZone.get(timeMs)
  if (found === undefined) ofZone.set(timeMs, found = readClock(zone, timeMs))
  return found
}

function readClock (zone: string, timeMs: number): number {
  let format = formats.get(zone)
  if (!format) {
    format = new Intl.DateTimeFormat('en', {
      timeZone: zone,
      calendar: 'gregory',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric'
    })
    formats.set(zone, format)
  }
  const part = Object.fromEntries(format.formatToParts(timeMs).map(it => [it.type, Number(it.value)]))
  return Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute)
}

const sizesMs: Readonly<Record<string, number>> = { m: MINUTE_MS, h: HOUR_MS }

/** The number of the day, week or month that contains a local day. */
function periodOf (interval: string, localMs: number): number {
  const [, count, unit] = /^(\d+)([a-z]+)$/.exec(interval)!
  const date = new Date(localMs)
  const day = Math.floor(localMs / DAY_MS)
  const month = date.getUTCFullYear() * 12 + date.getUTCMonth()
  switch (unit) {
    case 'd': return Math.floor(day / Number(count))
    case 'w': return Math.floor((day + 3) / 7 / Number(count))
    case 'mo': return Math.floor(month / Number(count))
    default: return Math.floor(month / 12 / Number(count))
  }
}

/** Starts and ends of rows, by reading the clock every minute. */
export function boundariesByLooking (startMs: number, endMs: number, interval: string, zone: string): number[] {
  const boundaries = [startMs]
  if (interval !== 'range') {
    const [, count, unit] = /^(\d+)([a-z]+)$/.exec(interval)!
    const sizeMs = unit in sizesMs ? Number(count) * sizesMs[unit] : undefined
    const fromMs = bucketStartMs(MINUTE_MS, startMs) - 2 * DAY_MS // a day that is shown again has started before
    let newest = -Infinity
    for (let atMs = fromMs; atMs < endMs; atMs += MINUTE_MS) {
      const local = clockAt(zone, atMs)
      let begins: boolean
      if (sizeMs !== undefined && sizeMs < DAY_MS) {
        const before = clockAt(zone, atMs - MINUTE_MS)
        begins = local % sizeMs === 0 || Math.floor(local / sizeMs) !== Math.floor(before / sizeMs)
      } else {
        const period = periodOf(interval.replace(/^24h$/, '1d'), local)
        begins = period > newest
        newest = Math.max(newest, period)
      }
      if (begins && atMs > startMs) boundaries.push(atMs)
    }
  }
  return [...boundaries, endMs]
}
