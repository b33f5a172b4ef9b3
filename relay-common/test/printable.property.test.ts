import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'

import fc from 'fast-check'
import { printable, printableJson, printableLines } from 'relay-common'

/** Characters that a terminal could obey, or that could hide or reverse text. */
const dangerous = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u
const texts = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      '\u001b[2J', '\u009b31m', '\u007f', '\r', '\n', '\u202e', '\u200b', '\u2028', '\ud800', '\u{e0041}'),
    fc.string({ unit: 'binary' })
  )
})

test('nothing that a terminal obeys remains, in a line, in lines and in JSON', () => {
  fc.assert(fc.property(texts, text => {
    assert.doesNotMatch(printable(text), dangerous)
    assert.ok(!printable(text).includes('\n'))
    assert.doesNotMatch(printableLines(text), dangerous)
    const json = printableJson({ [text]: text })
    assert.doesNotMatch(json, dangerous)
    assert.deepEqual(JSON.parse(json), JSON.parse(JSON.stringify({ [text]: text })), 'and JSON says the same')
  }))
  assert.equal(printable('Zone A é 温度 😀'), 'Zone A é 温度 😀')
})

test('a log line of a program is safe for a terminal', async () => {
  const script = 'import { createLogger } from "relay-common"; createLogger("p", "info").info({ kid: ' +
    '"\\u001b[2J\\u009b31m\\u202e" }, "a\\u009bb")'
  const { stdout } = await promisify(execFile)(
    process.execPath, ['--input-type=module', '-e', script], { cwd: import.meta.dirname }
  )
  assert.doesNotMatch(stdout, dangerous)
  assert.deepEqual([JSON.parse(stdout).kid, JSON.parse(stdout).msg], ['\u001b[2J\u009b31m\u202e', 'a\u009bb'])
})
