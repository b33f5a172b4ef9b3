import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { ByteWriter } from '../src/bytes.ts'
import { DIGEST_EXACT_VALUES_MAX } from '../src/digest.ts'
import { RelayError } from 'relay-common'
import { emptyReadings, mergeReadings, type Readings } from '../src/readings.ts'
import {
  appendReadingsBody, appendRollupBody, decodeBody, encodeReadingsBody, encodeRollupBody, isBodyOf, mergeRow,
  type RollupRow
} from '../src/rollup-row.ts'
import { emptyRollup, foldReadings, mergeRollup, standardDeviation, total, type Rollup } from '../src/rollup.ts'
import { anyDamage, anyValues } from 'relay-test-support/values.ts'

const START_MS = Date.parse('2024-01-01T00:00:00Z')

const anyReadings: fc.Arbitrary<Readings> = fc.tuple(
  anyValues(400).filter(it => it.length > 0), fc.array(fc.nat(59_999), { minLength: 1, maxLength: 60 })
).map(([values, offsetsMs]) => {
  const timesMs = values.map((_, n) => START_MS + offsetsMs[n % offsetsMs.length])
  return mergeReadings(emptyReadings(), { timesMs, values }, false).merged
})

function rollupOf (readings: Readings): Rollup {
  const rollup = emptyRollup()
  foldReadings(rollup, readings)
  return rollup
}

type StoredRow = Pick<RollupRow, 'bucketStartMs' | 'count' | 'min' | 'max' | 'body'>

function rowOf ({ count, min, max }: Rollup, body: Buffer): StoredRow {
  return { bucketStartMs: START_MS, count, min, max, body }
}

function rollupRow (readings: Readings) {
  const rollup = rollupOf(readings)
  return rowOf(rollup, encodeRollupBody(rollup, START_MS))
}

function readingsRow (readings: Readings) {
  return rowOf(rollupOf(readings), encodeReadingsBody(readings, START_MS))
}

/** What must hold for any bytes: a usable rollup, or the one error that names the row. */
function decodeOrRefuse (row: StoredRow): 'decoded' | 'refused' {
  try {
    const { rollup } = decodeBody(row)
    assert.deepEqual([rollup.count, rollup.min, rollup.max], [row.count, row.min, row.max])
    const other = emptyRollup()
    mergeRollup(other, rollup)
    encodeRollupBody(other, START_MS)
    return 'decoded'
  } catch (error) {
    if (!(error instanceof RelayError)) throw error
    assert.equal(error.code, 'RELAY_ROLLUP_CORRUPT')
    assert.match(error.message, /^could not decode the row of the bucket at 2024-01-01T00:00:00.000Z: ./)
    return 'refused'
  }
}

test('an encoded and decoded rollup has the same bytes, and merges as if it had not been', () => {
  fc.assert(fc.property(anyReadings, anyReadings, (readings, more) => {
    const { rollup, readings: none } = decodeBody(rollupRow(readings))
    assert.equal(none, undefined)
    assert.equal(total(rollup), total(rollupOf(readings)))
    assert.deepEqual(rollupRow(readings).body, encodeRollupBody(rollup, START_MS))

    mergeRollup(rollup, rollupOf(more))
    const whole = rollupOf(readings)
    mergeRollup(whole, rollupOf(more))
    assert.deepEqual(encodeRollupBody(rollup, START_MS), encodeRollupBody(whole, START_MS))
  }), { numRuns: 1000 })
})

test('a row that stores its readings returns them to the bit, with their rollup', () => {
  fc.assert(fc.property(anyReadings, readings => {
    const decoded = decodeBody(readingsRow(readings))
    assert.deepStrictEqual(decoded.readings, readings)
    assert.deepEqual(encodeRollupBody(decoded.rollup, START_MS), rollupRow(readings).body)
  }), { numRuns: 1000 })
})

/** Written like an earlier version of Relay, which could not store the squares of some values. */
function lostSquaresRow (readings: Readings) {
  const rollup = rollupOf(readings)
  const sumSquares = { ...rollup.sumSquares, high: 0, middle: 0, low: 0, rest: undefined, huge: undefined, lost: true }
  return rowOf(rollup, encodeRollupBody({ ...rollup, sumSquares }, START_MS))
}

test('a row without its sum of squares gets it back if its values are there', () => {
  let sketches = 0
  fc.assert(fc.property(anyReadings, anyReadings, (readings, more) => {
    const { rollup } = decodeBody(lostSquaresRow(readings))
    const [known, whole] = [rollupOf(readings), rollupOf(more)]
    mergeRollup(whole, rollup)
    if (rollup.digest.keys.length <= DIGEST_EXACT_VALUES_MAX && rollup.digest.level < 0) {
      assert.deepEqual(encodeRollupBody(rollup, START_MS), rollupRow(readings).body)
      const both = rollupOf(more)
      mergeRollup(both, known)
      assert.deepEqual(encodeRollupBody(whole, START_MS), encodeRollupBody(both, START_MS))
    } else {
      sketches++
      assert.equal(standardDeviation(rollup), null)
      assert.equal(standardDeviation(whole), null)
      assert.equal(total(rollup), total(known))
    }
  }), { numRuns: 1000 })
  assert.ok(sketches > 0)
})

/** Everything of a rollup but its distribution. */
function sumsOf (rollup: Rollup) {
  const { count, min, max, firstMs, firstValue, lastMs, lastValue } = rollup
  return [count, min, max, firstMs, firstValue, lastMs, lastValue, total(rollup), standardDeviation(rollup)]
}

test('a merged row gives the rollup of both, and its sums are the same without the distribution', () => {
  const anyRow = fc.constantFrom(rollupRow, readingsRow, lostSquaresRow)
  fc.assert(fc.property(anyReadings, anyReadings, anyRow, (readings, more, make) => {
    const row = make(readings)
    const [expected, whole, sums, decoded] = [more, more, more, more].map(rollupOf)
    mergeRollup(expected, decodeBody(row).rollup)
    mergeRow(whole, row)
    assert.deepEqual(encodeRollupBody(whole, START_MS), encodeRollupBody(expected, START_MS))
    mergeRow(sums, row, 'sums')
    assert.deepEqual(sumsOf(sums), sumsOf(expected))
    mergeRollup(decoded, decodeBody(row, 'sums').rollup)
    assert.deepEqual(sumsOf(decoded), sumsOf(expected))
  }), { numRuns: 1000 })
})

test('a damaged row leaves the rollup that it is merged into unchanged', () => {
  fc.assert(fc.property(anyReadings, anyReadings, anyDamage(), fc.constantFrom(rollupRow, readingsRow),
    fc.constantFrom('sums' as const, 'all' as const), (readings, more, damage, make, parts) => {
      const row = make(readings)
      const into = rollupOf(more)
      try {
        mergeRow(into, { ...row, body: damage(row.body) }, parts)
      } catch (error) {
        assert.equal((error as RelayError).code, 'RELAY_ROLLUP_CORRUPT')
        assert.deepEqual(encodeRollupBody(into, START_MS), encodeRollupBody(rollupOf(more), START_MS))
      }
    }), { numRuns: 1000 })
})

test('a row without its sum of squares is accepted by verification; a changed one is not', () => {
  fc.assert(fc.property(anyReadings, anyDamage(), fc.constantFrom(lostSquaresRow, rollupRow, readingsRow),
    (readings, damage, make) => {
      const expected = rollupRow(readings).body
      const { body } = make(readings)
      assert.equal(isBodyOf(body, expected, START_MS), make !== readingsRow)
      const damaged = damage(body)
      if (!damaged.equals(lostSquaresRow(readings).body) && !damaged.equals(expected)) {
        assert.equal(isBodyOf(damaged, expected, START_MS), false)
      }
    }), { numRuns: 1000 })
})

test('bodies appended to one buffer equal those encoded separately', () => {
  fc.assert(fc.property(fc.array(anyReadings, { maxLength: 8 }), many => {
    const writer = new ByteWriter(16)
    for (const readings of many) {
      appendRollupBody(writer, rollupOf(readings), START_MS)
      appendReadingsBody(writer, readings, START_MS)
    }
    const alone = many.flatMap(readings => [rollupRow(readings).body, readingsRow(readings).body])
    assert.deepEqual(writer.copy(), Buffer.concat(alone))
  }), { numRuns: 200 })
})

test('a truncated body, or one with trailing bytes, is refused', () => {
  fc.assert(fc.property(anyReadings, fc.constantFrom(rollupRow, readingsRow), fc.nat(), (readings, make, at) => {
    const row = make(readings)
    assert.equal(decodeOrRefuse(row), 'decoded')
    assert.equal(decodeOrRefuse({ ...row, body: row.body.subarray(0, at % row.body.length) }), 'refused')
    assert.equal(decodeOrRefuse({ ...row, body: Buffer.concat([row.body, Buffer.from([at & 255])]) }), 'refused')
  }), { numRuns: 1000 })
})

test('a damaged body is refused, or is a rollup that agrees with its row', () => {
  let refused = 0
  fc.assert(fc.property(anyReadings, fc.constantFrom(rollupRow, readingsRow), anyDamage(), (readings, make, damage) => {
    const row = make(readings)
    if (decodeOrRefuse({ ...row, body: damage(row.body) }) === 'refused') refused++
  }), { numRuns: 5000 })
  assert.ok(refused > 1000, `only ${refused} of 5000 were refused`)
})

test('arbitrary bytes are refused at once', () => {
  const kinds = fc.constantFrom([], [0x11], [0x12])
  fc.assert(fc.property(kinds, fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1 }), (kind, bytes, count) => {
    const row = { bucketStartMs: START_MS, count, min: -1, max: 1, body: Buffer.from([...kind, ...bytes]) }
    decodeOrRefuse(row)
  }), { numRuns: 5000 })
})

test('a row whose columns contradict its body is refused', () => {
  fc.assert(fc.property(anyReadings, fc.constantFrom(rollupRow, readingsRow), (readings, make) => {
    const row = make(readings)
    assert.equal(decodeOrRefuse({ ...row, count: row.count + 1 }), 'refused')
    assert.equal(decodeOrRefuse({ ...row, min: NaN }), 'refused')
    if (row.min !== row.max && decodeBody(row).rollup.digest.keys.length > 1) {
      assert.equal(decodeOrRefuse({ ...row, max: row.min, min: row.max }), 'refused')
    }
  }))
})

test('rollups without readings, or before their bucket, are not written', () => {
  assert.throws(() => encodeRollupBody(emptyRollup(), START_MS), RangeError)
  assert.throws(() => encodeReadingsBody(emptyReadings(), START_MS), RangeError)
  const readings = { timesMs: [START_MS - 1], values: [1] }
  assert.throws(() => encodeReadingsBody(readings, START_MS), RangeError)
  assert.throws(() => encodeRollupBody(rollupOf(readings), START_MS), RangeError)
})
