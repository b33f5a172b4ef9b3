import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { ByteReader, ByteWriter } from '../src/bytes.ts'
import {
  decodeDigest, DIGEST_BINS_MAX, DIGEST_EXACT_VALUES_MAX, DIGEST_RELATIVE_ERROR, emptyDigest, encodeDigest, EXACT,
  foldRuns, foldValue, mergeDigest, type Digest
} from '../src/digest.ts'
import { RelayError } from 'relay-common'
import { quantile, type Fraction } from '../src/quantile.ts'
import { sortedQuantile, toUnits } from 'relay-test-support/exact.ts'
import { anyCuts, anyDamage, anyMergeTree, anyOrder, anyValues } from 'relay-test-support/values.ts'

function digestOf (values: readonly number[]): Digest {
  const digest = emptyDigest()
  for (const value of values) foldValue(digest, value + 0)
  return digest
}

/** The same with sorted and counted values. */
function digestOfRuns (values: readonly number[]): Digest {
  const counted = new Map<number, number>()
  for (const value of values) counted.set(value + 0, (counted.get(value + 0) ?? 0) + 1)
  const runs = [...counted].sort(([a], [b]) => a - b)
  const digest = emptyDigest()
  foldRuns(digest, runs.map(it => it[0]), runs.map(it => it[1]), runs.length)
  return digest
}

function encode (digest: Digest): Buffer {
  const writer = new ByteWriter()
  encodeDigest(writer, digest)
  return writer.copy()
}

/** A percentage with up to nine decimals, as in the names of statistics. */
const anyShare: fc.Arbitrary<Fraction> = fc.oneof(
  fc.constantFrom([0, 1], [1, 100], [1, 4], [1, 2], [3, 4], [95, 100], [99, 100], [999, 1000], [1, 1]),
  fc.integer({ min: 0, max: 9 }).chain(digits => fc.tuple(fc.nat(100 * 10 ** digits), fc.constant(100 * 10 ** digits)))
).map(([part, whole]) => ({ part, whole }))

const HALF: Fraction = { part: 1, whole: 2 }

/** So many magnitudes that bins are joined, up to all magnitudes of doubles. */
const wideValues = fc.tuple(
  fc.integer({ min: 20, max: 740 }), fc.integer({ min: 2500, max: 6000 }), fc.integer(), fc.boolean()
).map(([span, length, seed, bothSigns]) => Array.from({ length }, (_, n) => {
  const spread = Math.imul(n * 2654435761 + seed, 0x9e3779b1) >>> 0
  const value = Math.exp(Math.min((spread / 2 ** 31 - 1) * span, 709))
  return bothSigns && n % 2 === 0 ? -value : value
}))

function checkQuantile (digest: Digest, values: readonly number[], share: Fraction): void {
  const min = values.reduce((a, b) => Math.min(a, b))
  const max = values.reduce((a, b) => Math.max(a, b))
  const truth = sortedQuantile(values, share.part, share.whole)
  const { value, error } = quantile(digest, share, min, max)
  assert.ok(error >= 0 && error < Infinity)
  assert.ok(value >= min && value <= max, `${value} is outside of ${min} to ${max}`)
  if (digest.level === EXACT) {
    assert.equal(error, 0)
    assert.equal(value, truth + 0)
    return
  }
  const isWithin = toUnits(truth - value) <= toUnits(error) && toUnits(value - truth) <= toUnits(error)
  assert.ok(isWithin, `${truth} is not within ${value} ± ${error}`)
  if (digest.level === 0 && min > 0) {
    assert.ok(Math.abs(value - truth) <= DIGEST_RELATIVE_ERROR * truth + 2 * Number.MIN_VALUE, `${value} for ${truth}`)
    assert.ok(error <= 1.011 * DIGEST_RELATIVE_ERROR * value + 2 * Number.MIN_VALUE, `± ${error} at ${value}`)
  }
}

test('the true quantile is within the stated error, and exact for few values', () => {
  fc.assert(fc.property(anyValues(600).filter(it => it.length > 0), anyShare, (values, share) => {
    checkQuantile(digestOf(values), values, share)
  }), { numRuns: 3000 })
})

test('the median of few values is the middle one, or the mean of the two in the middle', () => {
  const { MAX_VALUE } = Number
  const cases: [values: number[], median: number][] = [
    [[7], 7],
    [[3, 1, 2], 2],
    [[4, 1, 3, 2], 2.5],
    [[22.1, 22.2], (22.1 + 22.2) / 2],
    [[-5, 5], 0],
    [[MAX_VALUE, MAX_VALUE], MAX_VALUE],
    [[-MAX_VALUE, MAX_VALUE], 0]
  ]
  for (const [values, value] of cases) {
    const [min, max] = [Math.min(...values), Math.max(...values)]
    assert.deepEqual(quantile(digestOf(values), HALF, min, max), { value, error: 0 })
  }
})

test('values of all magnitudes keep a digest small, and its error within the bound', () => {
  const levels = new Set<number>()
  fc.assert(fc.property(wideValues, anyShare, (values, share) => {
    const digest = digestOfRuns(values)
    levels.add(digest.level)
    assert.ok(digest.keys.length <= DIGEST_BINS_MAX)
    checkQuantile(digest, values, share)
  }), { numRuns: 60 })
  assert.ok(levels.size > 2, `levels ${[...levels]}`)
})

test('the number of distinct values decides when a digest becomes a sketch, not the number of values', () => {
  const few = Array.from({ length: DIGEST_EXACT_VALUES_MAX }, (_, n) => n / 10)
  assert.equal(digestOf([...few, ...few, ...few]).level, EXACT)
  assert.equal(digestOf([...few, 100]).level, 0)
})

test('the same values in any order and split give the same bytes', () => {
  const anyFold = fc.constantFrom(digestOf, digestOfRuns)
  const anyMerging = fc.tuple(anyOrder(), anyCuts(), anyMergeTree(), anyFold)
  fc.assert(fc.property(anyValues(600), anyMerging, (values, [order, cut, merge, fold]) => {
    const parts = cut(order(values)).map(fold)
    assert.deepEqual(encode(merge([emptyDigest(), ...parts], mergeDigest)), encode(digestOf(values)))
  }), { numRuns: 1500 })
})

test('values of all magnitudes in any order and split give the same bytes', () => {
  fc.assert(fc.property(wideValues, anyOrder(), anyCuts(3000), anyMergeTree(), (values, order, cut, merge) => {
    const parts = cut(order(values)).map(digestOfRuns)
    assert.deepEqual(encode(merge([emptyDigest(), ...parts], mergeDigest)), encode(digestOfRuns(values)))
  }), { numRuns: 60 })
})

test('merging does not change its source', () => {
  fc.assert(fc.property(anyValues(300), anyValues(300), (values, others) => {
    const from = digestOf(values)
    mergeDigest(digestOf(others), from)
    assert.deepEqual(encode(from), encode(digestOf(values)))
  }))
})

test('an encoded and decoded digest continues as if it had not been', () => {
  fc.assert(fc.property(fc.oneof(anyValues(600), wideValues), anyValues(200), (values, more) => {
    const reader = new ByteReader(encode(digestOfRuns(values)))
    const read = decodeDigest(reader)
    assert.equal(reader.remaining, 0)
    assert.deepEqual(encode(read), encode(digestOfRuns(values)))
    mergeDigest(read, digestOf(more))
    assert.deepEqual(encode(read), encode(digestOfRuns([...values, ...more])))
  }), { numRuns: 300 })
})

test('counts may be as large as exact whole numbers', () => {
  const digest = digestOf([1, 2, 3])
  for (let n = 0; n < 49; n++) mergeDigest(digest, decodeDigest(new ByteReader(encode(digest))))
  assert.deepEqual(digest.counts, [2 ** 49, 2 ** 49, 2 ** 49])
  assert.deepEqual(decodeDigest(new ByteReader(encode(digest))).counts, digest.counts)
  assert.deepEqual(quantile(digest, HALF, 1, 3), { value: 2, error: 0 })
})

test('a damaged digest is an error with a code, or another valid digest', () => {
  fc.assert(fc.property(anyValues(300), anyDamage(), (values, damage) => {
    try {
      const { level, keys, counts } = decodeDigest(new ByteReader(damage(encode(digestOf(values)))))
      assert.ok(keys.length <= (level === EXACT ? DIGEST_EXACT_VALUES_MAX : DIGEST_BINS_MAX))
      assert.equal(counts.length, keys.length)
      assert.ok(keys.every((key, n) => n === 0 || keys[n - 1] < key))
      assert.ok(counts.every(count => count >= 1))
    } catch (error) {
      if (!(error instanceof RelayError)) throw error
      assert.equal(error.code, 'RELAY_ROLLUP_CORRUPT')
    }
  }), { numRuns: 5000 })
})
