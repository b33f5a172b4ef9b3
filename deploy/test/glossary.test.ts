import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { ROOT } from './support/dockerfile.ts'

const read = (pattern: string) => globSync(pattern, { cwd: ROOT }).map(it => readFileSync(join(ROOT, it), 'utf8'))
const sources = read('relay-*/src/**/*.ts')
const migrations = read('relay-*/migrations/*.sql').join('\n')

const rows = readFileSync(join(ROOT, 'docs/glossary.md'), 'utf8').split('\n')
  .filter(it => it.startsWith('| ') && !/^\| (---|term)/.test(it))
  .map(it => it.slice(2, -2).split(' | '))

test('docs/glossary.md explains each term once', () => {
  const terms = rows.flatMap(([term]) => term.split(', '))
  assert.ok(terms.length > 40)
  assert.deepEqual(terms.filter((it, index) => terms.indexOf(it) !== index), [])
})

test('each type, field and table of docs/glossary.md exists, and each type once', () => {
  for (const row of rows) {
    const inCode = row.at(-1)!
    const names = [...inCode.matchAll(/(table )?`(\w+)(?:\.(\w+))?`/g)]
    assert.ok(names.length > 0, `no name in code: ${row[0]}`)
    for (const [, isTable, name, field] of names) {
      if (isTable) assert.match(migrations, new RegExp(`create table ${name}\\b`))
      else if (/^[A-Z]/.test(name)) assertType(name, field)
      else assert.ok(migrations.includes(name), `no column ${name}`)
    }
  }
})

function assertType (name: string, field: string | undefined): void {
  const declared = new RegExp(`^export (interface|type|class) ${name}\\b[^]*?(?=\\n\\n|$(?![^]))`, 'm')
  const found = sources.flatMap(it => declared.exec(it)?.[0] ?? [])
  assert.equal(found.length, 1, `${name} is declared ${found.length} times`)
  if (field !== undefined) assert.match(found[0], new RegExp(`\\b${field}\\b`))
}
