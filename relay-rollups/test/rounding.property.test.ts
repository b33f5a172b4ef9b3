import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { divideRoot, divideUnits, interpolate, toUnits } from '../src/rounding.ts'
import * as exact from 'relay-test-support/exact.ts'
import { anyCount, anyValue } from 'relay-test-support/values.ts'

const { quotientToDouble, UNIT_EXPONENT } = exact

test('a point between any two numbers is rounded once', () => {
  const anyShare = anyCount.chain(whole => fc.tuple(fc.integer({ min: 0, max: whole }), fc.constant(whole)))
  fc.assert(fc.property(anyValue, anyValue, anyShare, (from, to, [part, whole]) => {
    const exactly = toUnits(from) * BigInt(whole - part) + toUnits(to) * BigInt(part)
    assert.equal(
      interpolate(from + 0, to + 0, part, whole), quotientToDouble(exactly, BigInt(whole), UNIT_EXPONENT) + 0
    )
  }), { numRuns: 5000 })
})

test('a double is a whole number of units, and back', () => {
  fc.assert(fc.property(anyValue, value => {
    assert.equal(toUnits(value), exact.toUnits(value))
    assert.equal(divideUnits(toUnits(value), 1n), value + 0)
  }), { numRuns: 2000 })
})

/** A number of 54 bits that ends in 1 lies halfway between two doubles. */
const anyHalfway = fc.bigInt({ min: 2n ** 52n, max: 2n ** 53n - 1n }).map(it => it * 2n + 1n)

test('a quotient or root halfway between two doubles rounds to even, and otherwise to the nearer one', () => {
  fc.assert(fc.property(
    anyHalfway, fc.bigInt({ min: 1n, max: 2n ** 53n }), fc.integer({ min: 1, max: 1800 }), fc.constantFrom(-1n, 0n, 1n),
    (halfway, divisor, exponent, beside) => {
      const even = halfway % 4n === 1n ? halfway - 1n : halfway + 1n
      const nearest = beside === 0n ? even : halfway + beside
      const expected = exact.toDouble(nearest, exponent + UNIT_EXPONENT)
      const shifted = halfway << BigInt(exponent)
      assert.equal(divideUnits(shifted * divisor + beside * (divisor > 1n ? 1n : 0n), divisor),
        divisor > 1n ? expected : exact.toDouble(even, exponent + UNIT_EXPONENT))
      assert.equal(divideUnits(-shifted * divisor, divisor), -exact.toDouble(even, exponent + UNIT_EXPONENT))
      assert.equal(divideRoot((shifted * divisor) ** 2n + beside, divisor), expected)
    }), { numRuns: 3000 })
})
