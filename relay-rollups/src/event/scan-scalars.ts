/**
 * The scanner's numbers, times and values of other fields (hot path, see scan-event.ts).
 *
 * Every function starts at `at` and returns the position after what it has read, or -1 if not accepted; numbers go to
 * `out`. The caller guarantees a closing brace before `end`, so runs of digits end before it.
 */
import type { ScannedEvent } from './scanned-event.ts'

const SPACE = 0x20
const QUOTE = 0x22
const PLUS = 0x2b
const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const COLON = 0x3a
const CAPITAL_T = 0x54
const CAPITAL_Z = 0x5a
const BACKSLASH = 0x5c
const SMALL_E = 0x65

/** A double holds every integer with so many digits, and 10^15 too, so dividing one by the other rounds once. */
const EXACT_DIGITS_MAX = 15
const powersOfTen = Float64Array.from({ length: EXACT_DIGITS_MAX + 1 }, (_, n) => 10 ** n)

/**
 * A JSON number, as the same double as from JSON.parse: digits and power of ten are exact, and one division rounds
 * correctly (W. Clinger, How to read floating point numbers accurately, 1990). Longer numbers, and those with an
 * exponent, go through a string (150 ns).
 */
export function scanValue (buffer: Buffer, at: number, out: ScannedEvent): number {
  const start = at
  const negative = buffer[at] === MINUS
  if (negative) at++

  const wholeStart = at
  let mantissa = 0
  let digit = buffer[at] - ZERO
  while (digit >= 0 && digit <= 9) {
    mantissa = mantissa * 10 + digit
    digit = buffer[++at] - ZERO
  }
  let digits = at - wholeStart
  if (digits === 0 || (digits > 1 && buffer[wholeStart] === ZERO)) return -1

  let decimals = 0
  if (buffer[at] === POINT) {
    const fractionStart = ++at
    digit = buffer[at] - ZERO
    while (digit >= 0 && digit <= 9) {
      mantissa = mantissa * 10 + digit
      digit = buffer[++at] - ZERO
    }
    decimals = at - fractionStart
    if (decimals === 0) return -1
    digits += decimals
  }
  if (digits > EXACT_DIGITS_MAX || isExponent(buffer[at])) return scanLongValue(buffer, start, out)

  const size = mantissa / powersOfTen[decimals]
  out.value = negative ? 0 - size : size // -0 becomes 0
  return at
}

function scanLongValue (buffer: Buffer, start: number, out: ScannedEvent): number {
  const end = numberEnd(buffer, start)
  if (end < 0) return -1
  const value = Number(buffer.toString('latin1', start, end))
  if (!Number.isFinite(value)) return -1
  out.value = value + 0
  return end
}

/** Seconds since the epoch, truncated to ms by their digits. */
export function scanSeconds (buffer: Buffer, at: number, out: ScannedEvent): number {
  const start = at
  let seconds = 0
  let digit = buffer[at] - ZERO
  while (digit >= 0 && digit <= 9) {
    seconds = seconds * 10 + digit
    digit = buffer[++at] - ZERO
  }
  const digits = at - start
  if (digits === 0 || digits > 12 || (digits > 1 && buffer[start] === ZERO)) return -1 // 12: up to the year 33658

  let ms = 0
  if (buffer[at] === POINT) {
    const fractionStart = at + 1
    at = digitsEnd(buffer, fractionStart)
    if (at === fractionStart) return -1
    ms = fractionMs(buffer, fractionStart, at)
  }
  if (isExponent(buffer[at])) return -1
  out.timestampMs = seconds * 1000 + ms
  return at
}

// The last day, as its ten bytes: nearly all events have the same day as the one before.
let dayBytes0 = 0
let dayBytes4 = 0
let dayBytes8 = 0x1_0000 // no two bytes equal this: no day yet
let dayMs = 0

/**
 * YYYY-MM-DDTHH:MM:SS, up to nine decimals, and Z or ±HH:MM.
 * @param at after the opening quote
 * @returns the position after the closing quote; -1: no such time, or one before the epoch
 */
export function scanIsoTime (buffer: Buffer, at: number, end: number, out: ScannedEvent): number {
  if (end - at < 22) return -1 // 2024-01-01T00:00:00Z"}
  const view = out.view
  if (
    view.getInt32(at, true) !== dayBytes0 || view.getInt32(at + 4, true) !== dayBytes4 ||
    view.getInt16(at + 8, true) !== dayBytes8
  ) {
    if (!scanDay(buffer, at)) return -1
    dayBytes0 = view.getInt32(at, true)
    dayBytes4 = view.getInt32(at + 4, true)
    dayBytes8 = view.getInt16(at + 8, true)
  }

  if (buffer[at + 10] !== CAPITAL_T || buffer[at + 13] !== COLON || buffer[at + 16] !== COLON) return -1
  const hour = twoDigits(buffer, at + 11)
  const minute = twoDigits(buffer, at + 14)
  const second = twoDigits(buffer, at + 17)
  if (hour > 23 || minute > 59 || second > 59) return -1
  at += 19

  let ms = 0
  if (buffer[at] === POINT) {
    const fractionStart = at + 1
    at = digitsEnd(buffer, fractionStart)
    if (at === fractionStart || at - fractionStart > 9) return -1
    ms = fractionMs(buffer, fractionStart, at)
  }

  let offsetMinutes = 0
  const sign = buffer[at]
  if (sign === CAPITAL_Z) {
    at++
  } else {
    if ((sign !== PLUS && sign !== MINUS) || end - at < 8 || buffer[at + 3] !== COLON) return -1 // +01:00"}
    const hours = twoDigits(buffer, at + 1)
    const minutes = twoDigits(buffer, at + 4)
    if (hours > 17 || minutes > 59) return -1 // +18:00, the widest, is left to decodeEvent
    offsetMinutes = sign === PLUS ? hours * 60 + minutes : -hours * 60 - minutes
    at += 6
  }
  if (buffer[at] !== QUOTE) return -1

  const timestampMs = dayMs + ((hour * 60 + minute - offsetMinutes) * 60 + second) * 1000 + ms
  if (timestampMs < 0) return -1
  out.timestampMs = timestampMs
  return at + 1
}

/** Reads YYYY-MM-DD into `dayMs`; false: not a day, or before 1970. */
function scanDay (buffer: Buffer, at: number): boolean {
  if (buffer[at + 4] !== MINUS || buffer[at + 7] !== MINUS) return false
  const century = twoDigits(buffer, at)
  const yearOfCentury = twoDigits(buffer, at + 2)
  const year = century * 100 + yearOfCentury
  if (century > 99 || yearOfCentury > 99 || year < 1970) return false
  const month = twoDigits(buffer, at + 5)
  const day = twoDigits(buffer, at + 8)
  const date = new Date(Date.UTC(year, month - 1, day))
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return false // normalised: no such day
  dayMs = date.getTime()
  return true
}

/** A value of another field: a simple string, a number, true, false or null. */
export function plainValueEnd (buffer: Buffer, at: number, end: number): number {
  switch (buffer[at]) {
    case QUOTE: return plainStringEnd(buffer, at, end)
    case 0x74: return literalEnd(buffer, at, 'true')
    case 0x66: return literalEnd(buffer, at, 'false')
    case 0x6e: return literalEnd(buffer, at, 'null')
    default: return numberEnd(buffer, at)
  }
}

/** A string of ASCII without escapes. */
export function plainStringEnd (buffer: Buffer, at: number, end: number): number {
  while (++at < end) {
    const byte = buffer[at]
    if (byte === QUOTE) return at + 1
    if (byte === BACKSLASH || byte < SPACE || byte >= 0x80) return -1
  }
  return -1
}

function literalEnd (buffer: Buffer, at: number, literal: string): number {
  for (let n = 0; n < literal.length; n++) {
    if (buffer[at + n] !== literal.charCodeAt(n)) return -1
  }
  return at + literal.length
}

/** A number by the grammar of JSON, of any size. */
function numberEnd (buffer: Buffer, at: number): number {
  if (buffer[at] === MINUS) at++
  const wholeStart = at
  at = digitsEnd(buffer, at)
  if (at === wholeStart || (at > wholeStart + 1 && buffer[wholeStart] === ZERO)) return -1
  if (buffer[at] === POINT) {
    const fractionStart = at + 1
    at = digitsEnd(buffer, fractionStart)
    if (at === fractionStart) return -1
  }
  if (isExponent(buffer[at])) {
    at++
    if (buffer[at] === PLUS || buffer[at] === MINUS) at++
    const exponentStart = at
    at = digitsEnd(buffer, at)
    if (at === exponentStart) return -1
  }
  return at
}

function digitsEnd (buffer: Buffer, at: number): number {
  while (buffer[at] >= ZERO && buffer[at] <= ZERO + 9) at++
  return at
}

/** The first three decimals, as ms. */
function fractionMs (buffer: Buffer, start: number, end: number): number {
  let ms = (buffer[start] - ZERO) * 100
  if (end > start + 1) ms += (buffer[start + 1] - ZERO) * 10
  if (end > start + 2) ms += buffer[start + 2] - ZERO
  return ms
}

/** 0 to 99; more: not two digits. */
function twoDigits (buffer: Buffer, at: number): number {
  const tens = buffer[at] - ZERO
  const ones = buffer[at + 1] - ZERO
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : 100
}

function isExponent (byte: number): boolean {
  return (byte | SPACE) === SMALL_E // either case
}
