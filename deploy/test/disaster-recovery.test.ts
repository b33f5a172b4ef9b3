/** The commands of docs/disaster-recovery.md are run by `npm run drill`, as they stand there. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { renderDrills, WRITE_COMMAND } from '../../docs/drills.ts'
import { readPage } from '../../faults/src/drill/page.ts'
import { ROOT } from './support/dockerfile.ts'

const withCommands = [...readPage()].filter(([, blocks]) => blocks.length > 0)

test('each command of docs/disaster-recovery.md is run by a drill', () => {
  const files = globSync('faults/src/drill/**/*.ts', { cwd: ROOT })
  const sources = files.map(it => readFileSync(join(ROOT, it), 'utf8')).join('\n')
  const followed = [...sources.matchAll(/\.follow\('([^']+)'/g)].map(it => it[1])
  assert.ok(withCommands.length > 4)
  assert.deepEqual(withCommands.map(([heading]) => heading).sort(), [...new Set(followed)].sort())
})

test('each variable of docs/disaster-recovery.md is explained there', () => {
  const page = readFileSync(join(ROOT, 'docs/disaster-recovery.md'), 'utf8')
  const [before] = page.split('\n## ')
  for (const [heading, blocks] of withCommands) {
    const commands = blocks.map(it => it.commands).join('')
    const own = [...commands.matchAll(/^(\w+)=/gm)].map(it => it[1])
    const [section] = page.split(`# ${heading}\n`)[1].split('\n## ')
    for (const [, name] of commands.matchAll(/\$([A-Za-z_]\w*)/g)) {
      assert.ok(own.includes(name) || `${before}${section}`.includes(`\`${name}\``), `${name} in "${heading}"`)
    }
  }
})

test('docs/drills.md has the figures that were measured', () => {
  const page = readFileSync(join(ROOT, 'docs/drills.md'), 'utf8')
  assert.ok(page === renderDrills(), `docs/drills.md is out of date; write it with: ${WRITE_COMMAND}`)
})
