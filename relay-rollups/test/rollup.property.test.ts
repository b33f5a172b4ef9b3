import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { roundSum } from '../src/exact-sum.ts'
import { emptyReadings, mergeReadings, type Readings } from '../src/readings.ts'
import { encodeRollupBody } from '../src/rollup-row.ts'
import {
  average, emptyRollup, foldReading, foldReadings, median, mergeRollup, standardDeviation, sumReadings, total,
  type Rollup
} from '../src/rollup.ts'
import {
  exactDeviation, quotientToDouble, sortedQuantile, sumUnits, toDouble, UNIT_EXPONENT
} from 'relay-test-support/exact.ts'
import { alikeValues, anyCuts, anyMergeTree, anyOrder, anyValues } from 'relay-test-support/values.ts'

type Reading = readonly [timeMs: number, value: number]

const START_MS = Date.parse('2024-01-01T00:00:00Z')

const anyReadings: fc.Arbitrary<Reading[]> = fc.tuple(
  anyValues().filter(it => it.length > 0), fc.array(fc.nat(3_599_999), { minLength: 1, maxLength: 30 })
).map(([values, offsetsMs]) => values.map((value, n) => [START_MS + offsetsMs[n % offsetsMs.length], value]))

function sorted (pairs: readonly Reading[]): Readings {
  const arrived = { timesMs: pairs.map(it => it[0]), values: pairs.map(it => it[1]) }
  return mergeReadings(emptyReadings(), arrived, true).merged
}

function foldOneByOne (pairs: readonly Reading[]): Rollup {
  const rollup = emptyRollup()
  for (const [timeMs, value] of pairs) foldReading(rollup, timeMs, value)
  return rollup
}

function foldAtOnce (pairs: readonly Reading[]): Rollup {
  const rollup = emptyRollup()
  foldReadings(rollup, sorted(pairs))
  return rollup
}

/** Everything that a row stores of a rollup. */
function bytesOf (rollup: Rollup): unknown[] {
  return [rollup.count, total(rollup), rollup.min, rollup.max, encodeRollupBody(rollup, START_MS).toString('hex')]
}

test('folding readings at once gives the same bytes as one by one', () => {
  fc.assert(fc.property(anyReadings, pairs => {
    assert.deepStrictEqual(bytesOf(foldAtOnce(pairs)), bytesOf(foldOneByOne(pairs)))
  }), { numRuns: 1000 })
})

test('the totals of readings equal those of their rollup', () => {
  fc.assert(fc.property(anyReadings, pairs => {
    const { count, min, max, sum } = sumReadings(sorted(pairs))
    const rollup = foldOneByOne(pairs)
    assert.deepStrictEqual([count, min, max, roundSum(sum)], [rollup.count, rollup.min, rollup.max, total(rollup)])
  }))
})

test('folding readings in parts gives the same bytes as at once', () => {
  fc.assert(fc.property(anyReadings, anyOrder(), anyCuts(), (pairs, order, cut) => {
    const rollup = emptyRollup()
    for (const part of cut(order(pairs))) foldReadings(rollup, sorted(part))
    assert.deepStrictEqual(bytesOf(rollup), bytesOf(foldOneByOne(pairs)))
  }), { numRuns: 1000 })
})

test('the same readings in any order and split give the same bytes', () => {
  fc.assert(fc.property(anyReadings, anyOrder(), anyCuts(), anyMergeTree(), (pairs, order, cut, merge) => {
    const parts = cut(order(pairs)).map(foldAtOnce)
    assert.deepStrictEqual(bytesOf(merge([emptyRollup(), ...parts], mergeRollup)), bytesOf(foldOneByOne(pairs)))
  }), { numRuns: 2000 })
})

test('merging does not change its source, which may be merged again', () => {
  fc.assert(fc.property(anyReadings, anyReadings, anyReadings, (one, two, three) => {
    const delta = foldAtOnce(one)
    const hour = foldAtOnce(two)
    const day = foldAtOnce(three)
    mergeRollup(hour, delta)
    mergeRollup(day, delta)
    assert.deepStrictEqual(bytesOf(delta), bytesOf(foldAtOnce(one)))
    assert.deepStrictEqual(bytesOf(hour), bytesOf(foldAtOnce([...one, ...two])))
    assert.deepStrictEqual(bytesOf(day), bytesOf(foldAtOnce([...one, ...three])))
  }), { numRuns: 500 })
})

test('count, sum, average, ends and median equal those of the sorted readings', () => {
  fc.assert(fc.property(anyReadings, pairs => {
    const rollup = foldAtOnce(pairs)
    const values = pairs.map(([, value]) => value + 0)
    const sum = sumUnits(values)
    assert.equal(rollup.count, values.length)
    assert.equal(rollup.min, values.reduce((a, b) => Math.min(a, b)))
    assert.equal(rollup.max, values.reduce((a, b) => Math.max(a, b)))
    assert.equal(total(rollup), toDouble(sum, UNIT_EXPONENT))

    assert.equal(average(rollup), quotientToDouble(sum, BigInt(values.length), UNIT_EXPONENT) + 0)

    const byTime = sorted(pairs)
    assert.deepEqual([rollup.firstMs, rollup.firstValue], [byTime.timesMs[0], byTime.values[0]])
    assert.deepEqual([rollup.lastMs, rollup.lastValue], [byTime.timesMs.at(-1), byTime.values.at(-1)])

    const truth = sortedQuantile(values, 1, 2)
    const { value, error } = median(rollup)
    assert.ok(error === 0 ? value === truth + 0 : Math.abs(value - truth) <= error, `${value} ± ${error} for ${truth}`)
  }), { numRuns: 2000 })
})

test('the standard deviation is rounded once, for values of any size, in any order and split', () => {
  const millionths = (most: number) => fc.integer({ min: -most, max: most }).map(scaled => scaled / 1e6)
  const near = fc.tuple(millionths(1e15), fc.array(millionths(1000), { maxLength: 100 }))
    .map(([center, offsets]) => offsets.map(offset => center + offset)) // where the textbook formula cancels all digits
  const values = fc.oneof(anyValues(), alikeValues(), near).filter(it => it.length > 0)
  fc.assert(fc.property(values, anyOrder(), anyCuts(), anyMergeTree(), (values, order, cut, merge) => {
    const pairs = values.map((value, n) => [START_MS + n, value] as const)
    const rollup = merge([emptyRollup(), ...cut(order(pairs)).map(foldAtOnce)], mergeRollup)
    assert.equal(standardDeviation(rollup), exactDeviation(values))
  }), { numRuns: 4000 })
})
