import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { valueAt, valueBounds, type DeviceType } from '../src/value.ts'

const SECOND_MS = 1_000
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000

const types = Object.keys(valueBounds) as DeviceType[]
const seeds = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
/** 1970 to 2100 */
const times = fc.integer({ min: 0, max: Date.UTC(2100, 0, 1) })

test('every value is within the bounds of its type, in steps of its type', () => {
  fc.assert(fc.property(fc.constantFrom(...types), seeds, times, (type, seed, timeMs) => {
    const value = valueAt(type, seed, timeMs)
    const { min, max } = valueBounds[type]
    assert.ok(value >= min && value <= max, `${type} reads ${value}`)
    assert.equal(value, type === 'HEART_RATE_METER' ? Math.round(value) : Number(value.toFixed(1)))
  }), { numRuns: 20_000 })
})

test('a value is the same for any reader, in any order', () => {
  const someTimes = fc.array(times, { minLength: 2, maxLength: 20 })
  fc.assert(fc.property(fc.constantFrom(...types), seeds, someTimes, (type, seed, moments) => {
    const forth = moments.map(it => valueAt(type, seed, it))
    const back = moments.toReversed().map(it => valueAt(type, seed, it)).reverse()
    assert.deepEqual(back, forth)
  }))
})

test('signals do not jump: from one second to the next they change little', () => {
  const stepMax: Record<DeviceType, number> = { THERMOSTAT: 0.2, HEART_RATE_METER: 8, CAR_FUEL: 1 }
  fc.assert(fc.property(fc.constantFrom(...types), seeds, times, (type, seed, startMs) => {
    let before = valueAt(type, seed, startMs)
    for (let second = 1; second <= 1_800; second++) {
      const value = valueAt(type, seed, startMs + second * SECOND_MS)
      const step = Math.abs(value - before)
      assert.ok(step <= stepMax[type] + 1e-9, `${type} goes from ${before} to ${value} at second ${second}`)
      before = value
    }
  }), { numRuns: 300 })
})

test('devices with different seeds have different values', () => {
  fc.assert(fc.property(fc.constantFrom(...types), seeds, seeds, times, (type, one, other, startMs) => {
    fc.pre(one !== other)
    const curve = (seed: number) =>
      Array.from({ length: 200 }, (_, index) => valueAt(type, seed, startMs + index * 7 * MINUTE_MS))
    assert.notDeepEqual(curve(one), curve(other))
  }))
})

const average = (values: number[]) => values.reduce((sum, it) => sum + it, 0) / values.length
/** Values of some days, one per minute from `startMs`. */
const everyMinute = (type: DeviceType, seed: number, startMs: number, minutes: number) =>
  Array.from({ length: minutes }, (_, minute) => valueAt(type, seed, startMs + minute * MINUTE_MS))

test('a room is warmer in the afternoon than before dawn', () => {
  fc.assert(fc.property(seeds, times, (seed, timeMs) => {
    const midnightMs = Math.floor(timeMs / DAY_MS) * DAY_MS
    const around = (hour: number) => average(Array.from({ length: 10 }, (_, day) =>
      everyMinute('THERMOSTAT', seed, midnightMs + day * DAY_MS + hour * HOUR_MS, 60)).flat())
    assert.ok(around(15) - around(3) > 2)
  }), { numRuns: 100 })
})

test('a heart sleeps at night, rests by day and works now and then', () => {
  fc.assert(fc.property(seeds, times, (seed, timeMs) => {
    const midnightMs = Math.floor(timeMs / DAY_MS) * DAY_MS
    const days = Array.from({ length: 5 }, (_, day) => midnightMs + day * DAY_MS)
    const night = days.flatMap(it => everyMinute('HEART_RATE_METER', seed, it + HOUR_MS, 4 * 60))
    const day = days.flatMap(it => everyMinute('HEART_RATE_METER', seed, it + 9 * HOUR_MS, 12 * 60))
    assert.ok(Math.max(...night) <= 75, `${Math.max(...night)} at night`)
    assert.ok(average(day) - average(night) > 8)
    assert.ok(Math.max(...day) >= 100, `at most ${Math.max(...day)} in five days`)
  }), { numRuns: 100 })
})

test('fuel drains, stays constant while the car is parked, and is refilled about daily', () => {
  fc.assert(fc.property(seeds, times, (seed, startMs) => {
    const curve = everyMinute('CAR_FUEL', seed, startMs, 3 * 24 * 60)
    const steps = curve.slice(1).map((value, at) => value - curve[at])
    const refills = steps.filter((it, at) => it > 5 && !(steps[at - 1] > 5)).length // some steep minutes in a row
    assert.ok(refills >= 2 && refills <= 4, `${refills} refills in three days`)
    assert.ok(steps.every(it => it > -3), `it loses ${-Math.min(...steps)} within a minute`)
    assert.ok(steps.filter(it => it === 0).length > steps.length / 3)
    assert.ok(Math.min(...curve) < 25 && Math.max(...curve) > 85)
  }), { numRuns: 200 })
})
