import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { defuse } from '../src/formats/csv.ts'
import { createRowsWriter } from '../src/formats/rows.ts'

const signs = ['=', '+', '-', '@', '|', '%', '\uff1d', '\uff0b', '\uff0d', '\uff20']

/** Cells as spreadsheets of any locale may split them: at every separator, even inside quotes. */
const cellsOf = (line: string) => line.split(/[;\t\r\n|,]/).map(it => it.trim().replace(/^"+/, '').trim())

test('a name that would be a formula after any separator is text', () => {
  for (const sign of signs) {
    for (const name of [`${sign}cmd`, `a;${sign}cmd`, `a; ${sign}cmd`, `a;"${sign}cmd`, `a\t${sign}cmd`, `a\r${sign}cmd`, `a|${sign}cmd`, ` ${sign}cmd`, `a;;${sign}1`, `a;b;${sign}1`]) {
      const csv = createRowsWriter('csv', ['device', 'count'], new Set(), {}).rows([[name, -1]])
      assert.ok(cellsOf(csv).every(it => it === '-1' || !signs.includes(it[0])), JSON.stringify(csv))
    }
  }
  const plain = ['thermostat-001', 'a;b', 'Zone A', 'x=1', 'a|b', '50 %']
  for (const name of plain) assert.equal(defuse(name), name)
})

test('no text starts a formula, and without the inserted quotes it is unchanged', () => {
  const text = fc.array(
    fc.constantFrom(...signs, ';', '\t', '\r', '\n', ' ', '"', 'a', '1', '😀'), { maxLength: 30 }
  ).map(it => it.join(''))
  fc.assert(fc.property(text, it => {
    const safe = defuse(it)
    for (const cell of safe.split(/[;\t\r\n|]/)) {
      assert.ok(!signs.includes(cell.trim().replace(/^["]+/, '').trim()[0]), JSON.stringify(safe))
    }
    assert.equal(safe.replaceAll("'", ''), it)
  }), { numRuns: 2_000 })
})
