import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { decodeEvent } from 'relay-rollups'

import { makeBatches, START_MS, type Backlog } from '../src/backlog.ts'

const backlogs = fc.record({
  events: fc.integer({ min: 1, max: 3_000 }),
  devices: fc.integer({ min: 1, max: 500 }),
  intervalMs: fc.constantFrom(0.6, 60, 1_000, 60_000),
  late: fc.constantFrom(undefined, { share: 0.2, as: 'strays' } as const, { share: 0.2, as: 'outages' } as const)
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

test('a backlog has the stated number of events and devices, without duplicates', () => {
  fc.assert(fc.property(backlogs, backlog => {
    const events = readEvents(backlog)
    assert.equal(events.length, backlog.events)
    const devices = new Set(events.map(it => it.deviceId)).size
    if (backlog.late?.as === 'outages') assert.ok(devices <= backlog.devices) // some report twice before others do once
    else assert.equal(devices, Math.min(backlog.devices, backlog.events))
    assert.equal(new Set(events.map(it => `${it.deviceId} ${it.timestampMs} ${it.value}`)).size, backlog.events)
  }), { numRuns: 30 })
})

const fleet = { topic: 'events', partitions: 8, devices: 100 }
const DAY_MS = 86_400_000

/** @param latenessMs of late readings */
function assertSpreadOverMonth (latenessMs: readonly number[], tolerance: number): void {
  for (let week = 0; week < 4; week++) {
    const inWeek = latenessMs.filter(ms => ms > 7 * week * DAY_MS && ms <= 7 * (week + 1) * DAY_MS).length
    const share = inWeek / latenessMs.length
    assert.ok(Math.abs(share - 7 / 30) < tolerance, `${share} of them are ${week} weeks late`)
  }
}

test('a fifth of the readings is late, spread over a month, and the rest in order', () => {
  const backlog = { ...fleet, events: 20_000 }
  const onTimeMs = readEvents(backlog).map(it => it.timestampMs)
  const latenessMs = readEvents({ ...backlog, late: { share: 0.2, as: 'strays' } })
    .map((it, n) => onTimeMs[n] - it.timestampMs).filter(it => it > 0)
  assert.ok(Math.abs(latenessMs.length / backlog.events - 0.2) < 0.01, `${latenessMs.length} are late`)
  assertSpreadOverMonth(latenessMs, 0.02)
})

test('after outages a fifth is late: some devices at a time, each the readings of 10 to 60 minutes in order', () => {
  const intervalMs = 10_000
  const backlog: Backlog = { ...fleet, events: 200_000, intervalMs, late: { share: 0.2, as: 'outages' } }
  const events = readEvents(backlog)
  const late = events.filter(it => it.timestampMs < START_MS)
  assert.ok(Math.abs(late.length / events.length - 0.2) < 0.01, `${late.length} are late`)
  assertSpreadOverMonth(late.map(it => START_MS - it.timestampMs), 0.04)

  const inOrder = readEvents({ ...backlog, events: events.length - late.length, late: undefined })
  assert.deepEqual(events.filter(it => it.timestampMs >= START_MS), inOrder)

  const outages = Map.groupBy(late, it => it.deviceId).values().flatMap(readings => {
    const cuts = [
      0, ...readings.keys().filter(n => n > 0 && readings[n].timestampMs - readings[n - 1].timestampMs !== intervalMs)
    ]
    return cuts.map((from, n) => readings.slice(from, cuts[n + 1]))
  }).toArray()
  assert.ok(outages.length > 100, `${outages.length} outages`)
  const minutes = outages.map(it => it.length * intervalMs / 60_000)
  assert.ok(Math.max(...minutes) <= 60.2, `one of ${Math.max(...minutes)} minutes`)
  assert.equal(
    minutes.filter(it => it < 10).length <= 1, true,
    'all but the one that is delivered at the end are 10 minutes or more'
  )
})
