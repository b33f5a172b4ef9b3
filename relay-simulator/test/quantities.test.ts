import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { parseDurationSetting, parseShare } from '../src/quantities.ts'

test('a duration is a number and a unit', () => {
  const cases: [text: string, ms: number][] = [
    ['0', 0], ['0h', 0], ['250ms', 250], ['5s', 5_000], ['90m', 5_400_000], ['24h', 86_400_000], ['1.5h', 5_400_000],
    ['30d', 2_592_000_000], [' 1d ', 86_400_000]
  ]
  for (const [text, ms] of cases) assert.equal(parseDurationSetting(text), ms, text)
})

test('any whole number of any unit is read as written', () => {
  const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
  fc.assert(fc.property(fc.nat(100_000), fc.constantFrom('ms', 's', 'm', 'h', 'd'), (count, unit) => {
    assert.equal(parseDurationSetting(`${count}${unit}`), count * unitMs[unit])
  }))
})

test('an invalid duration is reported, with valid examples', () => {
  for (const text of ['', '24', 'h', '-1h', '1h30m', '1 week', '1e3s', '24H', 'Infinityd', `${'9'.repeat(20)}d`]) {
    const message = `must be a number and a unit, e.g. 90m (ms, s, m, h, d), or 0; got "${text}"`
    assert.throws(() => parseDurationSetting(text), { name: 'RangeError', message })
  }
})

test('a share is a percentage', () => {
  const cases: [text: string, share: number][] = [
    ['0', 0], ['0%', 0], ['1%', 0.01], ['0.1%', 0.001], ['100%', 1], [' 12.5% ', 0.125]
  ]
  for (const [text, share] of cases) assert.equal(parseShare(text), share, text)
})

test('an invalid share is reported, with valid examples', () => {
  for (const text of ['', '1', '0.5', '%', '-1%', '101%', '1 %%', 'one']) {
    const message = `must be a percentage from 0% to 100%, e.g. 0.1%; got "${text}"`
    assert.throws(() => parseShare(text), { name: 'RangeError', message })
  }
})
