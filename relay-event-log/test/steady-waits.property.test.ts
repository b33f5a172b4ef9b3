import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { SteadyWaits } from '../src/postgres/steady-waits.ts'

const LIMIT_MS = 1_000
const LOOK_MS = LIMIT_MS / 4
const STEP_MAX_MS = 2 * LOOK_MS

/** A server whose clock is set by any amount between any two looks, and one member that may fall silent. */
function simulate (clockJumpsMs: readonly number[], lateMs: readonly number[], silentFrom: number) {
  const waits = new SteadyWaits(STEP_MAX_MS)
  let steadyMs = 5_000
  let serverMs = 1_700_000_000_000
  let expiresAtMs = 0
  let version = 0
  let silentSinceMs = Infinity
  for (const [at, jumpMs] of clockJumpsMs.entries()) {
    const stepMs = LOOK_MS + lateMs[at % lateMs.length]
    steadyMs += stepMs
    serverMs += stepMs + jumpMs
    if (at < silentFrom) {
      version++
      expiresAtMs = serverMs + LIMIT_MS
    } else {
      silentSinceMs = Math.min(silentSinceMs, steadyMs)
    }
    const state = { id: 'it', version: String(version), limitMs: LIMIT_MS, isOverOnServer: expiresAtMs < serverMs }
    if (waits.look([state], steadyMs, 'run 1').size > 0) return { isOver: true, silentMs: steadyMs - silentSinceMs }
  }
  return { isOver: false, silentMs: steadyMs - silentSinceMs }
}

const jumps = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: -1e9, max: 1e9 })),
  { minLength: 20, maxLength: 40 })
const late = fc.array(fc.integer({ min: 0, max: LOOK_MS }), { minLength: 1, maxLength: 5 })

test('a member that shows signs of life is never over, however the clock of the server is set', () => {
  fc.assert(fc.property(jumps, late, (clockJumpsMs, lateMs) => {
    assert.equal(simulate(clockJumpsMs, lateMs, Infinity).isOver, false)
  }))
})

test('a silent member is over one limit after its last sign of life, however the clock of the server is set', () => {
  fc.assert(fc.property(jumps, late, fc.nat(5), (clockJumpsMs, lateMs, silentFrom) => {
    const { isOver, silentMs } = simulate(clockJumpsMs, lateMs, silentFrom + 1)
    assert.ok(isOver)
    assert.ok(silentMs >= LIMIT_MS - STEP_MAX_MS && silentMs <= LIMIT_MS + STEP_MAX_MS, `${silentMs} ms`)
  }))
})

test('a state that is over on the server when it is seen first ends at once, and any other lasts for its limit', () => {
  const waits = new SteadyWaits(STEP_MAX_MS)
  const states = [
    { id: 'past', version: '1', limitMs: LIMIT_MS, isOverOnServer: true },
    { id: 'ahead', version: '1', limitMs: LIMIT_MS, isOverOnServer: false }
  ]
  assert.deepEqual([...waits.look(states, 10_000, 'run 1')], ['past'])
  for (let passedMs = LOOK_MS; passedMs < LIMIT_MS; passedMs += LOOK_MS) {
    assert.equal(waits.look(states.slice(1), 10_000 + passedMs, 'run 1').size, 0)
  }
  assert.deepEqual([...waits.look(states.slice(1), 10_000 + LIMIT_MS, 'run 1')], ['ahead'])
})

test('a pause of the process that looks counts as one step, and a restart of the server starts all states again', () => {
  const waits = new SteadyWaits(STEP_MAX_MS)
  const states = [{ id: 'it', version: '1', limitMs: LIMIT_MS, isOverOnServer: false }]
  assert.equal(waits.look(states, 0, 'run 1').size, 0)
  assert.equal(waits.look(states, 3_600_000, 'run 1').size, 0, 'after a pause of an hour')
  assert.equal(waits.look(states, 3_600_000 + LOOK_MS, 'run 1').size, 0)
  assert.equal(waits.look(states, 3_600_000 + 2 * LOOK_MS, 'run 2').size, 0, 'after a restart')
  for (let passedMs = LOOK_MS; passedMs < LIMIT_MS; passedMs += LOOK_MS) {
    assert.equal(waits.look(states, 3_600_000 + 2 * LOOK_MS + passedMs, 'run 2').size, 0)
  }
  assert.equal(waits.look(states, 3_600_000 + 2 * LOOK_MS + LIMIT_MS, 'run 2').size, 1)
})
