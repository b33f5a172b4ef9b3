import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { Fleet } from '../src/fleet.ts'
import { Postponed } from '../src/postponed.ts'

const [device] = new Fleet({ devices: 1, zones: 1, rate: 1, seed: 1 }).devices

test('a postponed event comes back once, earliest first, in any order of additions and removals', () => {
  fc.assert(fc.property(fc.array(fc.option(fc.nat(1_000), { freq: 3 })), steps => {
    const postponed = new Postponed()
    const waiting: number[] = []
    for (const dueMs of steps) {
      if (dueMs === null) {
        assert.equal(postponed.nextDueMs, waiting[0] ?? Infinity)
        assert.equal(postponed.takeNext()?.dueMs, waiting.shift())
      } else {
        postponed.add({ dueMs, kind: 'late', device, timeMs: 0 })
        waiting.push(dueMs)
        waiting.sort((a, b) => a - b)
      }
      assert.equal(postponed.size, waiting.length)
    }
    for (const dueMs of waiting) assert.equal(postponed.takeNext()?.dueMs, dueMs)
    assert.equal(postponed.takeNext(), undefined)
  }), { numRuns: 1_000 })
})
