import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { isFlushDue, nextFlushMs, untilReadMs } from '../src/flush-pace.ts'

const settings = { flushIntervalMs: 200, turnMs: 0, flushIntervalMaxMs: 5_000, flushReadingsMax: 4_000_000 }
const keepingUp = { readings: 100, deadLetterBytes: 0, lag: 0, rows: 3_000 }
const backlog = { ...keepingUp, readings: 500_000, lag: 3_000_000 }
const last = { startedMs: 0, readings: 100_000, rows: 3_000, tookMs: 100, isWriting: false }

const cases = [
  ['who keeps up flushes soon after the next turn', keepingUp, last, { before: 219, at: 220 }],
  ['a backlog at the long one', backlog, last, { before: 4_999, at: 5_000 }],
  ['and where the flush before took long, at three times that', backlog, { ...last, tookMs: 4_000 }, {
    before: 11_999, at: 12_000
  }],
  ['or where what waits will take long', { ...backlog, rows: 300_000 }, last, { before: 8_999, at: 9_000 }],
  ['but not for ever, where it had to be retried', backlog, { ...last, tookMs: 3_600_000 }, {
    before: 14_999, at: 15_000
  }],
  ['who keeps up is not slowed by it', keepingUp, { ...last, tookMs: 3_600_000 }, { before: 219, at: 220 }]
] as const

for (const [name, waiting, before, due] of cases) {
  test(name, () => {
    assert.equal(isFlushDue(settings, waiting, before, due.before), false)
    assert.equal(isFlushDue(settings, waiting, before, due.at), true)
    assert.equal(
      isFlushDue(settings, waiting, { ...before, isWriting: true }, due.at), false, 'while one is on its way'
    )
  })
}

const readingsUntilDue = [
  ['many readings that share few rows', backlog, last, 1_000_000],
  ['few a row, by the flush before', backlog, { ...last, readings: 1_500_000, rows: 60_000 }, 2_400_000],
  ['few a row, by the series that there are', { ...backlog, rows: 60_000 }, last, 2_400_000],
  ['fewer: as many as memory may hold', { ...backlog, rows: 300_000 }, last, 4_000_000],
  ['one a row, and no more of them by waiting', { ...backlog, rows: 1_200_000 }, last, 1_000_000],
  ['one in two rows, by the flush before', backlog, { ...last, readings: 1_000_000, rows: 500_000 }, 1_500_000]
] as const

for (const [name, waiting, before, readings] of readingsUntilDue) {
  test(`a number of readings is flushed early, and during another flush: ${name}`, () => {
    const writing = { ...before, isWriting: true }
    assert.equal(isFlushDue(settings, { ...waiting, readings: readings - 1 }, writing, 1), false)
    assert.equal(isFlushDue(settings, { ...waiting, readings }, writing, 1), true)
  })
}

test('a small limit of readings is respected', () => {
  const small = { ...settings, flushReadingsMax: 20_000 }
  assert.equal(isFlushDue(small, { ...backlog, readings: 19_999 }, last, 1), false)
  assert.equal(isFlushDue(small, { ...backlog, readings: 20_000 }, last, 1), true)
})

test('dead letters are flushed before they fill memory', () => {
  const letters = { ...keepingUp, readings: 0, deadLetterBytes: 16 * 1024 * 1024 }
  assert.equal(isFlushDue(settings, letters, last, 1), true)
  assert.equal(isFlushDue(settings, { ...letters, deadLetterBytes: 1024 }, last, 1), false)
})

test('a flush follows the read of its turn, and the next one is neither close to it nor far', () => {
  fc.assert(fc.property(
    fc.integer({ min: 10, max: 60_000 }), fc.double({ min: 0, max: 1, noNaN: true }),
    fc.double({ min: 0, max: 1e13, noNaN: true }),
    (flushIntervalMs, share, startedMs) => {
      const paced = { ...settings, flushIntervalMs, turnMs: share * flushIntervalMs }
      const untilMs = untilReadMs(paced, startedMs)
      assert.ok(untilMs > 0 && untilMs <= flushIntervalMs + 0.01, `read after ${untilMs} ms`)
      const flushMs = nextFlushMs(paced, startedMs)
      const afterMs = flushMs - startedMs
      const intervals = afterMs / flushIntervalMs
      assert.ok(intervals > 0.499 && intervals < 1.501, `flushed after ${afterMs} ms`)
      const readMs = flushMs - Math.min(30, flushIntervalMs / 10)
      const readAfterMs = untilReadMs(paced, readMs - 1) - 1
      assert.ok(Math.abs(readAfterMs) < 0.01, `read ${readAfterMs} ms off its time before the flush`)
    }))
})
