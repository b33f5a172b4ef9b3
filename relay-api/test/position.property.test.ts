import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { isResumable, parsePosition, renderPosition } from '../src/stream/position.ts'

const position = fc.record({
  xactId: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }), timeMs: fc.integer({ min: 0, max: 4_102_444_800_000 })
})

test('a position that was told is the one that comes back', () => {
  fc.assert(fc.property(position, it => assert.deepEqual(parsePosition(renderPosition(it)), { ...it })))
})

test('no other text is a position', () => {
  fc.assert(fc.property(fc.string(), text => {
    const parsed = parsePosition(text)
    if (parsed) assert.match(text, /^\d+-\d+$/)
  }))
})

test('only what the database may still know can be gone on from', () => {
  const now = { xactId: 100n, nextXactId: 105n, timeMs: 1_000_000_000 }
  const cases: Array<[xactId: bigint, ageMs: number, isResumable: boolean]> = [
    [100n, 0, true], [1n, 599_999, true], [105n, 0, true], [106n, 0, false], [100n, 600_001, false]
  ]
  for (const [xactId, ageMs, expected] of cases) {
    assert.equal(isResumable({ xactId, timeMs: now.timeMs - ageMs }, now), expected, `${xactId} ${ageMs}`)
  }
})
