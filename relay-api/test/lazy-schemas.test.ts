/** Schemas of routes are compiled at their first use: this test compiles all of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { fastify } from 'fastify'

import { createLazySchemas } from '../src/lazy-schemas.ts'
import { openTestApi } from './support/ask.ts'

test('the schemas of all routes are valid', async t => {
  const { app } = await openTestApi(t)
  await app.ready()
  app.compileSchemas()
})

const query = { type: 'object', properties: { count: { type: 'integer' } } }
const answer = { type: 'object', properties: { count: { type: 'integer' } } }
const counting = (schema: object) => ({ schema: { querystring: schema, response: { 200: answer } } })

test('a route checks and converts as if its schemas were compiled at the start', async () => {
  const schemas = createLazySchemas()
  await using app = fastify({ schemaController: schemas })
  app.get<{ Querystring: { count: number } }>('/count', counting(query), async ({ query }) => ({ ...query, more: 1 }))
  await app.ready()
  assert.deepEqual((await app.inject('/count?count=3')).json(), { count: 3 })
  const { statusCode, body } = await app.inject('/count?count=three')
  assert.equal(statusCode, 400)
  assert.match(body, /querystring\/count must be integer/)
  assert.equal((await app.inject({ method: 'HEAD', url: '/count?count=three' })).statusCode, 400)
})

test('an invalid schema is found by compiling all', async () => {
  const schemas = createLazySchemas()
  await using app = fastify({ schemaController: schemas })
  app.get('/count', counting({ ...query, required: 'count' }), async () => ({}))
  await app.ready()
  assert.throws(schemas.compileAll, /schema is invalid/)
})
