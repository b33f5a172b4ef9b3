import assert from 'node:assert/strict'
import { test } from 'node:test'

import { ReadPace } from '../src/read-pace.ts'

const KB = 1024

function paceOf (delays: number[]): ReadPace {
  return new ReadPace({ readDelayMs: () => delays.shift()! })
}

test('a log without unread records is read again when its owner wants it', () => {
  const pace = paceOf([300, 300])
  assert.equal(pace.delayMs(0, 100, true), 0, 'the rate is not known yet')
  assert.equal(pace.delayMs(1_000, 100, true), 300)
})

test('a log with unread records, and one that had nothing after a wait, are read again at once', () => {
  const pace = paceOf([300, 300])
  pace.delayMs(0, 100, true)
  assert.equal(pace.delayMs(1_000, 100, false), 0)
  assert.equal(pace.delayMs(2_000, 0, true), 0)
})

test('many records are read earlier, 256 KB at a time', () => {
  const pace = paceOf([300, 300, 300])
  pace.delayMs(0, 100, true)
  assert.equal(pace.delayMs(1_000, 2_560 * KB, true), 100, '2,560 KB came in a second')
  assert.equal(pace.delayMs(1_100, 256 * KB, true), 100)
})

test('no owner waits longer than a second, and one without turns a few milliseconds', () => {
  const slow = paceOf([60_000, 60_000])
  slow.delayMs(0, 100, true)
  assert.equal(slow.delayMs(60_000, 100, true), 1_000)
  const plain = new ReadPace({})
  plain.delayMs(0, 100, true)
  assert.equal(plain.delayMs(60_000, 100, true), 60)
})
