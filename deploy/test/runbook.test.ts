/** What the runbook says about codes and metrics, and the page on dead letters about reasons, held to the code. */
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { errorCodes } from 'relay-common'
import { deadLetterHeaders, deadLetterReasons } from 'relay-dead-letters'
import { gapKinds } from 'relay-event-log'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { readCompose } from './support/compose.ts'
import { environmentOf, ROOT } from './support/dockerfile.ts'
import { programs } from './support/programs.ts'

const page = readFileSync(join(ROOT, 'docs/runbook.md'), 'utf8')
const deadLettersPage = readFileSync(join(ROOT, 'docs/dead-letters.md'), 'utf8')
const sources = globSync('relay-*/src/**/*.ts', { cwd: ROOT }).map(
  it => readFileSync(join(ROOT, it), 'utf8')
).join('\n')

/** The rows of the table under a heading, without its head. */
function tableUnder (heading: string, text = page): string[][] {
  const section = text.split(/^## /m).find(it => it.startsWith(`${heading}\n`))!
  const rows = section.split('\n').filter(it => it.startsWith('|')).slice(2)
  return rows.map(row => row.slice(1, -1).split(' | ').map(it => it.trim().replaceAll('`', '')))
}

test('every code is explained once, with the status that it has', () => {
  const said = tableUnder('Codes').map(([code, status]) => [code, Number(status)])
  const known = Object.entries(errorCodes).map(([code, { status }]) => [code, status])
  assert.deepEqual(said.sort(), known.sort())
})

test('every reason of a dead letter is explained once, and what to do about it', () => {
  const rows = tableUnder('Reasons', deadLettersPage)
  assert.deepEqual(rows.map(([reason]) => reason).sort(), Object.keys(deadLetterReasons).sort())
  for (const cells of rows) assert.ok(cells.length === 3 && cells.every(it => it !== ''), cells[0])
})

test('the headers of a dead letter are those that it has', () => {
  const said = tableUnder('What a letter holds', deadLettersPage).map(([header]) => header)
  assert.deepEqual(said.sort(), Object.values(deadLetterHeaders).sort())
})

test('every metric of the programs is there, and no other', () => {
  const known = [...sources.matchAll(/name: '(relay_\w+)'/g)].map(it => it[1])
  assert.ok(known.length > 15)
  const said = [...page.matchAll(/`(relay_\w+)`/g)].map(it => it[1])
  assert.deepEqual([...new Set(said)].sort(), [...new Set(known)].sort())
})

test('every setting that the runbook names is one', () => {
  const settings = Object.values(programs).flatMap(it => Object.keys(it.settings.properties))
  const said = [...(page + deadLettersPage).matchAll(/`([A-Z]+(?:_[A-Z]+)+)(?:=\w+)?`/g)].map(it => it[1]).filter(it => !(it in errorCodes))
  assert.ok(said.length > 10)
  assert.deepEqual(said.filter(it => !settings.includes(it)), [])
})

test('kinds of gaps are those that are written down', () => {
  const said = tableUnder('Gaps').map(([kind]) => kind.split(',')[0])
  assert.deepEqual([...new Set(said)].sort(), [...gapKinds].sort())
})

test('links lead to headings that are there', () => {
  const headings = [...page.matchAll(/^###? (.*)$/gm)].map(it => it[1].toLowerCase().replaceAll(' ', '-'))
  for (const [, anchor] of page.matchAll(/\]\(#([^)]*)\)/g)) assert.ok(headings.includes(anchor), anchor)
})

test('its queries run, by the owner of a database of this version', async t => {
  const { database } = await openLocalPostgres(t)
  const blocks = [...page.matchAll(/^ {4}(select [^;]+;)$/gm)].map(it => it[1])
  const inline = [...page.matchAll(/`(select [^`]+;)`/g)].map(it => it[1])
  const queries = [...new Set([...blocks, ...inline])].filter(it => !/NAME|pg_terminate/.test(it))
  assert.ok(queries.length > 10, `${queries.length} queries`)
  for (const it of queries) await database.query(it).catch(error => assert.fail(`${it}: ${error.message}`))
})

test('its commands for containers name services, ports and programs that there are', () => {
  const { services } = readCompose()
  const named = [...page.matchAll(/^ {4}docker compose (?:exec|run --rm|logs --since 1h) ([\w ]+?)(?: \|| {2}| -| node| psql| \/| lag|$)/gm)]
    .flatMap(it => it[1].split(' '))
  assert.deepEqual([...new Set(named)].sort(), ['api', 'kafka', 'postgres', 'processor', 'relay'])
  assert.deepEqual(named.filter(it => !(it in services)), [])
  const [, port] = /localhost:(\d+)\/readyz/.exec(page.slice(page.indexOf('exec processor node')))!
  assert.equal(port, environmentOf('processor').HEALTH_PORT)
  for (const [script] of page.matchAll(/relay-\w+\/src\/main\.ts/g)) assert.ok(existsSync(join(ROOT, script)), script)
})
