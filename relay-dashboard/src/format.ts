/** Formats numbers in the browser's locale, and times on the clock of a time zone. */

const SIGNIFICANT_DIGITS = 6

const numbers = new Intl.NumberFormat(undefined, { maximumSignificantDigits: SIGNIFICANT_DIGITS })
const counts = new Intl.NumberFormat()
const percents = new Intl.NumberFormat(undefined, {
  style: 'percent',
  maximumFractionDigits: 1,
  signDisplay: 'exceptZero'
})

export function formatNumber (value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : numbers.format(value)
}

export const formatCount = (value: number) => counts.format(value)
export const formatPercent = (share: number) => percents.format(share)

/** `1 reading`, `2 readings` */
export const countOf = (value: number, one: string, many = `${one}s`) =>
  `${formatCount(value)} ${value === 1 ? one : many}`

/** The time zone of this browser. */
export const ownZone = new Intl.DateTimeFormat().resolvedOptions().timeZone

export function isZone (name: string): boolean {
  try {
    return Boolean(new Intl.DateTimeFormat('en', { timeZone: name }))
  } catch {
    return false
  }
}

const months = new Intl.DateTimeFormat(undefined, { month: 'short', timeZone: 'UTC' })
const monthNames = Array.from({ length: 12 }, (_, month) => months.format(Date.UTC(2024, month)))

/** Names in templates of axes; days of the week are in none. */
export const dateNames = { MMMM: monthNames, MMM: monthNames, WWWW: [], WWW: [] }

const dayParts = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' }).formatToParts(0)
const isDayFirst = dayParts.findIndex(it => it.type === 'day') < dayParts.findIndex(it => it.type === 'month')

/** A day as the template of an axis. */
export const dayOfAxis = isDayFirst ? '{D} {MMM}' : '{MMM} {D}'

const clocks = new Map<string, Intl.DateTimeFormat>()

/** @param precision second: with seconds; zone: with the name that the zone has then, such as CET or CEST */
export function formatTime (
  time: number | string,
  zone: string,
  precision: 'minute' | 'second' | 'zone' = 'minute'
): string {
  const key = `${zone} ${precision}`
  let clock = clocks.get(key)
  if (!clock) {
    clock = new Intl.DateTimeFormat(undefined, {
      timeZone: zone,
      year: 'numeric',
      month: 'short',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
      ...(precision === 'minute' ? {} : { second: '2-digit' }),
      ...(precision === 'zone' ? { timeZoneName: 'short' } : {})
    })
    clocks.set(key, clock)
  }
  return clock.format(typeof time === 'string' ? new Date(time) : time)
}

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'always', style: 'short' })
const steps = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000]
] as const

/** How often the clock of a view ticks (clock.ts): the time that it has is at most this old. */
export const TICK_MS = 5_000

/** `5 min. ago`, `in 2 hr.` */
export function formatAgo (timeMs: number, nowMs: number): string {
  const aheadMs = timeMs - nowMs
  const awayMs = aheadMs > 0 && aheadMs <= TICK_MS ? 0 : aheadMs // `nowMs` is of the last tick
  const [unit, unitMs] = steps.find(([, ms]) => Math.abs(awayMs) >= ms) ?? steps[3]
  return relative.format(Math.round(awayMs / unitMs) || -0, unit) // never "in 0 seconds"
}

/** What `datetime-local` fields hold: the clock of a zone, without its offset. */
export function toLocalField (timeMs: number, zone: string): string {
  const offsetMs = zoneOffsetMs(timeMs, zone)
  return new Date(timeMs + offsetMs).toISOString().slice(0, 19)
}

/** @returns NaN if the text is not a time */
export function fromLocalField (text: string, zone: string): number {
  const asUtcMs = Date.parse(`${text}Z`)
  if (Number.isNaN(asUtcMs)) return NaN
  const guessMs = asUtcMs - zoneOffsetMs(asUtcMs, zone)
  return asUtcMs - zoneOffsetMs(guessMs, zone) // the offset may have changed in between
}

function zoneOffsetMs (timeMs: number, zone: string): number {
  const clock = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric'
  })
  const { year, month, day, hour, minute, second } = Object.fromEntries(
    clock.formatToParts(timeMs).map(it => [it.type, Number(it.value)])
  )
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(timeMs / 1_000) * 1_000
}

/** `42 ms`, `1.5 s`, `3 min`, `2 hr`; undefined: not known */
export function formatSeconds (seconds: number | undefined): string {
  if (seconds === undefined) return '–'
  const [unit, , unitSeconds] = durations.find(([, from]) => seconds >= from) ?? durations.at(-1)!
  return new Intl.NumberFormat(undefined, { style: 'unit', unit, maximumSignificantDigits: 2 }).format(
    seconds / unitSeconds
  )
}

const durations = [
  ['day', 172_800, 86_400],
  ['hour', 7_200, 3_600],
  ['minute', 120, 60],
  ['second', 1, 1],
  ['millisecond', 0, 0.001]
] as const

/** `1,200/s`; undefined: not known */
export function formatRate (perSecond: number | undefined): string {
  return perSecond === undefined ? '–' : `${formatNumber(perSecond < 10 ? Math.round(perSecond * 10) / 10 : Math.round(perSecond))}/s`
}
