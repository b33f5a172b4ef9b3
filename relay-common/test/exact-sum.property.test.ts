import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { ByteReader, ByteWriter } from '../src/bytes.ts'
import {
  addSquare, addValue, decodeSum, emptySum, encodeSum, meanOfSum, mergeSum, roundSum, type ExactSum
} from '../src/exact-sum.ts'
import { sumSquareUnits, sumUnits, toDouble, toUnits, UNIT_EXPONENT } from './support/exact.ts'
import { anyCuts, anyMergeTree, anyOrder, anyValue, anyValues, squarableValue } from './support/values.ts'

function sumOf (values: readonly number[], add = addValue): ExactSum {
  const sum = emptySum()
  for (const value of values) add(sum, value + 0)
  return sum
}

function encode (sum: ExactSum): Buffer {
  const writer = new ByteWriter()
  encodeSum(writer, sum)
  return writer.copy()
}

test('a sum is the double nearest to the exact sum, whatever is added', () => {
  fc.assert(fc.property(anyValues(), values => {
    assert.equal(roundSum(sumOf(values)), toDouble(sumUnits(values), UNIT_EXPONENT))
  }), { numRuns: 2000 })
})

test('a sum of values of every magnitude, with what cancels them, is exact', () => {
  const wild = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { maxLength: 120, size: 'max' })
  fc.assert(fc.property(wild, anyOrder(), fc.array(anyValue, { maxLength: 3 }), (values, order, left) => {
    const all = order([...values, ...values.map(value => -value), ...left])
    assert.equal(roundSum(sumOf(all)), toDouble(sumUnits(left), UNIT_EXPONENT))
    assert.deepEqual(encode(sumOf(all)), encode(sumOf(left)))
  }), { numRuns: 500 })
})

test('a sum of squares is the double nearest to the exact one', () => {
  fc.assert(fc.property(fc.array(squarableValue, { maxLength: 300, size: 'max' }), values => {
    assert.equal(roundSum(sumOf(values, addSquare)), toDouble(sumSquareUnits(values), 2 * UNIT_EXPONENT))
  }), { numRuns: 500 })
})

test('a sum of squares can\'t be had once the bits of one leave the range of doubles, in any order', () => {
  const lossy = fc.constantFrom(2 ** 480, -1e200, Number.MAX_VALUE, 1e-150, -Number.MIN_VALUE)
  const lost = Buffer.from([255])
  const withLossy = fc.tuple(fc.array(anyValue), lossy).map(([values, one]) => [...values, one])
  fc.assert(fc.property(withLossy, anyOrder(), anyCuts(), anyMergeTree(), (values, order, cut, merge) => {
    const parts = cut(order(values)).map(it => sumOf(it, addSquare))
    const sum = merge(parts, mergeSum)
    assert.deepEqual(encode(sum), lost)
    assert.ok(Number.isNaN(roundSum(sum)))
  }))
})

for (const [what, add] of [['values', addValue], ['squares', addSquare]] as const) {
  test(`the same ${what} in any order, cut and merged anyhow, are the same bytes`, () => {
    fc.assert(fc.property(anyValues(), anyOrder(), anyCuts(), anyMergeTree(), (values, order, cut, merge) => {
      const parts = cut(order(values)).map(it => sumOf(it, add))
      assert.deepEqual(encode(merge([emptySum(), ...parts], mergeSum)), encode(sumOf(values, add)))
    }), { numRuns: 1000 })
  })
}

test('a sum that was written and read goes on as if it had not been', () => {
  fc.assert(fc.property(anyValues(), anyValues(20), fc.constantFrom(addValue, addSquare), (values, more, add) => {
    const read = decodeSum(new ByteReader(encode(sumOf(values, add))))
    assert.deepEqual(encode(read), encode(sumOf(values, add)))
    for (const value of more) add(read, value + 0)
    assert.deepEqual(encode(read), encode(sumOf([...values, ...more], add)))
  }), { numRuns: 1000 })
})

test('the bytes of a sum are its greatest double, then that of what remains, and so on', () => {
  fc.assert(fc.property(anyValues(), values => {
    const bytes = new ByteReader(encode(sumOf(values.filter(value => Math.abs(value) < 2 ** 960))))
    let remaining = sumUnits(values.filter(value => Math.abs(value) < 2 ** 960))
    for (let parts = bytes.byte(); parts > 0; parts--) {
      const part = bytes.double()
      assert.equal(part, toDouble(remaining, UNIT_EXPONENT))
      remaining -= toUnits(part)
    }
    assert.equal(remaining, 0n)
  }), { numRuns: 1000 })
})

test('parts that meet exactly halfway between two doubles are rounded by what lies below them', () => {
  const cases: [values: number[], sum: number][] = [
    [[1, 2 ** -53], 1],
    [[1, 2 ** -53, 2 ** -200], 1 + 2 ** -52],
    [[1, 2 ** -53, -(2 ** -200)], 1],
    [[1 + 2 ** -52, 2 ** -53], 1 + 2 ** -51],
    [[1 + 2 ** -52, 2 ** -53, -(2 ** -200)], 1 + 2 ** -52],
    [[-1, -(2 ** -53), -Number.MIN_VALUE], -1 - 2 ** -52],
    [[2 ** 1000, 2 ** 947, Number.MIN_VALUE], 2 ** 1000 + 2 ** 948],
    [[2 ** 1000, 2 ** 947, -Number.MIN_VALUE], 2 ** 1000],
    [[2 ** 1023, 2 ** 970, Number.MIN_VALUE], 2 ** 1023 + 2 ** 971],
    [[2 ** 1023, 2 ** 970], 2 ** 1023]
  ]
  for (const [values, sum] of cases) assert.equal(roundSum(sumOf(values)), sum, String(values))
})

test('the mean of readings at the end of the range is right though their sum is beyond it', () => {
  const sum = sumOf(new Array(1000).fill(Number.MAX_VALUE))
  assert.equal(roundSum(sum), Infinity)
  assert.equal(meanOfSum(sum, 1000), Number.MAX_VALUE)
  for (let n = 0; n < 999; n++) addValue(sum, -Number.MAX_VALUE)
  assert.equal(roundSum(sum), Number.MAX_VALUE)
})
