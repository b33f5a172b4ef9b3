/** Waiting does not count as computing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { Computing } from '../src/sharing/computing.ts'

test('waits count almost nothing, for any number and length', () => {
  fc.assert(fc.property(fc.array(fc.integer({ min: 2, max: 10_000 }), { maxLength: 15 }), waits => {
    let nowMs = 0
    const computing = new Computing(nowMs)
    for (const waitMs of waits) computing.step(nowMs += waitMs)
    assert.ok(computing.totalMs <= 2 * waits.length)
  }))
})

test('steps of a loop count as long as they take, piece by piece', () => {
  fc.assert(fc.property(fc.array(fc.double({ min: 0, max: 2, noNaN: true }), { maxLength: 200 }), steps => {
    let nowMs = 0
    let pieces = 0
    const computing = new Computing(nowMs)
    for (const tookMs of steps) {
      computing.step(nowMs += tookMs)
      if (computing.pieceMs < 4) continue
      pieces += computing.pieceMs
      computing.endPiece()
      computing.goOn(nowMs += 1_000)
    }
    const sum = steps.reduce((a, b) => a + b, 0)
    assert.ok(Math.abs(computing.totalMs - sum) < 1e-6)
    assert.ok(Math.abs(pieces + computing.pieceMs - sum) < 1e-6)
  }))
})
