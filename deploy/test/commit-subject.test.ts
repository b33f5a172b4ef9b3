import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { faultOf } from '../commit-subject.ts'
import { ROOT } from './support/dockerfile.ts'

test('a commit subject is an imperative of at most 72 characters', () => {
  for (const good of [
    'Add a table', 'Bring Prometheus with compose', 'Pass the key', 'Need no key',
    'Say problems, help and settings in plain English',
    'Merge branch main', 'Revert "Added"', `Add ${'a'.repeat(68)}`
  ]) assert.equal(faultOf(good), undefined, good)
  for (const [bad, fault] of [
    [`Add ${'a'.repeat(69)}`, /73 characters/], ['Add a table.', /full stop/], ['add a table', /capital/],
    ['Added a table', /imperative/], ['Adding a table', /imperative/], ['Adds a table', /imperative/],
    ['Rows have one writer', /imperative/], ['The table', /imperative/], ['docs/security.md', /capital/]
  ] as const) assert.match(faultOf(bad) ?? '', fault, bad)
})

test('the hook refuses a bad subject and says why', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'relay-hook-'))
  t.after(() => rm(folder, { recursive: true }))
  const commit = async (message: string) => {
    const file = join(folder, 'message')
    await writeFile(file, message)
    return spawnSync(join(ROOT, '.githooks/commit-msg'), [file], { cwd: ROOT, encoding: 'utf8' })
  }
  assert.equal((await commit('Add a table\n\nIt was missing.\n')).status, 0)
  const refused = await commit('Added a table.\n')
  assert.deepEqual([refused.status, refused.stderr], [1, 'commit subject "Added a table.": ends with a full stop\n'])
})
