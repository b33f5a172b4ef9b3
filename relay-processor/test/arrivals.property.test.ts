import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { Arrivals } from '../src/arrivals.ts'

test('arrivals are sorted by series, time and value, in any order and number, and again after the next flush', () => {
  // times that are mostly equal, of seconds, of days, and so far apart that no single-key sort works
  const timeMs = fc.oneof(fc.nat(5), fc.nat(10_000), fc.nat(1e9), fc.maxSafeNat().map(it => Math.floor(it / 2)))
  const arrival = fc.tuple(fc.nat(4), timeMs, fc.integer({ min: -3, max: 3 }))
  const many = fc.tuple(fc.constantFrom(1, 40, 900), fc.array(arrival, { maxLength: 40 }))
    .map(([times, some]) => Array.from({ length: times }, (_, n) =>
      some.map(([series, timeMs, value]) => [series, timeMs + n * 7 % 13, value])).flat())
  fc.assert(fc.property(fc.array(
    many, { minLength: 1, maxLength: 3 }
  ), fc.constantFrom(0, 1e6), (flushes, recordsAhead) => {
    const arrivals = new Arrivals()
    for (const sent of flushes) {
      for (const [series, timeMs, value] of sent) arrivals.add(series, timeMs, value)
      assert.equal(arrivals.length, sent.length)
      arrivals.sort(5)
      const found = Array.from(
        { length: arrivals.length }, (_, n) => [arrivals.series[n], arrivals.timesMs[n], arrivals.values[n]]
      )
      assert.deepEqual(found, sent.toSorted((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]))
      arrivals.clear(recordsAhead)
    }
  }), { numRuns: 200 })
})
