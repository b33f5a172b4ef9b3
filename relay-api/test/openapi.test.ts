/** Generators of clients for any language create good code from the OpenAPI document. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createConfig, lintFromString } from '@redocly/openapi-core'

import { withComponents } from '../src/openapi-components.ts'
import { openTestApi } from './support/ask.ts'

interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly format?: string
  readonly pattern?: string
  readonly enum?: readonly unknown[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: unknown
  readonly anyOf?: unknown
  readonly oneOf?: unknown
}

interface Operation {
  readonly operationId?: string
  readonly parameters?: ReadonlyArray<{ readonly name: string, readonly in: string }>
  readonly requestBody?: { readonly required: boolean, readonly content: Content }
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>
}

type Content = Readonly<Record<string, { readonly schema: Schema }>>

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

async function readDocument (t: Parameters<typeof openTestApi>[0]): Promise<{ document: Document, source: string }> {
  const { app } = await openTestApi(t)
  const source = (await app.inject('/openapi.json')).body
  return { document: JSON.parse(source) as Document, source }
}

/** Every object in a value that looks like a schema, with its place. */
function * schemasIn (value: unknown, place: string): Generator<[place: string, schema: Schema]> {
  if (typeof value !== 'object' || value === null) return
  const { type, properties } = value as Schema
  if (typeof type === 'string' || Array.isArray(type) || typeof properties === 'object') yield [place, value as Schema]
  for (const [name, it] of Object.entries(value)) yield * schemasIn(it, `${place}/${name}`)
}

test('a linter finds no fault in it', async t => {
  const { source } = await readDocument(t)
  const config = await createConfig({ extends: ['recommended-strict'] })
  const problems = await lintFromString({ source, config })
  assert.deepEqual(problems.map(it => `${it.ruleId}: ${it.message} at ${it.location[0]?.pointer}`), [])
})

test('each operation has a name, and each object in bodies and answers is a component', async t => {
  const { document } = await readDocument(t)
  const operations = Object.values(document.paths).flatMap(it => Object.values(it))
  const names = operations.map(it => it.operationId ?? '')
  for (const name of names) assert.match(name, /^[a-z][a-zA-Z]+$/)
  assert.equal(new Set(names).size, names.length)

  const contents = operations.flatMap(it => [
    it.requestBody?.content, ...Object.values(it.responses).map(it => it.content)
  ])
  for (const content of contents) {
    const types = Object.keys(content ?? {})
    assert.ok(types.length <= 1, `${types.join(', ')}: clients take the first, none, or bytes`)
  }
  for (const [place, { properties }] of schemasIn(
    { paths: document.paths, schemas: document.components.schemas }, ''
  )) {
    if (properties) assert.match(place, /^\/schemas\/\w+$/, 'an object without a name')
  }
})

test('a body is required exactly if one of its members is', async t => {
  const { document } = await readDocument(t)
  const optional = Object.values(document.paths).flatMap(it => Object.values(it))
    .filter(it => it.requestBody?.required === false)
  assert.deepEqual(optional.map(it => it.operationId), ['rotateKey'])
})

test('parameters of a path come first, in its order, as arguments of generated methods', async t => {
  const { document } = await readDocument(t)
  for (const [path, operations] of Object.entries(document.paths)) {
    const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
    for (const { parameters = [] } of Object.values(operations)) {
      const first = parameters.slice(0, names.length)
      assert.deepEqual(first.map(it => [it.in, it.name]), names.map(it => ['path', it]), path)
    }
  }
})

test('names, patterns and numbers are valid in every language', async t => {
  const { document } = await readDocument(t)
  for (const name of Object.keys(document.components.schemas)) {
    assert.match(name, /^(?!New)[A-Z][a-zA-Z]+$/, 'Go has NewX for a function that makes an X')
  }
  for (const [place, { type, format, pattern, additionalProperties, ...schema }] of schemasIn(document, '')) {
    const types = [type].flat()
    if (pattern !== undefined) {
      assert.doesNotThrow(() => new RegExp(pattern), place)
      assert.doesNotMatch(pattern, /\\[puUkQAzZ]|\(\?/, `${place}: not in every language`)
    }
    if (types.includes('number')) assert.equal(format, 'double', place)
    if (types.includes('integer')) assert.match(String(format), /^int(32|64)$/, place)
    assert.ok(types.filter(it => it !== 'null').length <= 1, `${place}: one type, or null`)
    assert.ok(
      !('anyOf' in schema || 'oneOf' in schema), `${place}: one of several has a poor type, or none that compiles`
    )
    if (typeof additionalProperties === 'object') {
      assert.equal(
        (additionalProperties as Schema).type, 'string',
        `${place}: generated Go does not compile with others that may be null`
      )
    }
  }
})

test('a value of an answer is not an enum, so that old clients accept the values of later versions', async t => {
  const { document } = await readDocument(t)
  const sent = new Set(['DeviceEvent', 'ApiKeyRequest', 'ApiKeyRotation'])
  for (const [name, component] of Object.entries(document.components.schemas)) {
    if (sent.has(name)) continue
    for (const [place, schema] of schemasIn(component, name)) assert.equal(schema.enum, undefined, place)
  }
})

test('two schemas with one title are an error, and equal ones are one component', () => {
  const point = { title: 'Point', type: 'object', properties: { x: { type: 'number' } } }
  const answerOf = (...schemas: object[]) => ({ paths: { '/': { get: { responses: schemas } } } })
  const { components, paths } = withComponents(answerOf(point, { type: 'array', items: point })) as
    Required<ReturnType<typeof answerOf>> & { components: object }
  assert.deepEqual(
    components, { schemas: { Point: { type: 'object', properties: { x: { type: 'number', format: 'double' } } } } }
  )
  const reference = { $ref: '#/components/schemas/Point' }
  assert.deepEqual(paths['/'].get.responses, [reference, { type: 'array', items: reference }])
  assert.throws(
    () => withComponents(answerOf(point, { ...point, description: 'another' })), /two schemas have the title Point/
  )
})
