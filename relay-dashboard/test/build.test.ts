/** What is shipped is what the sources say. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

import { build } from 'vite'

const root = fileURLToPath(new URL('..', import.meta.url))
const GZIPPED_MAX_BYTES = 150 * 1_024

async function filesIn (folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries
    .filter(it => it.isFile())
    .map(it => join(it.parentPath, it.name))
    .sort()
  return new Map(
    await Promise.all(files.map(async it => [it.slice(folder.length + 1), await readFile(it, 'utf8')] as const))
  )
}

test('the files that are shipped are what the sources build, to the byte', async t => {
  const outDir = await mkdtemp(join(tmpdir(), 'relay-dashboard-'))
  t.after(() => rm(outDir, { recursive: true }))
  process.env.NODE_ENV = 'production' // the test runner says `test`, and then Vite builds another page
  process.chdir(root) // as npm does: the names of files depend on it
  await build({ root, logLevel: 'error', build: { outDir } })
  const [built, shipped] = await Promise.all([filesIn(outDir), filesIn(join(root, 'dist'))])
  assert.deepEqual([...shipped.keys()], [...built.keys()], 'npm run build -w relay-dashboard')
  const differ = [...built].filter(([name, text]) => shipped.get(name) !== text).map(([name]) => name)
  assert.deepEqual(differ, [], 'npm run build -w relay-dashboard')
})

test('the page is small, and names whose work is in it', async () => {
  const shipped = await filesIn(join(root, 'dist'))
  const scripts = [...shipped].filter(([name]) => name.endsWith('.js')).map(([, text]) => gzipSync(text).length)
  const sizeBytes = scripts.reduce((sum, it) => sum + it, 0)
  assert.ok(sizeBytes > 0 && sizeBytes <= GZIPPED_MAX_BYTES, `${sizeBytes} bytes`)
  const licences = shipped.get('licences.md')!
  const used = ['preact', 'uplot', 'openapi-fetch', 'eventsource-parser']
  assert.deepEqual(used.filter(it => !licences.includes(it)), [])
})
