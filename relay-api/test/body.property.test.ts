/** A duplicate name in a JSON body is found anywhere, in any spelling. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { hasNameTwice } from '../src/parameters/strict-json.ts'

const escaped = (text: string) =>
  `"${[...text].map(it => `\\u${it.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`
const name = fc.string({ maxLength: 4, unit: fc.constantFrom('a', ':', '"', '\\', '{', ',', 'é') })
const value = fc.jsonValue({ maxDepth: 4 })
const twice = (text: string) => hasNameTwice(text, JSON.parse(text))

test('JSON with unique names is accepted, with or without white space', () => {
  fc.assert(fc.property(value, fc.nat(3), (it, space) => assert.equal(twice(JSON.stringify(it, null, space)), false)))
})

test('a duplicate name in an object is found at any depth, in any spelling', () => {
  fc.assert(fc.property(fc.dictionary(
    name, value
  ), name, value, value, fc.boolean(), fc.nat(3), (others, again, one, other, isEscaped, depth) => {
    const { [again]: _, ...rest } = others
    const members = [
      ...Object.entries(rest).map(([key, it]) => `${JSON.stringify(key)}:${JSON.stringify(it)}`),
      `${JSON.stringify(again)}:${JSON.stringify(one)}`,
      `${isEscaped ? escaped(again) : JSON.stringify(again)} : ${JSON.stringify(other)}`
    ]
    const text = '[{"in":'.repeat(depth) + `{${members.join(',')}}` + '}]'.repeat(depth)
    assert.equal(twice(text), true, text)
  }))
})
