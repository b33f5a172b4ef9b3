import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { renderConfiguration, WRITE_COMMAND } from '../../docs/configuration.ts'
import { variables } from './support/compose.ts'
import { ROOT } from './support/dockerfile.ts'
import { programs } from './support/programs.ts'

const page = readFileSync(join(ROOT, 'docs/configuration.md'), 'utf8')

test('docs/configuration.md says what the programs declare', () => {
  assert.ok(page === renderConfiguration(), `docs/configuration.md is out of date; write it with: ${WRITE_COMMAND}`)
})

test('every setting of every program is there, and has a description', () => {
  for (const { settings } of Object.values(programs)) {
    for (const [name, schema] of Object.entries(settings.properties)) {
      assert.ok(page.includes(`| \`${name}\` |`), `${name} is missing`)
      assert.ok((schema as { description?: string }).description, `${name} has no description`)
    }
  }
})

test('every variable of compose.yaml is there, with its default', () => {
  const section = page.slice(page.indexOf('## docker compose'))
  assert.ok(variables().size > 10)
  for (const [name, preset] of variables()) {
    const row = preset === '' ? `\`${name}\`` : `| \`${name}\` | \`${preset}\` |`
    assert.ok(section.includes(row), `${row} is not there`)
  }
})
