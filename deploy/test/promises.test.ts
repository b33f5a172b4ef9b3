import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { ROOT } from './support/dockerfile.ts'

/** number, promise, and a test by its file and name */
const ROW = /^\| (\d+) \| .+ \| `([\w./-]+)`: (.+) \|$/

test('each promise of docs/promises.md has a number and names an existing test', () => {
  const rows = readFileSync(join(ROOT, 'docs/promises.md'), 'utf8').split('\n').filter(it => /^\| \d/.test(it))
  assert.ok(rows.length > 40)
  rows.forEach((row, index) => {
    const [, number, file, name] = ROW.exec(row) ?? assert.fail(`not a promise with its test: ${row}`)
    assert.equal(Number(number), index + 1)
    // a name may go on behind what the page has of it: some are of several cases
    const written = name.replaceAll("'", "\\'")
    const isThere = readFileSync(join(ROOT, file), 'utf8').split('\n').some(it => /\btest\(/.test(it) && it.includes(written))
    assert.ok(isThere, `${file} has no test "${name}"`)
  })
})
