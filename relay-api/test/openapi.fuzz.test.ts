/**
 * The OpenAPI document, held to the server: for every route, requests are made from the document itself, good ones and
 * bad ones. No answer is a 5xx, none has a status that the document does not name, and each is what its schema says.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import fc from 'fast-check'
import type { InjectOptions } from 'fastify'

import { openTestApi, TOKEN } from './support/ask.ts'
import { writeEvents } from './support/write-events.ts'

interface Schema {
  readonly type?: string | string[]
  readonly enum?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
  readonly maxLength?: number
  readonly items?: Schema
}

interface Parameter {
  readonly name: string
  readonly in: 'query' | 'path' | 'header'
  readonly required?: boolean
  readonly schema: Schema
}

interface Operation {
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: unknown
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { readonly schema?: object }>> }>>
}

/** Streams do not end by themselves, and have tests of their own. */
const endless = new Set(['/api/v1/stream'])

/** What routes know: without some of it every random request would be refused for the same reason. */
const known: Readonly<Record<string, readonly string[]>> = {
  start: ['-24h', '2024-01-01T00:00:00Z', 'now-7d'],
  end: ['now', '2024-01-02T00:00:00.001+02:00'],
  startTime: ['2024-01-01T00:00:00Z', '2024-01-01T00:00:30.5Z'],
  endTime: ['2024-01-02T00:00:00Z', '2024-01-01T02:03:00%2B02:00'],
  interval: ['1m', '6h', '1d', '1mo', 'auto'],
  tz: ['Europe/Berlin', 'Asia/Kathmandu', 'UTC'],
  stats: ['avg,p99.9,median', 'increase,rate,timeWeightedAvg', 'first,last'],
  stat: ['max', 'p95', 'rate'],
  type: ['THERMOSTAT'],
  deviceType: ['THERMOSTAT'],
  device: ['d-1'],
  deviceId: ['d-1'],
  zone: ['Zone A']
}

const anyText = fc.oneof(
  fc.string({ maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom('', '-1', '0', '1e999', 'null', '[]', '{"a":1}', '%', '\0', '\u{1F600}', "' or 1=1 --", 'NaN', 'x'.repeat(3_000)))

/** A value that a schema allows. */
function goodValue (name: string, schema: Schema): fc.Arbitrary<string> {
  if (schema.type === 'array') return goodValue(name, schema.items ?? {})
  if (schema.enum) return fc.constantFrom(...schema.enum)
  if (schema.type === 'integer') return fc.integer({ min: schema.minimum ?? 0, max: Math.min(schema.maximum ?? 1_000, 1_000) }).map(String)
  return known[name] ? fc.constantFrom(...known[name]) : fc.string({ minLength: 1, maxLength: 12 })
}

function valueOf ({ name, schema }: Parameter): fc.Arbitrary<string> {
  return fc.oneof({ weight: 5, arbitrary: goodValue(name, schema) }, { weight: 1, arbitrary: anyText })
}

/** A text that a URL can hold: a lone surrogate has no bytes. */
function encode (text: string): string {
  return encodeURIComponent(text.toWellFormed())
}

function requestOf (method: string, path: string, { parameters = [], requestBody }: Operation): fc.Arbitrary<InjectOptions> {
  const inPath = parameters.filter(it => it.in === 'path')
  const inQuery = parameters.filter(it => it.in === 'query')
  const pathValues = fc.tuple(...inPath.map(valueOf))
  const query = fc.tuple(...inQuery.map(it => fc.tuple(
    fc.constant(it.name),
    it.schema.type === 'array'
      ? fc.array(valueOf(it), { maxLength: 3 })
      : fc.oneof({ weight: it.required ? 8 : 1, arbitrary: valueOf(it).map(value => [value]) }, { weight: 1, arbitrary: fc.constant([]) }))))
  const more = fc.oneof({ weight: 9, arbitrary: fc.constant('') }, { weight: 1, arbitrary: anyText.map(it => `&${encode(it)}=1`) })
  const body = requestBody === undefined
    ? fc.constant(undefined)
    : fc.oneof(fc.json(), fc.jsonValue().map(it => JSON.stringify(it)), anyText)
  return fc.record({ pathValues, query, more, body }).map(({ pathValues, query, more, body }) => {
    const filled = inPath.reduce((url, it, n) => url.replace(`{${it.name}}`, encode(pathValues[n] as string)), path)
    const pairs = query.flatMap(([name, values]) => values.map(it => `${name}=${encode(it)}`))
    return {
      method: method.toUpperCase() as InjectOptions['method'],
      url: `${filled}?${pairs.join('&')}${more}`,
      headers: { authorization: `Bearer ${TOKEN}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      payload: body
    }
  })
}

test('every answer is one that the document tells of', { timeout: 600_000 }, async t => {
  const { app, database } = await openTestApi(t, { RATE_LIMIT_ADDRESS_MAX: '1000000', RATE_LIMIT_PRINCIPAL_MAX: '1000000' })
  await writeEvents(database, [0, 1, 2].map(n => ({
    deviceId: 'd-1', zone: 'Zone A', deviceType: 'THERMOSTAT', value: n, timestampMs: Date.UTC(2024, 0, 1, n), sourcePartition: 0
  })))
  const document = (await app.inject('/openapi.json')).json() as { paths: Record<string, Record<string, Operation>> }
  const ajv = new Ajv2020({ strict: false, validateFormats: true })
  addFormats.default(ajv)
  const validators = new Map<object, ValidateFunction>()
  const validatorOf = (schema: object) => {
    const validate = validators.get(schema) ?? ajv.compile(schema)
    validators.set(schema, validate)
    return validate
  }

  const seen = new Map<number, number>()
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      if (endless.has(path)) continue
      await fc.assert(fc.asyncProperty(requestOf(method, path, operation), async request => {
        const { statusCode, headers, body } = await app.inject(request)
        const said = `${request.method} ${String(request.url)}: ${statusCode} ${body.slice(0, 300)}`
        seen.set(statusCode, (seen.get(statusCode) ?? 0) + 1)
        // an ingest without an event log says that it is away: the one 503 that may be here
        const isAway = statusCode === 503 && /RELAY_(INGEST|EVENT_LOG)/.test(body)
        assert.ok(statusCode < 500 || isAway, said)
        const declared = operation.responses[statusCode]
        // an empty name in a path is another address
        if (statusCode === 404 && /"RELAY_ROUTE_UNKNOWN"/.test(body)) return
        assert.ok(declared, `${said}: a status that is not in the document`)
        const mediaType = String(headers['content-type'] ?? '').split(';')[0]
        if (declared.content === undefined || body === '') return
        const content = declared.content[mediaType]
        assert.ok(content, `${said}: ${mediaType} is not in the document`)
        if (content.schema === undefined || !/(^application\/|\+)json$/.test(mediaType)) return
        const validate = validatorOf(content.schema)
        assert.ok(validate(JSON.parse(body)), `${said}: ${ajv.errorsText(validate.errors)}`)
      }), { numRuns: RUNS, endOnFailure: true })
    }
  }
  for (const status of [200, 400, 404]) assert.ok((seen.get(status) ?? 0) > 0, `no request was answered with ${status}`)
})

/** of each route */
const RUNS = 150
