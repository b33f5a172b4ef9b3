/** Prefixes as ranges of an index that sorts by bytes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { ID_UNITS_MAX } from 'relay-rollups'

import { prefixesWithin, prefixRanges, rangesOutside, type IdRange } from '../src/query/prefix-ranges.ts'

/**
 * With difficult cases: the ends of the code points, those around surrogates, and those with changing numbers of bytes.
 */
const character = fc.constantFrom(
  'a', 'b', '-', '~', '\u007f', '\u0080', '\u07ff', '\u0800', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}'
)
const text = fc.array(character, { maxLength: 4 }).map(it => it.join(''))
const ids = fc.array(text, { minLength: 1, maxLength: 20 })
const compare = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))

test('an id is in exactly one range: inside if it starts with a prefix, otherwise outside', () => {
  fc.assert(fc.property(fc.array(text, { maxLength: 5 }), ids, (prefixes, ids) => {
    const ranges = prefixRanges(prefixes)
    const outside = rangesOutside(prefixes)
    for (const id of [...ids, ...prefixes, ...prefixes.map(it => `${it}\u{10ffff}\u{10ffff}`)]) {
      const holding = (ranges: readonly IdRange[]) => ranges.filter(it => compare(id, it.from) >= 0 && compare(
        id, it.before
      ) < 0).length
      const isMeant = prefixes.some(it => id.startsWith(it))
      assert.deepEqual(
        [holding(ranges), holding(outside)], isMeant ? [1, 0] : [0, 1], JSON.stringify({ id, ranges, outside })
      )
    }
  }), { numRuns: 1_000 })
})

test('ranges ascend by bytes, without overlap', () => {
  fc.assert(fc.property(fc.array(text, { maxLength: 8 }), prefixes => {
    const ends = prefixRanges(prefixes).flatMap(it => [it.from, it.before])
    for (let n = 1; n < ends.length; n++) assert.ok(compare(ends[n - 1], ends[n]) <= 0)
    for (const end of ends) assert.equal(end, end.toWellFormed())
  }))
})

test('after the last code point comes a text greater than every id', () => {
  const [range] = prefixRanges(['\u{10ffff}'])
  assert.ok(compare('\u{10ffff}'.repeat(ID_UNITS_MAX / 2), range.before) < 0)
})

test('a prefix within others selects the ids that start with both', () => {
  fc.assert(fc.property(fc.array(text, { maxLength: 5 }), text, ids, (prefixes, prefix, ids) => {
    const within = prefixesWithin(prefixes, prefix)
    for (const id of [...ids, ...prefixes, prefix]) {
      const isMeant = id.startsWith(prefix) && prefixes.some(it => id.startsWith(it))
      assert.equal(within.some(it => id.startsWith(it)), isMeant, JSON.stringify({ id, within }))
    }
  }), { numRuns: 2_000 })
})
