import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { ByteReader, ByteWriter } from '../src/bytes.ts'
import { RelayError } from 'relay-common'
import {
  decodeReadings, emptyReadings, encodeReadings, mergeReadings, READINGS_ENCODED_MAX, type Readings
} from '../src/readings.ts'
import { anyCuts, anyDamage, anyOrder, anyValues } from 'relay-test-support/values.ts'

type Reading = readonly [timeMs: number, value: number]

const START_MS = Date.parse('2024-01-01T00:00:00Z')

/** Readings of a bucket as they arrive: regular or not, several at a time, with duplicates. */
const anyReadings: fc.Arbitrary<Reading[]> = fc.tuple(
  anyValues(120),
  fc.constantFrom(0, 1, 250, 1000, 59_999),
  fc.array(fc.oneof(fc.constant(0), fc.nat(30), fc.nat(86_399_999)), { minLength: 1, maxLength: 20 }),
  fc.array(fc.nat(), { maxLength: 20 })
).map(([values, stepMs, jitterMs, again]) => {
  const readings = values.map((value, n) => [START_MS + n * stepMs + jitterMs[n % jitterMs.length], value] as const)
  return readings.concat(again.filter(() => readings.length > 0).map(n => readings[n % readings.length]))
})

const fromPairs = (pairs: readonly Reading[]): Readings =>
  ({ timesMs: pairs.map(it => it[0]), values: pairs.map(it => it[1]) })

const toPairs = ({ timesMs, values }: Readings): Reading[] => timesMs.map((timeMs, n) => [timeMs, values[n]])

/** The simple way: all sorted, without those equal to the previous one. */
function sortPairs (pairs: readonly Reading[], keepDuplicates: boolean): Reading[] {
  const sorted = pairs.map(([timeMs, value]) => [timeMs, value + 0] as const)
    .sort(([aMs, a], [bMs, b]) => aMs - bMs || a - b)
  return sorted.filter(([timeMs, value], n) =>
    keepDuplicates || n === 0 || sorted[n - 1][0] !== timeMs || sorted[n - 1][1] !== value)
}

function encode (readings: Readings): Buffer {
  const writer = new ByteWriter(16)
  encodeReadings(writer, readings, START_MS)
  return writer.copy()
}

test('readings merged in any order and split are sorted and unique, or complete if duplicates are kept', () => {
  fc.assert(fc.property(anyReadings, anyOrder(), anyCuts(), fc.boolean(), (pairs, order, cut, keepDuplicates) => {
    const base = emptyReadings()
    let fresh = 0
    let duplicates = 0
    for (const part of cut(order(pairs))) {
      const before = toPairs(base)
      const result = mergeReadings(base, fromPairs(part), keepDuplicates)
      assert.equal(result.merged, base)
      assert.deepEqual(sortPairs([...before, ...toPairs(result.fresh)], true), toPairs(base))
      assert.deepEqual(toPairs(result.fresh), sortPairs(toPairs(result.fresh), keepDuplicates))
      assert.equal(result.fresh.timesMs.length + result.duplicates, part.length)
      fresh += result.fresh.timesMs.length
      duplicates += result.duplicates
    }
    assert.deepEqual(toPairs(base), sortPairs(pairs, keepDuplicates))
    assert.equal(fresh, base.timesMs.length)
    assert.equal(duplicates, pairs.length - base.timesMs.length)
  }), { numRuns: 2000 })
})

test('merging readings in the order of time gives the same as in any other order', () => {
  fc.assert(fc.property(anyReadings, anyCuts(), fc.boolean(), (pairs, cut, keepDuplicates) => {
    const base = emptyReadings()
    for (const part of cut(sortPairs(pairs, keepDuplicates))) {
      const arrived = fromPairs(part)
      assert.equal(mergeReadings(base, arrived, keepDuplicates).fresh, arrived)
    }
    assert.deepEqual(toPairs(base), sortPairs(pairs, keepDuplicates))
  }))
})

test('encoded and decoded readings are the same to the bit', () => {
  fc.assert(fc.property(anyReadings, fc.boolean(), (pairs, keepDuplicates) => {
    const readings = fromPairs(sortPairs(pairs, keepDuplicates))
    const reader = new ByteReader(encode(readings))
    assert.deepStrictEqual(decodeReadings(reader, START_MS), readings) // distinguishes -0 from 0
    assert.equal(reader.remaining, 0)
  }), { numRuns: 2000 })
})

test('damaged readings are an error with a code, or other valid readings', () => {
  fc.assert(fc.property(anyReadings, anyDamage(), (pairs, damage) => {
    try {
      const readings = decodeReadings(new ByteReader(damage(encode(fromPairs(sortPairs(pairs, false))))), START_MS)
      assert.ok(readings.timesMs.length <= READINGS_ENCODED_MAX)
      assert.deepEqual(toPairs(readings), sortPairs(toPairs(readings), true))
    } catch (error) {
      if (!(error instanceof RelayError)) throw error
      assert.equal(error.code, 'RELAY_ROLLUP_CORRUPT')
    }
  }), { numRuns: 5000 })
})

test('a minute of readings with one decimal has at most 125 bytes', () => {
  const oneDecimal = fc.array(fc.integer({ min: -30, max: 30 }), { minLength: 60, maxLength: 60 }).map(steps => {
    let tenths = 215
    return steps.map(step => (tenths += step) / 10)
  })
  fc.assert(fc.property(oneDecimal, fc.nat(999), (values, offsetMs) => {
    const regular = { timesMs: values.map((_, n) => START_MS + offsetMs + n * 1000), values }
    assert.ok(encode(regular).length <= 69, `${encode(regular).length} bytes`)
  }))
  fc.assert(fc.property(oneDecimal, fc.array(fc.nat(12), { minLength: 60, maxLength: 60 }), (values, jitterMs) => {
    const jittery = { timesMs: values.map((_, n) => START_MS + n * 1000 + jitterMs[n]), values }
    assert.ok(encode(jittery).length <= 125, `${encode(jittery).length} bytes`)
  }))
})
