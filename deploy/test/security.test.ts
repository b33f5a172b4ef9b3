import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { withBudgets } from '../../docs/budgets.ts'
import { withHostile } from '../../docs/hostile.ts'
import { budgets } from '../../relay-api/src/budgets/declared.ts'
import { ROOT } from './support/dockerfile.ts'

test('each line of the tables of docs/security.md names a test that is there', () => {
  const page = readFileSync(join(ROOT, 'docs/security.md'), 'utf8').split('## OWASP API Security')[1]
  const rows = page.split('\n').filter(it => /^\| (API)?\d/.test(it))
  assert.ok(rows.length > 40)
  for (const row of rows) {
    const tests = row.split('|').at(-2)!.split(/[^\w./-]/).filter(it => it.endsWith('.test.ts'))
    assert.ok(tests.length > 0, row)
    for (const it of tests) assert.ok(existsSync(join(ROOT, it)), `${it} is not there`)
  }
})

test('the table of budgets is that of their declarations, and each names a test that is there', () => {
  const page = readFileSync(join(ROOT, 'docs/security.md'), 'utf8')
  assert.ok(
    page === withBudgets(page), 'docs/security.md is out of date; write it with: npm exec -- node docs/budgets.ts'
  )
  for (const { shownBy } of Object.values(budgets)) assert.ok(existsSync(join(ROOT, shownBy)), `${shownBy} is not there`)
})

test('the table of attacks is that of the results', () => {
  const page = readFileSync(join(ROOT, 'docs/security.md'), 'utf8')
  assert.ok(
    page === withHostile(page), 'docs/security.md is out of date; write it with: npm exec -- node docs/hostile.ts'
  )
})
