/** What the runbook says about codes, reasons and metrics, held to the code. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { errorCodes, rejectedReasons } from 'relay-common'

import { toRecord } from '../../relay-processor/src/dead-letters.ts'
import { ROOT } from './support/dockerfile.ts'
import { programs } from './support/programs.ts'

const page = readFileSync(join(ROOT, 'docs/runbook.md'), 'utf8')
const sources = globSync('relay-*/src/**/*.ts', { cwd: ROOT }).map(it => readFileSync(join(ROOT, it), 'utf8')).join('\n')

/** The rows of the table under a heading, without its head. */
function tableUnder (heading: string): string[][] {
  const section = page.split(/^## /m).find(it => it.startsWith(`${heading}\n`))!
  const rows = section.split('\n').filter(it => it.startsWith('|')).slice(2)
  return rows.map(row => row.slice(1, -1).split(' | ').map(it => it.trim().replaceAll('`', '')))
}

test('every code is explained once, with the status that it has', () => {
  const said = tableUnder('Codes').map(([code, status]) => [code, Number(status)])
  const known = Object.entries(errorCodes).map(([code, { status }]) => [code, status])
  assert.deepEqual(said.sort(), known.sort())
})

test('every reason of a dead letter is explained once', () => {
  const known = [...Object.keys(rejectedReasons), 'batch-corrupt']
  assert.deepEqual(tableUnder('Dead letters').map(([reason]) => reason).sort(), known.sort())
})

test('the headers of a dead letter are those that it has', () => {
  const letter = { key: null, value: null, reason: 'field-type', field: 'value', detail: '', offset: 0n } as const
  const { headers } = toRecord(letter, { topic: 'iot-events', partition: 0 }, 0)
  const said = page.match(/(?<=`)relay-(reason|field|detail|source-\w+|time)(?=`)/g)!
  assert.deepEqual([...new Set(said)].sort(), Object.keys(headers!).sort())
})

test('every metric of the programs is there, and no other', () => {
  const known = [...sources.matchAll(/name: '(relay_\w+)'/g)].map(it => it[1])
  assert.ok(known.length > 15)
  const said = [...page.matchAll(/`(relay_\w+)`/g)].map(it => it[1])
  assert.deepEqual([...new Set(said)].sort(), [...new Set(known)].sort())
})

test('every setting that the runbook names is one', () => {
  const settings = Object.values(programs).flatMap(it => Object.keys(it.settings.properties))
  const said = [...page.matchAll(/`([A-Z]+(?:_[A-Z]+)+)(?:=\w+)?`/g)].map(it => it[1]).filter(it => !(it in errorCodes))
  assert.ok(said.length > 10)
  assert.deepEqual(said.filter(it => !settings.includes(it)), [])
})

test('kinds of gaps are those that are written down', () => {
  const migration = readFileSync(join(ROOT, 'relay-common/migrations/0003-progress.sql'), 'utf8')
  const known = migration.match(/kind in \(([^)]*)\)/)![1].split(', ').map(it => it.replaceAll("'", ''))
  const said = tableUnder('Gaps').map(([kind]) => kind.split(',')[0])
  assert.deepEqual([...new Set(said)].sort(), known.sort())
})

test('links lead to headings that are there', () => {
  const headings = [...page.matchAll(/^## (.*)$/gm)].map(it => it[1].toLowerCase().replaceAll(' ', '-'))
  for (const [, anchor] of page.matchAll(/\]\(#([^)]*)\)/g)) assert.ok(headings.includes(anchor), anchor)
})
