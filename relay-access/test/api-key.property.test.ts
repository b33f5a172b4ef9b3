import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import {
  createApiKeyParts, formatApiKey, isWithin, mayDevice, mayZone, parseApiKey, withNewSecret, type Grants
} from 'relay-access'

const environments = fc.stringMatching(/^[a-z0-9]{1,16}$/)
const keys = environments.map(it => createApiKeyParts(it))

test('a created key can be parsed', () => {
  fc.assert(fc.property(keys, parts => assert.deepEqual(parseApiKey(formatApiKey(parts)), parts)))
})

test('a key with one changed character is refused', () => {
  fc.assert(fc.property(keys, fc.nat(), fc.stringMatching(/^[ -~]$/), (parts, at, character) => {
    const key = formatApiKey(parts)
    const place = at % key.length
    fc.pre(key[place] !== character)
    const changed = key.slice(0, place) + character + key.slice(place + 1)
    const read = parseApiKey(changed)
    // CRC-32 finds every change of up to 32 consecutive bits, and the checksum has its own characters
    assert.equal(read, undefined)
  }), { numRuns: 2_000 })
})

test('each bit of a checksum counts', () => {
  const key = Buffer.from(formatApiKey(createApiKeyParts('local')))
  for (let at = key.length - 6; at < key.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const flipped = Buffer.from(key)
      flipped[at] ^= 1 << bit
      assert.equal(parseApiKey(flipped.toString('latin1')), undefined)
    }
  }
})

test('other texts are refused, and nothing throws', () => {
  for (const text of ['', 'relay_', 'relay_local', `relay_local_${'a'.repeat(12)}_${'b'.repeat(49)}`, 'ghp_abc']) {
    assert.equal(parseApiKey(text), undefined)
  }
  fc.assert(fc.property(
    fc.oneof(fc.string(), fc.string({ unit: 'binary' })), text => assert.equal(parseApiKey(text), undefined)
  ))
})

test('a new secret gives another key with the same id', () => {
  const parts = createApiKeyParts('local')
  const rotated = withNewSecret(parts)
  assert.equal(rotated.id, parts.id)
  assert.notEqual(rotated.secret, parts.secret)
})

const grants: fc.Arbitrary<Grants> = fc.record({
  zones: fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 }),
  devicePrefixes: fc.array(fc.stringMatching(/^[xy]{0,2}$/), { maxLength: 3 })
}, { requiredKeys: [] })

test('grants within others allow nothing that the others forbid', () => {
  const devices = fc.stringMatching(/^[xyz]{1,3}$/)
  const zones = fc.constantFrom('a', 'b', 'c', 'd')
  fc.assert(fc.property(grants, grants, zones, devices, (inner, outer, zone, device) => {
    fc.pre(isWithin(inner, outer))
    if (mayZone(inner, zone)) assert.ok(mayZone(outer, zone))
    if (mayDevice(inner, device)) assert.ok(mayDevice(outer, device))
  }), { numRuns: 3_000 })
})
