import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { ByteReader, ByteWriter } from '../src/bytes.ts'
import {
  addTimes, addValue, decodeSum, divideSum, divideSums, emptySum, encodeSum, mergeSum, roundSum, type ExactSum
} from '../src/exact-sum.ts'
import { addSquare, addSquares, mergeSquares } from '../src/square-sum.ts'
import {
  quotientToDouble, sumSquareUnits, sumUnits, toDouble, toUnits, UNIT_EXPONENT
} from 'relay-test-support/exact.ts'
import {
  anyCount, anyCuts, anyMergeTree, anyOrder, anyValue, anyValues, squarableValue
} from 'relay-test-support/values.ts'

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

test('a sum is the double nearest to the exact sum, for any values', () => {
  fc.assert(fc.property(anyValues(), values => {
    assert.equal(roundSum(sumOf(values)), toDouble(sumUnits(values), UNIT_EXPONENT))
  }), { numRuns: 2000 })
})

test('a sum of values of every magnitude, with some that cancel out, is exact', () => {
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

test('a sum of squares dropped by an earlier version stays unknown after any merge', () => {
  const lost = () => decodeSum(new ByteReader(Buffer.from([255])))
  fc.assert(fc.property(anyValues(), anyCuts(), anyMergeTree(), (values, cut, merge) => {
    const sum = merge([...cut(values).map(it => sumOf(it, addSquare)), lost()], mergeSquares)
    addSquare(sum, 1)
    addSquare(sum, 1e200)
    assert.deepEqual(encode(sum), Buffer.from([255]))
  }))
})

test('a program of an earlier version, which adds huge parts unchanged, keeps the new parts of squares', () => {
  fc.assert(fc.property(anyValues(), fc.array(squarableValue), (values, more) => {
    const sum = decodeSum(new ByteReader(encode(sumOf(values, addSquare))))
    mergeSum(sum, sumOf(more, addSquare))
    const read = decodeSum(new ByteReader(encode(sum)))
    assert.deepEqual(encode(read), encode(sumOf([...values, ...more], addSquare)))
  }))
})

test('adding a square n times at once equals adding it n times', () => {
  fc.assert(fc.property(fc.array(fc.tuple(anyValue, fc.integer({ min: 1, max: 9 }))), counted => {
    const atOnce = emptySum()
    for (const [value, count] of counted) addSquares(atOnce, value, count)
    const oneByOne = counted.flatMap(([value, count]) => new Array<number>(count).fill(value))
    assert.deepEqual(encode(atOnce), encode(sumOf(oneByOne, addSquare)))
  }), { numRuns: 1000 })
})

for (const [what, add, mergeInto] of [['values', addValue, mergeSum], ['squares', addSquare, mergeSquares]] as const) {
  test(`the same ${what} in any order and split give the same bytes`, () => {
    fc.assert(fc.property(anyValues(), anyOrder(), anyCuts(), anyMergeTree(), (values, order, cut, merge) => {
      const parts = cut(order(values)).map(it => sumOf(it, add))
      assert.deepEqual(encode(merge([emptySum(), ...parts], mergeInto)), encode(sumOf(values, add)))
    }), { numRuns: 1000 })
  })
}

test('an encoded and decoded sum continues as if it had not been', () => {
  fc.assert(fc.property(anyValues(), anyValues(20), fc.constantFrom(addValue, addSquare), (values, more, add) => {
    const read = decodeSum(new ByteReader(encode(sumOf(values, add))))
    assert.deepEqual(encode(read), encode(sumOf(values, add)))
    for (const value of more) add(read, value + 0)
    assert.deepEqual(encode(read), encode(sumOf([...values, ...more], add)))
  }), { numRuns: 1000 })
})

test('the parts of a sum are its nearest double, then the double nearest to the rest, and so on', () => {
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

test('a sum halfway between two doubles is rounded by its smaller parts', () => {
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

test('a sum times one number divided by another is rounded once', () => {
  fc.assert(fc.property(anyValues(60), anyCount, fc.constantFrom(1, 1000), (values, divisor, times) => {
    const found = divideSum(sumOf(values), divisor, times)
    assert.equal(found, quotientToDouble(sumUnits(values) * BigInt(times), BigInt(divisor), UNIT_EXPONENT) + 0)
  }), { numRuns: 3000 })
})

test('values weighted by their time, divided by the total time, are rounded once', () => {
  const anyHeld = fc.array(fc.tuple(anyValue, fc.integer({ min: 1, max: 400 * 86_400_000 })), { minLength: 1 })
  fc.assert(fc.property(anyHeld, fc.constantFrom(1, 2 ** 20), (held, many) => {
    const [weighted, heldMs] = [emptySum(), emptySum()]
    for (const [value, ms] of held) {
      addTimes(weighted, value, ms)
      for (let n = 1; n < many; n *= 2) addValue(heldMs, ms * 2 ** 33) // beyond exact whole doubles
      addValue(heldMs, ms)
    }
    const divisor = held.reduce((all, [, ms]) => all + BigInt(ms) * BigInt(many === 1 ? 1 : 20 * 2 ** 33 + 1), 0n)
    const exactly = held.reduce((all, [value, ms]) => all + toUnits(value) * BigInt(ms), 0n)
    assert.equal(divideSums(weighted, heldMs), quotientToDouble(exactly, divisor, UNIT_EXPONENT) + 0)
  }), { numRuns: 1000 })
})

test('the mean of readings at the end of the range is right although their sum exceeds it', () => {
  const sum = sumOf(new Array(1000).fill(Number.MAX_VALUE))
  assert.equal(roundSum(sum), Infinity)
  assert.equal(divideSum(sum, 1000), Number.MAX_VALUE)
  for (let n = 0; n < 999; n++) addValue(sum, -Number.MAX_VALUE)
  assert.equal(roundSum(sum), Number.MAX_VALUE)
})
