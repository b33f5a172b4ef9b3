import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { Fleet } from '../src/fleet.ts'
import { valueAt } from '../src/value.ts'

const settings = fc.record({
  devices: fc.integer({ min: 1, max: 50 }),
  zones: fc.integer({ min: 1, max: 40 }),
  rate: fc.oneof(fc.constantFrom(1, 10, 1_000, 3, 0.1, 1 / 60), fc.double({ min: 1e-6, max: 1_000, noNaN: true })),
  seed: fc.nat()
})
/** 1970 to 2100 */
const times = fc.integer({ min: 0, max: Date.UTC(2100, 0, 1) })

test('the known fleet is three devices in three zones, with any other setting', () => {
  for (const seed of [0, 1, 77]) {
    const { devices } = new Fleet({ devices: 100, zones: 1, rate: 1, seed })
    const known = devices.filter(it => it.deviceId.endsWith('-001'))
    assert.deepEqual(known.map(({ deviceId, deviceType, zone }) => `${deviceId} ${deviceType} ${zone}`).sort(), [
      'car-fuel-001 CAR_FUEL Zone C', 'heart-rate-001 HEART_RATE_METER Zone B', 'thermostat-001 THERMOSTAT Zone A'
    ])
  }
})

test('a fleet has devices of the accepted types, in rotation, and the known ones of these', () => {
  const types = fc.uniqueArray(fc.oneof(
    fc.constantFrom('THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL'), fc.string({ minLength: 1 })
  ),
  { minLength: 1, maxLength: 6 })
  fc.assert(fc.property(settings, types, (given, deviceTypes) => {
    const { devices } = new Fleet({ ...given, devices: 60, deviceTypes })
    assert.deepEqual(new Set(devices.map(it => it.deviceType)), new Set(deviceTypes))
    assert.equal(new Set(devices.map(it => it.deviceId)).size, 60)
    for (const { deviceType, seed } of devices) {
      assert.ok(Number.isFinite(valueAt(deviceType, seed, Date.UTC(2024, 0, 1))))
    }
  }))
  const [device] = new Fleet({ devices: 1, zones: 1, rate: 1, seed: 1, deviceTypes: ['CO2 level'] }).devices
  assert.equal(device.deviceId, 'co2-level-0001')
})

test('further devices have unique ids, every zone has every type, and the number of zones is as requested', () => {
  const { devices } = new Fleet({ devices: 1_000, zones: 30, rate: 1, seed: 1 })
  assert.equal(new Set(devices.map(it => it.deviceId)).size, 1_000)
  assert.ok(devices.some(it => it.deviceId === 'thermostat-0004' && it.deviceType === 'THERMOSTAT'))
  const byZone = Map.groupBy(devices, it => it.zone)
  assert.equal(byZone.size, 30)
  assert.ok(byZone.has('Zone Z') && byZone.has('Zone AD'))
  for (const [zone, inZone] of byZone) assert.equal(new Set(inZone.map(it => it.deviceType)).size, 3, zone)
})

test('a growing fleet leaves existing devices unchanged', () => {
  fc.assert(fc.property(settings, fc.nat(20), (small, more) => {
    const byId = new Map(new Fleet({ ...small, devices: small.devices + more }).devices.map(it => [it.deviceId, it]))
    for (const device of new Fleet(small).devices) assert.deepEqual(byId.get(device.deviceId), device)
  }))
})

test('ticks advance in time, and no device has two events in one millisecond', () => {
  fc.assert(fc.property(settings, times, (given, startMs) => {
    const fleet = new Fleet(given)
    const first = fleet.tickFrom(startMs)
    const lastMs = new Map<string, number>()
    let beforeMs = -Infinity
    for (let tick = first; tick < first + 4 * given.devices; tick++) {
      const timeMs = fleet.timeAt(tick)
      const { deviceId } = fleet.deviceAt(tick)
      assert.ok(Number.isSafeInteger(timeMs) && timeMs >= beforeMs)
      assert.ok(!(lastMs.get(deviceId)! >= timeMs), `${deviceId} is at ${timeMs} twice`)
      lastMs.set(deviceId, timeMs)
      beforeMs = timeMs
    }
    assert.equal(lastMs.size, given.devices)
  }))
})

test('every device reports once per period, without drift or gap, for any duration', () => {
  fc.assert(fc.property(settings, times, fc.nat(1_000_000), (given, startMs, rounds) => {
    const fleet = new Fleet(given)
    const periodMs = Math.round(1e6 / given.rate) / 1_000
    const first = fleet.tickFrom(startMs)
    const later = first + rounds * given.devices
    const tookMs = fleet.timeAt(later) - fleet.timeAt(first)
    assert.ok(Math.abs(tookMs - rounds * periodMs) <= 1, `${rounds} periods of ${periodMs} ms took ${tookMs} ms`)
    assert.equal(fleet.deviceAt(later), fleet.deviceAt(first))
  }))
})

test('the tick from a time is the first one at or after it', () => {
  fc.assert(fc.property(settings, times, (given, timeMs) => {
    const fleet = new Fleet(given)
    const tick = fleet.tickFrom(timeMs)
    assert.ok(fleet.timeAt(tick) >= timeMs)
    if (tick > 0) assert.ok(fleet.timeAt(tick - 1) < timeMs)
    assert.equal(fleet.tickFrom(fleet.timeAt(tick)) <= tick, true)
  }), { numRuns: 2_000 })
})
