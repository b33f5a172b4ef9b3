/** Compares a histogram of a rollup with counting the values. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { emptyRollup, foldReading } from 'relay-rollups'

import { quotientToDouble, toUnits, UNIT_EXPONENT } from 'relay-test-support/exact.ts'
import { histogramOf, type HistogramBin } from '../src/query/histogram.ts'
import { createRanking } from '../src/query/ranking.ts'

const value = fc.oneof(
  fc.integer({ min: -20, max: 20 }),
  fc.double({ min: -1e3, max: 1e3, noNaN: true }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(Number.MAX_VALUE, -Number.MAX_VALUE, Number.MIN_VALUE, -Number.MIN_VALUE, 0)
).map(it => it + 0)

/** A few of any kind, or so many that their digest is a sketch. */
const values = fc.oneof(
  fc.array(value, { minLength: 1, maxLength: 40 }),
  fc.array(
    fc.double({ min: -100, max: 100, noNaN: true }).map(it => it + 0), { minLength: 200, maxLength: 400, size: 'max' }
  )
)

function rollupOf (values: readonly number[]) {
  const rollup = emptyRollup()
  for (const [n, it] of values.entries()) foldReading(rollup, n, it)
  return rollup
}

function isIn (value: number, { from, to }: HistogramBin, isLast: boolean): boolean {
  return value >= from && (value < to || (isLast && value === to))
}

test('bins are adjacent from the least to the greatest value, and their counts are within the stated error', () => {
  let sketches = 0
  fc.assert(fc.property(values, fc.integer({ min: 1, max: 60 }), fc.constantFrom(
    'linear', 'log'
  ), (values, wanted, scale) => {
    const rollup = rollupOf(values)
    const bins = histogramOf(rollup, wanted, scale as 'linear' | 'log')
    assert.ok(bins.length >= 1 && bins.length <= wanted + 1)
    assert.deepEqual([bins[0].from, bins.at(-1)!.to], [rollup.min, rollup.max])
    for (const [n, bin] of bins.entries()) {
      if (rollup.min < rollup.max) assert.ok(bin.from < bin.to)
      if (n > 0) assert.equal(bin.from, bins[n - 1].to)
      const counted = values.filter(it => isIn(it, bin, n === bins.length - 1)).length
      assert.ok(Math.abs(counted - bin.count) <= bin.countError, `${bin.count} ± ${bin.countError}, not ${counted}`)
    }
    assert.equal(bins.reduce((sum, it) => sum + it.count, 0), values.length)
    if (new Set(values).size <= 128) assert.ok(bins.every(it => it.countError === 0))
    else sketches++
  }), { numRuns: 500 })
  assert.ok(sketches > 0)
})

test('edges of equal width are rounded once, and those of equal ratio are within 1e-12', () => {
  fc.assert(fc.property(value, value, fc.integer({ min: 1, max: 60 }), (a, b, wanted) => {
    const [min, max] = [Math.min(a, b), Math.max(a, b)]
    fc.pre(min < max)
    const exactly = Array.from({ length: wanted + 1 }, (_, n) => quotientToDouble(
      toUnits(min) * BigInt(wanted - n) + toUnits(max) * BigInt(n), BigInt(wanted), UNIT_EXPONENT) + 0)
    const bins = histogramOf(rollupOf([a, b]), wanted, 'linear')
    assert.deepEqual([min, ...bins.map(it => it.to)], [...new Set(exactly)])
    if (min <= 2 ** -1000 || max / min > 1e300) return // subnormal edges have fewer digits
    const log = histogramOf(rollupOf([a, b]), wanted, 'log')
    for (const [n, { from, to }] of log.entries()) {
      if (log.length < wanted || n === 0 || n === wanted - 1) continue
      const logRatio = Math.log(max / min) / wanted
      assert.ok(Math.abs(Math.log(to / from) - logRatio) < 2e-12, `${from} to ${to}`)
    }
  }), { numRuns: 1000 })
})

test('bins of equal width have equal width, and those of equal ratio equal ratio', () => {
  const linear = histogramOf(rollupOf([0, 10, 3, 5]), 4, 'linear')
  assert.deepEqual(linear.map(it => [it.from, it.to, it.count]), [[0, 2.5, 1], [2.5, 5, 1], [5, 7.5, 1], [7.5, 10, 1]])
  const log = histogramOf(rollupOf([1, 2, 50, 10_000, 0, -7]), 4, 'log')
  assert.deepEqual(log.map(it => [Math.round(it.to), it.count]), [[1, 2], [10, 2], [100, 1], [1_000, 0], [10_000, 1]])
})

test('a ranking is the start of all entries in order', () => {
  const entry = fc.record({ key: fc.string({ maxLength: 3 }), value: fc.oneof(fc.integer({ min: 0, max: 3 }), value) })
  fc.assert(fc.property(fc.uniqueArray(entry, { selector: it => it.key }), fc.integer({ min: 1, max: 8 }), fc.boolean(),
    (entries, limit, isHighestFirst) => {
      const ranking = createRanking(limit, isHighestFirst)
      for (const it of entries) ranking.add(it)
      const sorted = entries.toSorted((a, b) => (isHighestFirst ? b.value - a.value : a.value - b.value) ||
        Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)))
      assert.deepEqual(ranking.best(), sorted.slice(0, limit))
    }))
})
