import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { parseEpochSeconds, parseTimestamp } from '../src/event/timestamp.ts'

const NEW_YEAR_2024_MS = 1_704_067_200_000

const isoTimes: [text: string, ms: number][] = [
  ['2024-01-01T00:00:00Z', NEW_YEAR_2024_MS],
  ['2024-01-01T00:00:00.1Z', NEW_YEAR_2024_MS + 100],
  ['2024-01-01T00:00:00.123Z', NEW_YEAR_2024_MS + 123],
  ['2024-01-01T00:00:00.123999999Z', NEW_YEAR_2024_MS + 123],
  ['2024-01-01T00:00Z', NEW_YEAR_2024_MS],
  ['2024-01-01t00:00:00z', NEW_YEAR_2024_MS],
  ['2024-01-01T02:00:00+02:00', NEW_YEAR_2024_MS],
  ['2024-01-01T02:00:00+0200', NEW_YEAR_2024_MS],
  ['2024-01-01T02:00:00+02', NEW_YEAR_2024_MS],
  ['2024-01-01T02:00+02:00', NEW_YEAR_2024_MS],
  ['2023-12-31T18:30:00.5-05:30', NEW_YEAR_2024_MS + 500],
  ['2024-01-01T18:00:00+18:00', NEW_YEAR_2024_MS],
  ['2024-01-01T00:00:00-00:00', NEW_YEAR_2024_MS],
  ['2024-02-29T00:00:00Z', NEW_YEAR_2024_MS + 59 * 86_400_000],
  ['2000-02-29T00:00:00Z', 951_782_400_000],
  ['1970-01-01T00:00:00Z', 0],
  ['1969-12-31T23:59:59.9999Z', -1],
  ['1970-01-01T00:00:00+00:01', -60_000],
  ['0000-01-01T00:00:00Z', -62_167_219_200_000],
  ['0099-12-31T23:59:59.999Z', -59_011_459_200_001],
  ['0000-01-01T18:00:00+18:00', -62_167_219_200_000],
  ['9999-12-31T23:59:59.999999999Z', 253_402_300_799_999],
  ['9999-12-31T05:59:59.999-18:00', 253_402_300_799_999]
]

for (const [text, ms] of isoTimes) {
  test(`${text} is a time`, () => {
    assert.equal(parseTimestamp(text), ms)
  })
}

const notIsoTimes = [
  '', ' ', 'now', '1704067200', '2024-01-01', '2024-01-01T00:00:00', '2024-01-01 00:00:00Z', '2024-01-01T00Z',
  '20240101T000000Z', ' 2024-01-01T00:00:00Z', '2024-01-01T00:00:00Z\n', '2024-01-01T00:00:00Z[UTC]',
  '+02024-01-01T00:00:00Z',
  '-2024-01-01T00:00:00Z', '10000-01-01T00:00:00Z', '2024-1-1T00:00:00Z', '٢٠٢٤-01-01T00:00:00Z',
  '2024-00-01T00:00:00Z', '2024-13-01T00:00:00Z', '2024-01-00T00:00:00Z', '2024-01-32T00:00:00Z',
  '2024-04-31T00:00:00Z', '2023-02-29T00:00:00Z', '1900-02-29T00:00:00Z', '2024-02-30T00:00:00Z',
  '2024-01-01T24:00:00Z', '2024-01-01T00:60:00Z', '2016-12-31T23:59:60Z',
  '2024-01-01T00:00:00.Z', '2024-01-01T00:00:00,5Z', '2024-01-01T00:00:00.1234567890Z', '2024-01-01T00:00.5Z',
  '2024-01-01T00:00:00+2', '2024-01-01T00:00:00+02:', '2024-01-01T00:00:00+02:60', '2024-01-01T00:00:00+18:01',
  '2024-01-01T00:00:00+19', '2024-01-01T00:00:00+02:00:00', '2024-01-01T00:00:00Z+02:00',
  '0000-01-01T00:00:00+00:01', '9999-12-31T23:59:59-00:01', '9999-12-31T06:00:00-18:00' // other years in UTC
]

for (const text of notIsoTimes) {
  test(`${JSON.stringify(text)} is not an ISO-8601 time with an offset`, () => {
    assert.equal(parseTimestamp(text), undefined)
  })
}

test('every calendar day is read, and no other day', () => {
  for (let year = 1890; year <= 2110; year++) {
    for (let month = 1; month <= 12; month++) {
      const daysInMonth = new Date(Date.UTC(year, month, 0)).getUTCDate()
      for (let day = 1; day <= 31; day++) {
        const text = `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}T12:34:56Z`
        const ms = day <= daysInMonth ? Date.UTC(year, month - 1, day, 12, 34, 56) : undefined
        assert.equal(parseTimestamp(text), ms, text)
      }
    }
  }
})

test('a time reads back as itself, with any offset', () => {
  fc.assert(fc.property(
    fc.integer({ min: Date.UTC(1, 0), max: Date.UTC(9998, 11) }),
    fc.integer({ min: -18 * 60, max: 18 * 60 }),
    fc.stringMatching(/^\d{0,6}$/),
    (ms, offsetMinutes, finerDigits) => {
      const local = new Date(ms + offsetMinutes * 60_000).toISOString().slice(0, -1)
      const hours = String(Math.floor(Math.abs(offsetMinutes) / 60)).padStart(2, '0')
      const minutes = String(Math.abs(offsetMinutes) % 60).padStart(2, '0')
      for (const colon of [':', '']) {
        const text = `${local}${finerDigits}${offsetMinutes < 0 ? '-' : '+'}${hours}${colon}${minutes}`
        assert.equal(parseTimestamp(text), ms, text)
      }
    }
  ), { numRuns: 2_000 })
})

const epochSeconds: [text: string, ms: number | undefined][] = [
  ['1704067200', NEW_YEAR_2024_MS],
  ['1704067200.123456789', NEW_YEAR_2024_MS + 123],
  ['1704067200.123999999', NEW_YEAR_2024_MS + 123],
  ['1704067200.001', NEW_YEAR_2024_MS + 1],
  ['1704067200.1', NEW_YEAR_2024_MS + 100],
  ['1704067200.000000000000000000000000000001', NEW_YEAR_2024_MS],
  ['1.7040672E9', NEW_YEAR_2024_MS],
  ['1.704067200123456789e+9', NEW_YEAR_2024_MS + 123],
  ['17040672001239e-4', NEW_YEAR_2024_MS + 123],
  ['0.000000000000017040672e23', NEW_YEAR_2024_MS],
  ['0', 0],
  ['-0', 0],
  ['-0.0e99999', 0],
  ['0e999999999999', 0],
  ['0.0009', 0],
  ['1e-999999999', 0],
  ['-1', -1_000],
  ['-0.001', -1],
  ['-0.0009', -1],
  ['-1e-999', -1],
  ['-1.0015', -1_002],
  ['8640000000000', 8.64e15],
  ['-8640000000000', -8.64e15],
  ['8640000000000.001', undefined],
  ['-8640000000000.0001', undefined],
  ['99999999999999999999', undefined],
  ['1e999', undefined],
  [`1e${'9'.repeat(400)}`, undefined],
  ['', undefined],
  ['Infinity', undefined],
  ['0x10', undefined]
]

for (const [text, ms] of epochSeconds) {
  test(`${text.slice(0, 50)} seconds since the epoch are ${ms === undefined ? 'no time' : `${ms} ms`}`, () => {
    assert.equal(parseEpochSeconds(text), ms)
  })
}

test('seconds are truncated to ms by their digits, with any point and exponent', () => {
  fc.assert(fc.property(
    fc.boolean(),
    fc.bigInt({ min: 0n, max: 8_639_999_999_999n }),
    fc.stringMatching(/^\d{1,30}$/),
    fc.integer({ min: -40, max: 40 }),
    (negative, whole, decimals, moved) => {
      // the same number with its point moved and a compensating exponent
      const digits = `${whole}${decimals}`
      const point = Math.max(1, Math.min(digits.length - 1, String(whole).length + moved))
      const exponent = String(whole).length - point
      const text = `${negative ? '-' : ''}${digits.slice(0, point)}.${digits.slice(point)}e${exponent}`

      // exact, in units of 10^-30 s
      const units = (negative ? -1n : 1n) * (whole * 10n ** 30n + BigInt(decimals.padEnd(30, '0')))
      const unitsPerMs = 10n ** 27n
      const floor = (units - (((units % unitsPerMs) + unitsPerMs) % unitsPerMs)) / unitsPerMs
      assert.equal(parseEpochSeconds(text), Number(floor), text)
    }
  ), { numRuns: 5_000 })
})
