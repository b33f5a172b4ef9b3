import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { decodeEvent, type EventRules } from '../src/event/event.ts'
import { damagedEvents, writtenEvents } from 'relay-test-support/written-events.ts'

const rules: EventRules = { deviceTypes: new Set(['THERMOSTAT', 'CAR_FUEL', 'Wärme "1"']), futureMaxMs: 0 }
const nowMs = Date.UTC(2100, 0)

const written = writtenEvents([...rules.deviceTypes], nowMs)

test('an event decodes to its meaning, in any spelling', () => {
  fc.assert(fc.property(written, ({ text, event }) => {
    assert.deepEqual(decodeEvent(Buffer.from(text), rules, nowMs), { kind: 'event', event })
  }), { numRuns: 5_000 })
})

test('any bytes are accepted or rejected without an exception, and accepted events follow the rules', () => {
  const counts = { event: 0, rejected: 0 }
  fc.assert(fc.property(fc.oneof(damagedEvents(written), fc.uint8Array({ maxLength: 200 })), bytes => {
    const decoded = decodeEvent(bytes, rules, nowMs)
    counts[decoded.kind]++
    if (decoded.kind !== 'event') return
    const { deviceId, deviceType, zone, value, timestampMs } = decoded.event
    const parsed = JSON.parse(Buffer.from(bytes).toString())
    assert.deepEqual(
      { deviceId, deviceType, zone, value },
      { deviceId: parsed.deviceId, deviceType: parsed.deviceType, zone: parsed.zone, value: parsed.value + 0 })
    for (const id of [deviceId, zone]) {
      assert.ok(id.length >= 1 && id.length <= 128 && id.isWellFormed() && !/\p{Cc}/u.test(id) && id.trim() !== '')
    }
    assert.ok(rules.deviceTypes.has(deviceType))
    assert.ok(Number.isFinite(value) && !Object.is(value, -0))
    assert.ok(Number.isInteger(timestampMs) && timestampMs >= 0 && timestampMs <= nowMs)
  }), { numRuns: 5_000 })
  assert.ok(counts.event > 100 && counts.rejected > 100, `both happen: ${JSON.stringify(counts)}`)
})
