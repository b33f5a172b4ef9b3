import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { spreadOf } from '../src/run.ts'

test('half of the figures are at or below the median, half at or above, in any order', () => {
  // -0 sorts as 0, and is not 0 to assert
  const figure = fc.double({ noNaN: true, min: -1e9, max: 1e9 }).map(it => it + 0)
  const figures = fc.array(figure, { minLength: 1 })
  fc.assert(fc.property(figures, values => {
    const { median, min, max } = spreadOf(values)
    assert.ok(values.filter(it => it <= median).length * 2 >= values.length)
    assert.ok(values.filter(it => it >= median).length * 2 >= values.length)
    assert.ok(values.every(it => it >= min && it <= max) && values.includes(min) && values.includes(max))
    assert.deepEqual(spreadOf(values.toReversed()), { median, min, max })
  }))
})
