import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { parsePosition, renderPosition, whyNotResumable } from '../src/stream/position.ts'

const position = fc.record({
  xactId: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
  timeMs: fc.integer({ min: 0, max: 4_102_444_800_000 }),
  historyId: fc.stringMatching(/^[0-9a-f]{12}$/)
})

test('a position survives formatting and parsing', () => {
  fc.assert(fc.property(position, it => assert.deepEqual(parsePosition(renderPosition(it)), { ...it })))
})

test('no other text is a position', () => {
  fc.assert(fc.property(fc.string(), text => {
    const parsed = parsePosition(text)
    if (parsed) assert.match(text, /^\d+-\d+-[0-9a-f]{12}$/)
  }))
})

test('a stream only resumes from commits that the database still has, in the same history', () => {
  const now = { xactId: 100n, timeMs: 1_000_000_000, historyId: '0123456789ab', oldestXactId: 1n }
  const cases: Array<[xactId: bigint, ageMs: number, historyId: string, isResumable: boolean]> = [
    [100n, 0, now.historyId, true], [1n, 599_999, now.historyId, true], [100n, 600_001, now.historyId, false],
    [0n, 0, now.historyId, false], // the clock was set back after it
    [100n, 0, 'ba9876543210', false], [1n, 1_000, 'ba9876543210', false]
  ]
  for (const [xactId, ageMs, historyId, expected] of cases) {
    const reason = whyNotResumable({ xactId, timeMs: now.timeMs - ageMs, historyId }, now)
    assert.equal(reason === undefined, expected, `${xactId} ${ageMs} ${historyId}: ${reason}`)
  }
})
