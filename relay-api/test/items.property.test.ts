import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { cutItems, type BodyFault, type Framing } from '../src/ingest/items.ts'

/** a byte order mark, as in files from Windows */
const mark = fc.constantFrom('', '\ufeff')
const space = fc.stringMatching(/^[ \t\r\n]{0,3}$/)
const json = fc.jsonValue({ maxDepth: 3 })
const lineJson = json.map(it => JSON.stringify(it))
const anyJson = fc.tuple(json, fc.constantFrom(undefined, 1, '\t')).map(([it, indent]) => JSON.stringify(
  it, undefined, indent
))

type Cut = BodyFault | { readonly kind: 'items', readonly items: readonly Uint8Array[] }

/** All items of a body at once. */
function cutAll (body: Buffer, framing: Framing, itemsMax: number): Cut {
  const items: Uint8Array[] = []
  const cutting = cutItems(body, framing, { itemsMax, blankLinesMax: 1_000 })
  for (let step = cutting.next(); ; step = cutting.next()) {
    if (step.done) return step.value ?? { kind: 'items', items }
    if (step.value) items.push(step.value)
  }
}

const texts = (cut: Cut) => cut.kind === 'items' ? cut.items.map(it => Buffer.from(it).toString()) : cut

test('an array is split into the texts of its items, with any spacing', () => {
  fc.assert(fc.property(mark, fc.array(
    fc.tuple(space, anyJson, space), { maxLength: 8 }
  ), space, space, (start, parts, before, after) => {
    const body =
      `${start}${before}[${parts.map(it => it.join('')).join(',')}${parts.length === 0 ? before : ''}]${after}`
    assert.deepEqual(texts(cutAll(Buffer.from(body), 'json', 100)), parts.map(([, it]) => it))
  }), { numRuns: 1_000 })
})

test('lines are split into their texts, and blank ones are skipped', () => {
  fc.assert(fc.property(mark, fc.array(fc.tuple(
    fc.constantFrom('', ' ', '\t', '\r\n \n'), lineJson, fc.constantFrom('\n', '\r\n')
  )), (start, parts) => {
    const body = start + parts.map(it => it.join('')).join('')
    assert.deepEqual(texts(cutAll(Buffer.from(body), 'ndjson', 1_000)), parts.map(([, it]) => it))
  }))
})

test('a valid JSON array is never broken, and its items equal those of JSON', () => {
  // pieces of JSON in any order: mostly invalid, sometimes an array
  const pieces = fc.array(fc.constantFrom(
    '[', ']', '{', '}', ',', ':', '"', '\\', '\\"', '1', '"a"', ' ', '\n', 'null', '{"a":[1]}'
  ),
  { maxLength: 12 })
  fc.assert(fc.property(pieces, it => {
    const body = `[${it.join('')}`
    const cut = cutAll(Buffer.from(body), 'json', 100)
    const whole = parse(body)
    if (whole === undefined) return
    assert.ok(cut.kind === 'items', `${body} ${JSON.stringify(cut)}`)
    assert.deepEqual(cut.items.map(item => parse(Buffer.from(item).toString())), whole)
  }), { numRuns: 20_000 })
})

test('valid items form a valid array: nothing is accepted from invalid JSON', () => {
  const pieces = fc.array(
    fc.constantFrom('[', ']', '{', '}', ',', ':', '"', '\\"', '1', '"a"', ' ', '{"a":[1]}'), { maxLength: 10 }
  )
  fc.assert(fc.property(pieces, it => {
    const body = `[${it.join('')}`
    const cut = cutAll(Buffer.from(body), 'json', 100)
    if (cut.kind !== 'items') return
    const items = cut.items.map(item => parse(Buffer.from(item).toString()))
    if (items.every(item => item !== undefined)) assert.deepEqual(parse(body), items)
  }), { numRuns: 20_000 })
})

test('any bytes are split or refused, with no more items than allowed', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom('json', 'ndjson'), fc.integer({
    min: 1, max: 5
  }),
  (body, framing, itemsMax) => {
    const cut = cutAll(Buffer.from(body), framing, itemsMax)
    if (cut.kind === 'items') assert.ok(cut.items.length <= itemsMax)
  }))
})

function parse (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
