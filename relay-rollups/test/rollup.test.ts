import assert from 'node:assert/strict'
import { test } from 'node:test'

import {
  average, emptyRollup, foldReading, foldReadings, median, mergeRollup, quantile, standardDeviation, total, type Rollup
} from '../src/rollup.ts'

const START_MS = Date.parse('2024-01-01T00:00:00Z')

function rollupOf (...values: number[]): Rollup {
  const rollup = emptyRollup()
  values.forEach((value, n) => foldReading(rollup, START_MS + n, value))
  return rollup
}

test('a window of negative readings keeps its true maximum', () => {
  const rollup = rollupOf(-8, -3, -5)
  assert.equal(rollup.max, -3)
  assert.equal(rollup.min, -8)
})

test('the average of a repeated decimal is that decimal', () => {
  const rollup = rollupOf(...new Array<number>(1000).fill(0.1))
  assert.equal(average(rollup), 0.1)
  assert.equal(total(rollup), 100)
  assert.equal(standardDeviation(rollup), 0)
})

test('the median of few values is exact, and not the median of medians', () => {
  const quiet = rollupOf(1, 1, 1)
  const loud = rollupOf(5, 6, 7, 8, 9, 10)
  mergeRollup(quiet, loud)
  assert.deepEqual(median(quiet), { value: 6, error: 0 })
  assert.deepEqual(quantile(quiet, { part: 0, whole: 1 }), { value: 1, error: 0 })
  assert.deepEqual(quantile(quiet, { part: 1, whole: 1 }), { value: 10, error: 0 })
})

test('the standard deviation is that of the population, also far from zero', () => {
  assert.equal(standardDeviation(rollupOf(2, 4, 4, 4, 5, 5, 7, 9)), 2)
  assert.equal(standardDeviation(rollupOf(...[2, 4, 4, 4, 5, 5, 7, 9].map(value => 1e15 + value))), 2)
  assert.equal(standardDeviation(rollupOf(-1e140, 1e140)), 1e140)
})

test('one value of any size does not destroy the standard deviation of the others', () => {
  const tenths = Array.from({ length: 200 }, (_, n) => 20 + n / 10)
  for (const value of [1e-146, 1e-200, Number.MIN_VALUE, -Number.MIN_VALUE]) {
    assert.equal(
      standardDeviation(rollupOf(...tenths, value)), standardDeviation(rollupOf(...tenths, 0)), String(value)
    )
  }
  assert.equal(standardDeviation(rollupOf(1, 1e300)), 5e299)
  assert.equal(standardDeviation(rollupOf(Number.MAX_VALUE, -Number.MAX_VALUE)), Number.MAX_VALUE)
  assert.equal(standardDeviation(rollupOf(0, 2 * Number.MIN_VALUE)), Number.MIN_VALUE)
  assert.equal(standardDeviation(emptyRollup()), null)
})

test('values at both ends of the range of doubles have an average', () => {
  const { MAX_VALUE } = Number
  assert.equal(average(rollupOf(MAX_VALUE, MAX_VALUE, MAX_VALUE)), MAX_VALUE)
  assert.equal(average(rollupOf(MAX_VALUE, -MAX_VALUE, 3)), 1)
  assert.equal(total(rollupOf(MAX_VALUE, MAX_VALUE)), Infinity)
})

test('first and last are the earliest and latest in time; at one time the smallest and the greatest value', () => {
  const rollup = emptyRollup()
  for (const [ms, value] of [[20, 5], [10, 7], [20, 6], [10, 8], [15, 99]]) foldReading(rollup, START_MS + ms, value)
  assert.deepEqual([rollup.firstMs, rollup.firstValue], [START_MS + 10, 7])
  assert.deepEqual([rollup.lastMs, rollup.lastValue], [START_MS + 20, 6])
})

test('an empty rollup says so in every statistic, and changes nothing it is merged into', () => {
  const empty = emptyRollup()
  foldReadings(empty, { timesMs: [], values: [] })
  assert.equal(empty.count, 0)
  assert.ok(Number.isNaN(average(empty)))
  assert.ok(Number.isNaN(median(empty).value))
  assert.equal(total(empty), 0)

  const rollup = rollupOf(1, 2)
  mergeRollup(rollup, empty)
  assert.deepEqual(rollup, rollupOf(1, 2))
})
