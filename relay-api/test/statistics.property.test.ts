/** Compares every statistic, on the way from a reading to an answer, with exact arithmetic. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import {
  decodeBody, DIGEST_EXACT_VALUES_MAX, emptyReadings, emptyRollup, encodeReadingsBody, encodeRollupBody, foldReadings,
  mergeReadings, mergeRollup, MINUTE_MS, type Readings, type Rollup
} from 'relay-rollups'

import { quotientToDouble, squareRoot, toDouble, toUnits, UNIT_EXPONENT } from 'relay-test-support/exact.ts'
import { alikeValues, anyCuts, anyMergeTree, anyOrder, anyValues } from 'relay-test-support/values.ts'
import { parseStatistics } from '../src/parameters/stats.ts'
import { findStatistic } from '../src/query/statistics.ts'
import { emptyStepSums, walkSteps } from '../src/query/counter-steps.ts'

/** A rollup or readings, as a row of the database returns it. */
function storedReadings (readings: Readings): Rollup {
  const rollup = emptyRollup()
  foldReadings(rollup, readings)
  const { count, min, max } = rollup
  return decodeBody({ bucketStartMs: 0, count, min, max, body: encodeReadingsBody(readings, 0) }).rollup
}

function stored (rollup: Rollup): Rollup {
  const { count, min, max } = rollup
  return decodeBody({ bucketStartMs: 0, count, min, max, body: encodeRollupBody(rollup, 0) }).rollup
}

/** Distinct values with their counts. */
type Counted = Map<number, bigint>

/** The n-th of the sorted values, from 0. */
function valueAt (sorted: ReadonlyArray<readonly [number, bigint]>, n: bigint): number {
  let before = 0n
  for (const [value, count] of sorted) if (n < (before += count)) return value
  return sorted.at(-1)![0]
}

const shown = (value: number) => Number.isFinite(value) ? value + 0 : 'out-of-range'

function expectedOf (counted: Counted) {
  const values = [...counted]
  const count = values.reduce((all, [, times]) => all + times, 0n)
  const sum = values.reduce((all, [value, times]) => all + toUnits(value) * times, 0n)
  const squares = values.reduce((all, [value, times]) => all + toUnits(value) ** 2n * times, 0n)
  const shifted = ((count * squares - sum ** 2n) << 2600n) / count ** 2n
  const root = squareRoot(shifted)
  const isExact = root * root * count ** 2n === (count * squares - sum ** 2n) << 2600n
  return {
    count: Number(count),
    sum: shown(quotientToDouble(sum, 1n, UNIT_EXPONENT)),
    avg: quotientToDouble(sum, count, UNIT_EXPONENT) + 0,
    stddev: toDouble(root * 2n + (isExact ? 0n : 1n), UNIT_EXPONENT - 1301),
    min: Math.min(...counted.keys()),
    max: Math.max(...counted.keys())
  }
}

/** Percentages as clients write them, with up to nine decimals. */
const percent = fc.oneof(
  fc.constantFrom('0', '50', '90', '99', '99.9', '99.99', '100', '007.250'),
  fc.tuple(fc.nat(99), fc.nat(999_999_999), fc.integer({ min: 1, max: 9 }))
    .map(([whole, fraction, digits]) => `${whole}.${String(fraction).padStart(9, '0').slice(0, digits)}`)
)

function checkPercentile (percent: string, rollup: Rollup, counted: Counted): void {
  const statistic = findStatistic(`p${percent}`)!
  const [value, error] = statistic.read({ rollup, steps: undefined, lengthMs: 1 }) as [number, number | string]
  const sorted = [...counted].sort(([a], [b]) => a - b)
  const [whole, fraction = ''] = percent.split('.')
  const scale = 100n * 10n ** BigInt(fraction.length)
  const place = BigInt(rollup.count - 1) * BigInt(whole + fraction)
  const rest = place % scale
  const below = toUnits(valueAt(sorted, place / scale))
  const above = toUnits(valueAt(sorted, place / scale + 1n))
  const truth = below * (scale - rest) + above * rest // times scale
  if (counted.size <= DIGEST_EXACT_VALUES_MAX) assert.equal(error, 0)
  if (error === 0) assert.equal(value, quotientToDouble(truth, scale, UNIT_EXPONENT) + 0, `p${percent}`)
  else if (typeof error === 'number') {
    const distance = toUnits(value) * scale - truth
    assert.ok((distance < 0n ? -distance : distance) <= toUnits(error) * scale, `p${percent}: ${value} ± ${error}`)
  }
}

test('every number of a rollup is exact or within its error: of values of any size, stored ' +
  'and merged in any order, of up to 2^53 readings', () => {
  let greatest = 0
  let sketches = 0
  const values = fc.oneof(anyValues(300), alikeValues(300)).filter(it => it.length > 0)
  fc.assert(fc.property(
    values, anyOrder(), anyCuts(), anyMergeTree(), fc.array(fc.nat(50), { minLength: 1, maxLength: 5 }),
    fc.array(percent, { minLength: 4 }),
    (values, order, cut, merge, doublings, percents) => {
      const counted: Counted = new Map()
      const parts = cut(order(values)).filter(it => it.length > 0).map((part, n) => {
        const readings = mergeReadings(emptyReadings(), {
          timesMs: part.map((_, n) => n % 50), values: [...part]
        }, true).merged
        const rollup = storedReadings(readings)
        // so often that all parts together stay below 2^53, and one value below the limit of a digest
        const times = Math.min(doublings[n % doublings.length], Math.floor(Math.log2(2 ** 51 / values.length)))
        for (let n = 0; n < times; n++) mergeRollup(rollup, stored(rollup))
        for (const value of part) counted.set(value + 0, (counted.get(value + 0) ?? 0n) + 2n ** BigInt(times))
        return rollup
      })
      const rollup = stored(merge(parts, (into, from) => mergeRollup(into, stored(from))))
      greatest = Math.max(greatest, rollup.count)
      if (rollup.digest.level >= 0) sketches++

      for (const [name, expected] of Object.entries(expectedOf(counted))) {
        const [found] = findStatistic(name)!.read({ rollup, steps: undefined, lengthMs: 1 })
        assert.equal(found, expected, name)
      }
      for (const it of percents) checkPercentile(it, rollup, counted)
    }), { numRuns: 1500 })
  assert.ok(greatest > 2 ** 49 && sketches > 50, `${greatest}, ${sketches}`)
})

test('a statistic that is requested in several spellings is one column', () => {
  const columns = parseStatistics('p50,p99.9, p99.90,p050,p50.0,avg,p99.9,avg').flatMap(it => it.columns)
  assert.deepEqual(columns, ['p50', 'p50Error', 'p99.9', 'p99.9Error', 'avg'])
})

test('a percentile has its requested name, in the shortest form', () => {
  for (const [asked, name] of [
    ['p99.9', 'p99.9'], ['p099.90', 'p99.9'], ['p0.000000001', 'p0.000000001'], ['p100.000', 'p100'], ['p0', 'p0'],
    ['p000.5', 'p0.5']
  ] as const) assert.deepEqual(findStatistic(asked)?.columns, [name, `${name}Error`], asked)
  for (const asked of ['p', 'p-1', 'p1e1', 'p100.1', 'p1.', 'p.5', 'p1.0000000001', 'p101', 'p1000']) {
    assert.equal(findStatistic(asked), undefined, asked)
  }
})

test('increases, rates and averages over time are rounded once, in any order of series and split', () => {
  const minuteMs = 20 * MINUTE_MS
  const series = fc.tuple(
    fc.oneof(anyValues(40), alikeValues(40)), fc.array(fc.nat(90_000), { minLength: 1, maxLength: 9 })
  )
    .map(([values, stepsMs]) => {
      let timeMs = 0
      return values.map((value, n) => {
        timeMs += stepsMs[n % stepsMs.length]
        return { timeMs, value: value + 0 }
      })
    }).map(it => it.sort((a, b) => a.timeMs - b.timeMs || a.value - b.value))
  const anyBoundaries = fc.uniqueArray(fc.integer({ min: 0, max: minuteMs }), { minLength: 2, maxLength: 5 })
    .map(it => it.sort((a, b) => a - b))
  fc.assert(fc.property(
    fc.array(series, { minLength: 1, maxLength: 4 }), anyBoundaries, fc.constantFrom(1_000, 30_000, minuteMs),
    anyOrder(), anyCuts(),
    (all, boundaries, maxGapMs, order, cut) => {
      const sums = boundaries.slice(1).map(emptyStepSums)
      for (const readings of order(all)) {
        const walk = walkSteps(boundaries, sums, maxGapMs, 1e15)
        for (const part of cut(readings)) {
          walk.add({ timesMs: part.map(it => it.timeMs), values: part.map(it => it.value) })
        }
        walk.finish()
      }
      for (const [n, steps] of sums.entries()) {
        const [startMs, endMs] = [boundaries[n], boundaries[n + 1]]
        let [increase, count, weighted, heldMs] = [0n, 0, 0n, 0n]
        for (const readings of all) {
          for (const [at, { timeMs, value }] of readings.entries()) {
            const next = readings[at + 1]
            const ms = Math.min(next?.timeMs ?? Infinity, timeMs + maxGapMs, endMs) - Math.max(timeMs, startMs)
            if (ms > 0) [weighted, heldMs] = [weighted + toUnits(value) * BigInt(ms), heldMs + BigInt(ms)]
            if (!next || next.timeMs < startMs || next.timeMs >= endMs || next.timeMs - timeMs > maxGapMs) continue
            count++
            increase += next.value >= value ? toUnits(next.value) - toUnits(value) : toUnits(Math.max(next.value, 0))
          }
        }
        const lengthMs = endMs - startMs
        const read = (name: string) => findStatistic(name)!.read({ rollup: emptyRollup(), steps, lengthMs })[0]
        const few = (value: () => number, isFew: boolean) => isFew ? 'too-few-readings' : shown(value())
        assert.equal(read('increase'), few(() => quotientToDouble(increase, 1n, UNIT_EXPONENT), count === 0))
        assert.equal(
          read('rate'), few(() => quotientToDouble(increase * 1000n, BigInt(lengthMs), UNIT_EXPONENT), count === 0)
        )
        assert.equal(
          read('timeWeightedAvg'), few(() => quotientToDouble(weighted, heldMs, UNIT_EXPONENT), heldMs === 0n)
        )
      }
    }), { numRuns: 1500 })
})
