/**
 * Compares the OpenAPI document with the server: for every route, valid and invalid requests are generated from the
 * document. No answer is a 5xx, each has a documented status, and each matches its schema. Events go into a real event
 * log; of streams the start is read.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import fc from 'fast-check'
import { createLogger, listen } from 'relay-common'

import { openTestLog } from '../../relay-simulator/test/support/event-logs.ts'
import { until } from 'relay-test-support/until.ts'
import { createApp } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { TOKEN } from './support/ask.ts'
import { eventOf } from './support/ingest-site.ts'
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
  readonly responses: Readonly<Record<string, { readonly content?: Content, readonly 'x-other-content'?: Content }>>
}

type Content = Readonly<Record<string, { readonly schema?: object }>>

/** Streams do not end by themselves: the client leaves after their start. */
const endless = new Set(['/api/v1/stream'])

/** Values known to routes: without them every random request would be refused for the same reason. */
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
  fc.constantFrom(
    '', '-1', '0', '1e999', 'null', '[]', '{"a":1}', '%', '\0', '\u{1F600}', "' or 1=1 --", 'NaN', 'x'.repeat(3_000)
  ))

/** A value that a schema allows. */
function goodValue (name: string, schema: Schema): fc.Arbitrary<string> {
  if (schema.type === 'array') return goodValue(name, schema.items ?? {})
  if (schema.enum) return fc.constantFrom(...schema.enum)
  if (schema.type === 'integer') {
    return fc.integer({ min: schema.minimum ?? 0, max: Math.min(schema.maximum ?? 1_000, 1_000) }).map(String)
  }
  return known[name] ? fc.constantFrom(...known[name]) : fc.string({ minLength: 1, maxLength: 12 })
}

function valueOf ({ name, schema }: Parameter): fc.Arbitrary<string> {
  return fc.oneof({ weight: 5, arbitrary: goodValue(name, schema) }, { weight: 1, arbitrary: anyText })
}

/** A text that a URL can hold: a lone surrogate has no bytes. */
function encode (text: string): string {
  return encodeURIComponent(text.toWellFormed())
}

interface Request {
  readonly method: string
  readonly url: string
  readonly headers: Record<string, string>
  readonly payload: string | undefined
}

interface Answer {
  readonly statusCode: number
  readonly contentType: string
  /** of an endless answer, its start */
  readonly body: string
}

/** Few, so that some repeat. */
const headerValue = fc.constantFrom('', '1', '12-1795524103218', 'a key', 'x'.repeat(300), '"', '\t', 'caf\u00e9')

/** Some events of a fleet, also among invalid ones. */
const events = fc.array(fc.nat(20).map(n => eventOf(n)), { minLength: 1, maxLength: 5 })
const bodiesOfEvents = [
  events, fc.tuple(events, fc.constant(eventOf(0, { deviceType: 'TOASTER' })), fc.jsonValue()).map(it => it.flat())
].map(arbitrary => ({ weight: 4, arbitrary: arbitrary.map(it => JSON.stringify(it)) }))

function requestOf (method: string, path: string, { parameters = [], requestBody }: Operation): fc.Arbitrary<Request> {
  const inPath = parameters.filter(it => it.in === 'path')
  const inQuery = parameters.filter(it => it.in === 'query')
  const inHeaders = parameters.filter(it => it.in === 'header')
  // names that are path segments such as `..` change the URL, so they are excluded
  const pathValues = fc.tuple(...inPath.map(it => valueOf(it).filter(value => value !== '.' && value !== '..')))
  const query = fc.tuple(...inQuery.map(it => fc.tuple(
    fc.constant(it.name),
    it.schema.type === 'array'
      ? fc.array(valueOf(it), { maxLength: 3 })
      : fc.oneof(
        { weight: it.required ? 8 : 1, arbitrary: valueOf(it).map(value => [value]) },
        { weight: 1, arbitrary: fc.constant([]) }
      ))))
  const more = fc.oneof(
    { weight: 9, arbitrary: fc.constant('') }, { weight: 1, arbitrary: anyText.map(it => `&${encode(it)}=1`) }
  )
  const body = requestBody === undefined
    ? fc.constant(undefined)
    : fc.oneof(fc.json(), fc.jsonValue().map(it => JSON.stringify(it)), anyText, ...path === '/api/v1/events'
      ? bodiesOfEvents
      : [])
  const headers = fc.tuple(...inHeaders.map(it => fc.option(headerValue.map(value => [it.name, value] as const))))
  return fc.record({ pathValues, query, more, body, headers }).map(({ pathValues, query, more, body, headers }) => {
    const filled = inPath.reduce((url, it, n) => url.replace(`{${it.name}}`, encode(pathValues[n] as string)), path)
    const pairs = query.flatMap(([name, values]) => values.map(it => `${name}=${encode(it)}`))
    return {
      method: method.toUpperCase(),
      url: `${filled}?${pairs.join('&')}${more}`,
      headers: {
        ...Object.fromEntries(headers.filter(it => it !== null)),
        authorization: `Bearer ${TOKEN}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' })
      },
      payload: body
    }
  })
}

test('every answer matches the document', { timeout: 600_000 }, async t => {
  await using opened = new AsyncDisposableStack()
  const testLog = (await openTestLog(t, 'postgres'))!
  const database = testLog.database!
  await testLog.eventLog.ensureTopic({
    name: testLog.topic, partitions: 4, retentionMs: 3_600_000, replicationFactor: -1
  })
  const config = readApiConfig({
    ...testLog.environment, API_TOKENS: TOKEN, RATE_LIMIT_ADDRESS_MAX: '1000000', RATE_LIMIT_PRINCIPAL_MAX: '1000000'
  })
  const app = await createApp(config, database, createLogger('test', 'silent'))
  const { port } = opened.adopt(await listen(app, '127.0.0.1', 0, 'API_PORT'), it => it.close())
  const ask = async ({ method, url, headers, payload }: Request): Promise<Answer> => {
    const { statusCode, headers: answered, body } =
      await app.inject({ method: method as 'GET', url, headers, ...payload === undefined ? {} : { payload } })
    return { statusCode, contentType: String(answered['content-type'] ?? ''), body }
  }
  const askEndless = async ({ method, url, headers }: Request): Promise<Answer> => {
    const leave = new AbortController()
    const response = await fetch(`http://127.0.0.1:${port}${url}`, { method, headers, signal: leave.signal })
    const contentType = response.headers.get('content-type') ?? ''
    if (!response.ok) return { statusCode: response.status, contentType, body: await response.text() }
    const { value } = await response.body!.getReader().read()
    leave.abort()
    return { statusCode: response.status, contentType, body: Buffer.from(value ?? []).toString() }
  }
  const send: Request = {
    method: 'POST',
    url: '/api/v1/events',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    payload: '[]'
  }
  await until('events to be taken', async () => (await ask(send)).statusCode === 202)
  await writeEvents(database, [0, 1, 2].map(n => ({
    deviceId: 'd-1',
    zone: 'Zone A',
    deviceType: 'THERMOSTAT',
    value: n,
    timestampMs: Date.UTC(2024, 0, 1, n),
    sourcePartition: 0
  })))
  const document = JSON.parse((await ask({ ...send, method: 'GET', url: '/openapi.json', payload: undefined })).body) as
    { paths: Record<string, Record<string, Operation>>, components: object }
  const ajv = new Ajv2020({ strict: false, validateFormats: true })
  ajv.addKeyword({ keyword: 'x-extensible-enum', validate: (words: string[], word: string) => words.includes(word) })
  addFormats.default(ajv)
  const validators = new Map<object, ValidateFunction>()
  const validatorOf = (schema: object) => {
    const validate = validators.get(schema) ?? ajv.compile({ ...schema, components: document.components })
    validators.set(schema, validate)
    return validate
  }

  const seen = new Map<string, number>()
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      await fc.assert(fc.asyncProperty(requestOf(method, path, operation), async request => {
        const { statusCode, contentType, body } = await (endless.has(path) ? askEndless(request) : ask(request))
        const said = `${request.method} ${request.url}: ${statusCode} ${body.slice(0, 300)}`
        for (const it of [String(statusCode), `${statusCode} ${path}`]) seen.set(it, (seen.get(it) ?? 0) + 1)
        assert.ok(statusCode < 500, said)
        const declared = operation.responses[statusCode]
        // an empty name in a path is another URL
        if (statusCode === 404 && /"RELAY_ROUTE_UNKNOWN"/.test(body)) return
        assert.ok(declared, `${said}: a status that is not in the document`)
        const mediaType = contentType.split(';')[0]
        if (declared.content === undefined || body === '') return
        const content = declared.content[mediaType] ?? declared['x-other-content']?.[mediaType]
        assert.ok(content, `${said}: ${mediaType} is not in the document`)
        if (mediaType === 'text/event-stream') {
          assert.match(body, /^(?:retry: \d+\n)?event: (open|reset|rollup|changed|heartbeat|end)\n/, said)
        }
        if (content.schema === undefined || !/(^application\/|\+)json$/.test(mediaType)) return
        const validate = validatorOf(content.schema)
        assert.ok(validate(JSON.parse(body)), `${said}: ${ajv.errorsText(validate.errors)}`)
      }), { numRuns: RUNS, endOnFailure: true })
    }
  }
  for (const what of [
    '200', '400', '404', '200 /api/v1/stream', '400 /api/v1/stream', '202 /api/v1/events', '207 /api/v1/events',
    '422 /api/v1/events'
  ]) {
    assert.ok((seen.get(what) ?? 0) > 0, `no request was answered with ${what}`)
  }
})

/** of each route */
const RUNS = 150
