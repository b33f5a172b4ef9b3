/**
 * docs/deployment.md, and what docs/upgrading.md says of `docker compose`: commands are run by the tests of
 * deploy/engine, as they stand there, and settings are settings.
 */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { ROOT } from './support/dockerfile.ts'
import { programs } from './support/programs.ts'
import { variables } from './support/compose.ts'

const page = readFileSync(join(ROOT, 'docs/deployment.md'), 'utf8')
const upgrading = readFileSync(join(ROOT, 'docs/upgrading.md'), 'utf8')
const [canary] = upgrading.split('### With docker compose\n')[1].split('\n## ')

test('each command is run by a test', () => {
  const tests = globSync('deploy/engine/*.ts', { cwd: ROOT }).map(it => readFileSync(join(ROOT, it), 'utf8')).join('\n')
    .replace(/' \+\s*'/g, '') // long ones are on two lines
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const commands = [...`${page}\n${canary}`.matchAll(/^ {4}((?:docker |export |deploy\/|IMAGE_TAG=).*)$|`(docker compose [^`]*|npm [^`]*)`/gm)].map(it => it[1] ?? it[2])
  assert.ok(commands.length > 20)
  for (const command of commands) {
    const [, script] = /^npm (?:run )?(\S+)$/.exec(command) ?? []
    if (script !== undefined) assert.ok(script in scripts, command)
    else assert.ok(tests.includes(`'${command.replace('export COMPOSE_FILE=', '').replaceAll("'", "\\'")}'`), command)
  }
})

test('each setting is one', () => {
  const settings = new Set([
    ...Object.values(programs).flatMap(it => Object.keys(it.settings.properties)), ...variables().keys(), 'COMPOSE_FILE'
  ])
  const said = [...page.matchAll(/`([A-Z]+(?:_[A-Z]+)+)(?:=[\w-]+)?`/g)].map(it => it[1].replace(/_FILE$/, suffix => settings.has(it[1]) ? suffix : ''))
  assert.ok(said.length > 20)
  assert.deepEqual(said.filter(it => !settings.has(it)), [])
})

test('links lead to headings that are there', () => {
  for (const [, file, anchor] of page.matchAll(/\]\(([\w./-]*)#([\w-]+)\)/g)) {
    const text = file === '' ? page : readFileSync(join(ROOT, 'docs', file), 'utf8')
    const headings = [...text.matchAll(/^##+ (.*)$/gm)].map(it => it[1].toLowerCase().replace(/[^\w -]/g, '').replaceAll(' ', '-'))
    assert.ok(headings.includes(anchor), `${file}#${anchor}`)
  }
})
