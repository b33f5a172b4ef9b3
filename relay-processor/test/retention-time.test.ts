import assert from 'node:assert/strict'
import { test } from 'node:test'

import { DAY_MS, HOUR_MS } from 'relay-rollups'

import { retentionTime } from '../src/clock.ts'

test('a clock that jumps ahead makes no new row old', () => {
  const startMs = Date.parse('2024-03-05T10:00:00Z')
  let steadyMs = startMs
  let nowMs = startMs
  const time = () => retentionTime({ nowMs: () => nowMs, steadyMs: () => steadyMs })
  const pass = (ms: number) => {
    steadyMs += ms
    nowMs += ms
  }
  pass(40 * DAY_MS)
  assert.equal(time(), startMs + 40 * DAY_MS)
  nowMs += HOUR_MS // a correction
  assert.equal(time(), nowMs)
  nowMs += 3_650 * DAY_MS
  assert.equal(time(), startMs + 41 * DAY_MS)
  pass(DAY_MS)
  assert.equal(time(), startMs + 42 * DAY_MS)
  nowMs = startMs // set back
  assert.equal(time(), startMs)
})
