import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import fc from 'fast-check'

import { chooseHistoryMs } from '../src/backfill.ts'

const HOUR_MS = 3_600_000
const NOW_MS = Date.parse('2026-03-01T12:00:00Z')
const hoursAgo = (hours: number) => NOW_MS - hours * HOUR_MS

suite('the amount of history that the fleet sends', () => {
  const cases = [
    { what: 'a first start: a day', sentUntilMs: undefined, eventsPerSecond: 3, historyMs: 24 * HOUR_MS },
    { what: 'a later one: what was missed', sentUntilMs: hoursAgo(5), eventsPerSecond: 3, historyMs: 5 * HOUR_MS },
    { what: 'after a long time: a day', sentUntilMs: hoursAgo(500), eventsPerSecond: 3, historyMs: 24 * HOUR_MS },
    { what: 'a fleet of a thousand: an hour', sentUntilMs: undefined, eventsPerSecond: 1_000, historyMs: HOUR_MS },
    { what: 'a clock that was set back: nothing', sentUntilMs: hoursAgo(-1), eventsPerSecond: 3, historyMs: 0 },
    { what: 'a rate that makes no sense: a day', sentUntilMs: undefined, eventsPerSecond: 0, historyMs: 24 * HOUR_MS }
  ]
  for (const { what, sentUntilMs, eventsPerSecond, historyMs } of cases) {
    test(what, () => assert.equal(chooseHistoryMs(sentUntilMs, NOW_MS, eventsPerSecond), historyMs))
  }

  test('is never more than a laptop can handle, and fills every gap', () => {
    const fleet = fc.double({ min: 1e-3, max: 1e6, noNaN: true })
    fc.assert(fc.property(fc.nat(48 * HOUR_MS), fleet, (awayMs, eventsPerSecond) => {
      const historyMs = chooseHistoryMs(NOW_MS - awayMs, NOW_MS, eventsPerSecond)
      assert.ok(historyMs / 1_000 * eventsPerSecond <= 3_600_000 + 1)
      assert.ok(historyMs <= awayMs)
      const isCut = awayMs > 24 * HOUR_MS || awayMs / 1_000 * eventsPerSecond > 3_600_000
      if (!isCut) assert.equal(historyMs, awayMs)
    }))
  })
})
