import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { bucketStartMs, DAY_MS, HOUR_MS, lastAtOrBefore, MINUTE_MS, parseTimestamp } from 'relay-rollups'

import { cutRange, parseInterval, shortestInterval } from '../src/query/interval.ts'
import { openZoneClock } from '../src/query/zone-clock.ts'
import { boundariesByLooking, clockAt } from './support/intl-clock.ts'

/** Zones, with moments at which their clock changes. */
const moments: Readonly<Record<string, readonly string[]>> = {
  UTC: ['2024-02-28T23:00:00Z', '2024-12-31T22:00:00Z'],
  'Europe/Berlin': ['2024-03-31T01:00:00Z', '2024-10-27T01:00:00Z'],
  'America/New_York': ['2024-03-10T07:00:00Z', '2024-11-03T06:00:00Z'],
  'Asia/Kolkata': ['2024-03-31T01:00:00Z'], // +05:30
  'Asia/Kathmandu': ['2024-01-01T00:00:00Z'], // +05:45
  'Australia/Lord_Howe': ['2024-04-06T15:00:00Z', '2024-10-05T15:30:00Z'], // by half an hour
  'America/St_Johns': ['2006-10-29T02:31:00Z', '2024-11-03T04:30:00Z'], // once at a minute past midnight
  'Africa/Cairo': ['2024-04-25T22:00:00Z'], // midnight is skipped
  'America/Santiago': ['2024-04-07T03:00:00Z', '2024-09-08T04:00:00Z'], // midnight comes twice, and is skipped
  'Pacific/Apia': ['2011-12-30T10:00:00Z'], // a day is skipped
  'America/Sao_Paulo': ['2018-11-04T03:00:00Z']
}

const place = fc.constantFrom(...Object.entries(moments).flatMap(([zone, times]) =>
  times.map(it => ({ zone, nearMs: Date.parse(it) }))))
const besideMs = fc.oneof(
  fc.integer({ min: -3 * 1440, max: 3 * 1440 }).map(it => it * MINUTE_MS),
  fc.integer({ min: -2 * DAY_MS, max: 2 * DAY_MS }),
  fc.constantFrom(-DAY_MS, -HOUR_MS, -1, 0, 1, HOUR_MS, DAY_MS)
)
const interval = fc.constantFrom(
  '1m', '5m', '15m', '30m', '45m', '60m', '90m', '1h', '2h', '3h', '6h', '8h', '12h', '24h', '1d', '2d', '7d', '1w',
  '2w', '1mo', '3mo', '1y', 'range')

test('rows start where the clock of the zone shows it, checked minute by minute', { timeout: 120_000 }, () => {
  fc.assert(fc.property(place, besideMs, besideMs, interval, ({ zone, nearMs }, a, b, name) => {
    fc.pre(a !== b)
    const range = { startMs: nearMs + Math.min(a, b), endMs: nearMs + Math.max(a, b) }
    const boundaries = [...cutRange(range, parseInterval(name)!, openZoneClock(zone)!, 1e6)!]
    const written = (times: number[] | undefined) => times?.map(it => new Date(it).toISOString())
    assert.deepEqual(written(boundaries), written(boundariesByLooking(range.startMs, range.endMs, name, zone)))
  }), { numRuns: 150 })
})

test('a time is written as the clock shows it, and is the same time', () => {
  fc.assert(fc.property(place, besideMs, ({ zone, nearMs }, besideMs) => {
    const timeMs = nearMs + besideMs
    const text = openZoneClock(zone)!.write(timeMs)
    assert.equal(parseTimestamp(text), timeMs)
    const minuteMs = Math.floor(timeMs / MINUTE_MS) * MINUTE_MS
    assert.equal(text.slice(0, 16), new Date(clockAt(zone, minuteMs)).toISOString().slice(0, 16))
    assert.doesNotMatch(text, /\.000/)
  }))
})

test('a year at the ends of time is written with four digits, in any zone', () => {
  const ends = [[Date.parse('0000-01-01T00:00:00Z'), 1], [Date.parse('9999-12-31T23:59:59.999Z'), -1]]
  fc.assert(fc.property(
    fc.constantFrom('UTC', 'Etc/GMT-14', 'Etc/GMT+12', ...Object.keys(moments)), fc.constantFrom(...ends),
    fc.integer({ min: 0, max: 2 * DAY_MS }),
    (zone, [endMs, towards], insideMs) => {
      const timeMs = endMs + towards * insideMs
      const text = openZoneClock(zone)!.write(timeMs)
      assert.match(text, /^\d{4}-\d\d-\d\dT/)
      assert.equal(parseTimestamp(text), timeMs)
    }
  ))
})

test('days of 23, 24 and 25 hours, and a skipped day', () => {
  const hours = (zone: string, start: string, end: string) => {
    const boundaries = [...cutRange({ startMs: Date.parse(start), endMs: Date.parse(end) }, parseInterval('1d')!,
      openZoneClock(zone)!, 100)!]
    return boundaries.slice(1).map((it, n) => (it - boundaries[n]) / HOUR_MS)
  }
  assert.deepEqual(hours('Europe/Berlin', '2024-03-30T00:00:00+01:00', '2024-04-02T00:00:00+02:00'), [24, 23, 24])
  assert.deepEqual(hours('Europe/Berlin', '2024-10-26T00:00:00+02:00', '2024-10-29T00:00:00+01:00'), [24, 25, 24])
  assert.deepEqual(hours('Pacific/Apia', '2011-12-29T00:00:00-10:00', '2012-01-01T00:00:00+14:00'), [24, 24])
  assert.deepEqual(hours('Asia/Kolkata', '2024-01-01T00:00:00+05:30', '2024-01-03T00:00:00+05:30'), [24, 24])
})

test('offsets with seconds, as in Liberia until 1972, are cut where the clock shows midnight', () => {
  const clock = openZoneClock('Africa/Monrovia')!
  const range = { startMs: Date.parse('1971-06-01T12:00:00Z'), endMs: Date.parse('1971-06-02T12:00:00Z') }
  const boundaries = [...cutRange(range, parseInterval('1d')!, clock, 10)!]
  assert.deepEqual(boundaries.map(it => clock.write(it)),
    ['1971-06-01T12:00:00Z', '1971-06-02T00:44:30Z', '1971-06-02T12:00:00Z'])
})

test('an interval must divide a day', () => {
  for (const name of ['7m', '0m', '25h', '5h', '5mo', '1s', '1', 'm', '-1h', '1.5h', '1H', '', ' 1h', '1441d']) {
    assert.equal(parseInterval(name), undefined, name)
  }
  for (const name of ['24h', '1440m', '720m', '1000d', '6mo', '100y']) assert.ok(parseInterval(name), name)
})

test('too many rows are refused, and the suggested interval fits', () => {
  fc.assert(fc.property(place, fc.integer({ min: 1, max: 20_000 }), fc.integer({ min: 1, max: 500 }),
    ({ zone, nearMs }, hours, max) => {
      const clock = openZoneClock(zone)!
      const range = { startMs: nearMs - 1, endMs: nearMs + hours * HOUR_MS }
      const { interval, boundaries } = shortestInterval(range, clock, max)
      assert.ok(boundaries.length - 1 <= max)
      const times = [...boundaries]
      assert.deepEqual([...cutRange(range, interval, clock, max)!], times)
      for (const [n, timeMs] of times.entries()) {
        assert.deepEqual([boundaries.at(n), boundaries.at(n - times.length)], [timeMs, timeMs])
        assert.deepEqual([timeMs - 1, timeMs, timeMs + 1].map(it => boundaries.lastAtOrBefore(it)),
          [timeMs - 1, timeMs, timeMs + 1].map(it => lastAtOrBefore(times, it)))
      }
      const minutes = cutRange(range, parseInterval('1m')!, clock, max)
      assert.equal(minutes === undefined, hours * 60 + 1 > max)
    }), { numRuns: 50 })
})

test('names of zones are those of IANA, in any case', () => {
  assert.equal(openZoneClock('europe/berlin')!.name, 'Europe/Berlin')
  for (const name of ['Berlin', '', '+01:00', 'Europe/', '../etc/passwd', 'Europe/Berlin\0', 'x'.repeat(64)]) {
    assert.equal(openZoneClock(name), undefined, name)
  }
})

test('weeks before a time the clock showed the same or, if it skipped that, as much later', () => {
  fc.assert(fc.property(place, besideMs, fc.integer({ min: 1, max: 60 }), ({ zone, nearMs }, besides, weeks) => {
    const timeMs = bucketStartMs(MINUTE_MS, nearMs + besides)
    const beforeMs = openZoneClock(zone)!.weeksBefore(timeMs, weeks)
    const wanted = clockAt(zone, timeMs) - weeks * 7 * DAY_MS
    const shown = clockAt(zone, beforeMs)
    if (shown === wanted) {
      const firstMs = [30, 60].map(it => beforeMs - it * MINUTE_MS).find(it => clockAt(zone, it) === wanted)
      assert.equal(firstMs, undefined, 'it is the first time')
    } else {
      const leftOutMs = shown - wanted
      assert.ok(leftOutMs > 0)
      assert.ok(clockAt(zone, beforeMs - leftOutMs - MINUTE_MS) < wanted, 'the clock went over it')
    }
  }))
})
