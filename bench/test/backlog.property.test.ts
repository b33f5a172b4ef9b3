import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { decodeEvent } from 'relay-common'

import { makeBatches, type Backlog } from '../src/backlog.ts'

const backlogs = fc.record({
  events: fc.integer({ min: 1, max: 3_000 }),
  devices: fc.integer({ min: 1, max: 500 }),
  intervalMs: fc.constantFrom(0.6, 60, 1_000, 60_000),
  lateShare: fc.constantFrom(0, 0.2)
}).map(it => ({ ...it, topic: 'events', partitions: 8 }))

const rules = { deviceTypes: new Set(['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL']), futureMaxMs: 0 }

function readEvents (backlog: Backlog) {
  return [...makeBatches(backlog)].flat().map(({ key, value }) => {
    const decoded = decodeEvent(Buffer.from(value as string), rules, Date.parse('2027-01-01T00:00:00Z'))
    assert.ok(decoded.kind !== 'rejected', `${value} is no event`)
    assert.equal(decoded.event.deviceId, key)
    return decoded.event
  })
}

test('a backlog is so many events of so many devices, none of them a resend', () => {
  fc.assert(fc.property(backlogs, backlog => {
    const events = readEvents(backlog)
    assert.equal(events.length, backlog.events)
    assert.equal(new Set(events.map(it => it.deviceId)).size, Math.min(backlog.devices, backlog.events))
    assert.equal(new Set(events.map(it => `${it.deviceId} ${it.timestampMs} ${it.value}`)).size, backlog.events)
  }), { numRuns: 30 })
})

test('a fifth of the readings comes late, spread over a month, and the rest in order', () => {
  const backlog = { topic: 'events', partitions: 8, events: 20_000, devices: 100, lateShare: 0.2 }
  const onTimeMs = readEvents({ ...backlog, lateShare: 0 }).map(it => it.timestampMs)
  const latenessDays = readEvents(backlog)
    .map((it, n) => (onTimeMs[n] - it.timestampMs) / 86_400_000).filter(it => it > 0)
  assert.ok(Math.abs(latenessDays.length / backlog.events - 0.2) < 0.01, `${latenessDays.length} are late`)
  for (let week = 0; week < 4; week++) {
    const inWeek = latenessDays.filter(it => it > 7 * week && it <= 7 * (week + 1)).length / latenessDays.length
    assert.ok(Math.abs(inWeek - 7 / 30) < 0.02, `${inWeek} of them are ${week} weeks late`)
  }
})
