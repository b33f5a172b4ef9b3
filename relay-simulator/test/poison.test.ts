import assert from 'node:assert/strict'
import { test } from 'node:test'

import { decodeEvent, rejectedReasons, type EventRules } from 'relay-rollups'

import { eventTextAt, recordAt } from '../src/event.ts'
import { Fleet } from '../src/fleet.ts'
import { poisonAt, poisonKinds } from '../src/poison.ts'
import { valueAt } from '../src/value.ts'

const rules: EventRules = { deviceTypes: new Set(['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL']), futureMaxMs: 300_000 }
const { devices } = new Fleet({ devices: 30, zones: 9, rate: 1, seed: 1 })
const timeMs = Date.UTC(2024, 1, 29, 12, 0, 0, 7)
const bytesOf = (value: string | Buffer | null) => value === null ? null : Buffer.from(value as string)

test('an event is in the wire format, with the usual order of fields', () => {
  const device = devices.find(it => it.deviceId === 'thermostat-001')!
  const value = valueAt(device.deviceType, device.seed, timeMs)
  assert.equal(eventTextAt(device, timeMs), '{"deviceId":"thermostat-001","deviceType":"THERMOSTAT","zone":"Zone A",' +
    `"value":${value},"timestamp":"2024-02-29T12:00:00.007Z"}`)
  assert.equal(recordAt(device, timeMs).key, 'thermostat-001')
})

test('every event is accepted, and contains the value of the device', () => {
  for (const device of devices) {
    const { deviceId, deviceType, zone, seed } = device
    const value = valueAt(deviceType, seed, timeMs)
    assert.deepEqual(decodeEvent(Buffer.from(eventTextAt(device, timeMs)), rules, timeMs),
      { kind: 'event', event: { deviceId, deviceType, zone, value, timestampMs: timeMs } })
  }
})

for (const [index, { name, reason }] of poisonKinds.entries()) {
  test(`poison of the kind "${name}" is rejected as ${reason}`, () => {
    for (const device of devices) {
      const { key, value } = poisonAt(device, timeMs, (index + 0.5) / poisonKinds.length)
      const decoded = decodeEvent(bytesOf(value), rules, timeMs)
      assert.equal(decoded.kind === 'rejected' ? decoded.reason : decoded.kind, reason)
      assert.equal(key, device.deviceId)
    }
  })
}

test('there is poison for every rejection reason, whatever the retention', () => {
  const reasons = Object.keys(rejectedReasons).filter(it => it !== 'too-old')
  assert.deepEqual([...new Set(poisonKinds.map(it => it.reason))].sort(), reasons.sort())
})
