/** Compares written documents about the API with the API. */
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { openTestApi } from '../../relay-api/test/support/ask.ts'
import { schemaFile, typesOf } from '../generate.ts'

const folder = new URL('..', import.meta.url)

test('the types match the document that the API serves', async t => {
  const { app } = await openTestApi(t)
  const document = (await app.inject('/openapi.json')).json()
  assert.equal(await readFile(schemaFile, 'utf8'), await typesOf(document),
    'write them anew: npm exec -- node relay-client/generate.ts, with Relay up')
})

test('the example of the README is the one that the compiler checks', async () => {
  const readme = await readFile(new URL('README.md', folder), 'utf8')
  const example = await readFile(new URL('test/readme-example.ts', folder), 'utf8')
  assert.ok(readme.includes('```ts\n' + example + '```'))
})

test('it uses nothing that only Node has', async () => {
  const sources = new URL('src/', folder)
  for (const name of await readdir(sources)) {
    const source = await readFile(new URL(name, sources), 'utf8')
    assert.doesNotMatch(source, /from 'node:|\bprocess\.|\bBuffer\b/, name)
  }
})
