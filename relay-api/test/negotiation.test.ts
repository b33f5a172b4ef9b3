/** HTTP alternatives for clients, and the headers of every answer. */
import assert from 'node:assert/strict'
import { METHODS } from 'node:http'
import { test, type TestContext } from 'node:test'

import fc from 'fast-check'
import { WELL_KNOWN_TOKEN } from 'relay-access'
import { createLogger } from 'relay-common'
import { openEventLog } from 'relay-event-log'
import { until } from 'relay-test-support/until.ts'
import { withoutParameters } from '../src/negotiation.ts'
import { withoutCredentials } from '../src/redaction.ts'
import { openTestApi, TOKEN } from './support/ask.ts'

const authorization = `Bearer ${TOKEN}`
const day = 'start=2024-01-01T00:00:00Z&end=2024-01-02T00:00:00Z'

/** Every route of the document, with what it needs to be answered. */
async function routesOf (
  app: Awaited<ReturnType<typeof openTestApi>>['app']
): Promise<Array<{ method: 'GET' | 'POST' | 'DELETE', url: string }>> {
  const { paths } = (await app.inject('/openapi.json')).json()
  const queries: Record<string, string> = {
    '/api/v1/top': `groupBy=device&stat=max&${day}`,
    '/api/v1/stream': '',
    '/api/v1/keys': '',
    '/api/v1/operations': '',
    '/api/v1/dead-letters': '',
    '/api/v1/zones': '',
    '/api/v1/types': '',
    '/api/v1/devices': ''
  }
  return Object.entries<Record<string, unknown>>(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => {
      const query = path.startsWith('/api/events')
        ? 'startTime=2024-01-01T00:00:00Z&endTime=2024-01-02T00:00:00Z'
        : queries[path] ?? (path.includes('{') ? '' : day)
      const name = path.replace('{deviceType}', 'THERMOSTAT').replace('{letter}', '0:0').replace(/\{\w+\}/g, 'aaaaaaaaaaaa')
      return { method: method.toUpperCase() as 'GET', url: method === 'get' && query ? `${name}?${query}` : name }
    }))
}

async function openApiWithTopics (t: TestContext) {
  const api = await openTestApi(t, { EVENT_LOG: 'postgres', EVENTS_TOPIC: 'events' })
  const eventLog = await openEventLog({ EVENT_LOG: 'postgres' }, api.database, createLogger('test', 'silent'))
  t.after(() => eventLog.close())
  for (const name of ['events', 'iot-events.dead-letters']) {
    await eventLog.ensureTopic({ name, partitions: 1, retentionMs: 3_600_000, replicationFactor: -1 })
  }
  return api
}

test('parameters of media types in Accept are ignored, on every route', async t => {
  const { app } = await openApiWithTopics(t)
  let asked = 0
  for (const { method, url } of await routesOf(app)) {
    if (method !== 'GET' || url.startsWith('/api/v1/stream')) continue
    for (const accept of [
      'application/json;charset=UTF-8', 'application/json; charset="utf-8"; q=0.9',
      'text/html, application/json;v=1;q=0.5', '*/*;q=0.1'
    ]) {
      const { statusCode, body } = await app.inject({ url, headers: { authorization, accept } })
      assert.ok([200, 404].includes(statusCode), `${url} ${accept}: ${statusCode} ${body}`)
      asked++
    }
  }
  assert.ok(asked > 40)
  const csv = await app.inject({
    url: `/api/v1/aggregates?${day}&interval=1h`,
    headers: {
      authorization, accept: 'application/json;q=0.1, text/csv;header=present'
    }
  })
  assert.match(String(csv.headers['content-type']), /^text\/csv/)
})

test('a list of media types without parameters names the same types', () => {
  assert.equal(withoutParameters('a/b;c="x,y;q=0";q=0.5, d/e'), 'a/b;q=0.5, d/e')
  assert.equal(withoutParameters('a/b ; Q = 1'), 'a/b;Q=1')
  fc.assert(fc.property(fc.string(), it => { assert.equal(typeof withoutParameters(it), 'string') }))
})

const open = [
  '/', '/livez', '/readyz', '/docs', '/docs/', '/docs/static/start.js', '/openapi.json', '/runbook'
].map(url => ({ method: 'GET', url }))

test('Accept chooses among the formats of a route, and has no other effect', async t => {
  const { app } = await openApiWithTopics(t)
  const event = [{ deviceId: 'd', zone: 'z', deviceType: 'THERMOSTAT', value: 1, timestamp: '2024-01-01T00:00:00Z' }]
  const payloads: Record<string, object> =
    { '/api/v1/keys': { name: 'k', scopes: ['events:read'] }, '/api/v1/events': event }
  const ask = async (method: string, url: string, accept?: string) => {
    const { statusCode, headers } = await app.inject({
      method: method as 'GET',
      url,
      headers: { authorization, ...accept === undefined ? {} : { accept } },
      ...method === 'POST' && { payload: payloads[url] ?? {} }
    })
    return [statusCode, headers['content-type']]
  }
  await until('events to be taken', async () => (await ask('POST', '/api/v1/events'))[0] === 202)
  const headers = [
    '*/*', 'text/plain', 'text/plain;q=0.5, image/*', 'text/html;charset=utf-8', 'application/xml',
    'application/json;q=0', 'nonsense', '', ',', 'a/b/c', ';q=1',
    'text/event-stream', '"'.repeat(3_000), 'application/problem+json', 'x/'.repeat(2_000)
  ]
  const took = new Map<string, unknown>()
  for (const { method, url } of [...await routesOf(app), ...open]) {
    if (url.startsWith('/api/v1/stream')) continue
    const usual = await ask(method, url)
    took.set(`${method} ${url}`, usual[0])
    for (const accept of headers) {
      assert.deepEqual(await ask(method, url, accept), usual, `${method} ${url} ${accept.slice(0, 40)}`)
    }
  }
  assert.deepEqual([
    took.get('POST /api/v1/events'), took.get('POST /api/v1/keys'), took.get(`GET /api/v1/aggregates?${day}`)
  ], [202, 201, 200])
})

test('every method on every path is accepted, or a 405 that lists the allowed ones', async t => {
  const { app } = await openTestApi(t, { EVENT_LOG: 'postgres' })
  const paths = new Map<string, { readonly url: string, readonly methods: Set<string> }>()
  for (const { method, url } of [...await routesOf(app), ...open]) {
    const path = url.split('?', 1)[0]
    const { methods } = paths.get(path) ?? { methods: new Set() }
    paths.set(path, { url, methods: methods.add(method) })
    if (method === 'GET') methods.add('HEAD')
  }
  let refused = 0
  for (const [path, { url, methods }] of paths) {
    for (const method of METHODS) {
      if (method === 'CONNECT' || (path === '/api/v1/stream' && method === 'GET')) continue
      const { statusCode, headers, body } = await app.inject({
        method: method as 'GET', url, headers: { authorization }
      })
      if (methods.has(method)) {
        assert.ok(
          statusCode !== 405 && !(statusCode === 404 && body.includes('RELAY_ROUTE_UNKNOWN')),
          `${method} ${url}: ${statusCode}`
        )
        continue
      }
      assert.equal(statusCode, 405, `${method} ${url}`)
      assert.equal(headers.allow, [...methods].sort().join(', '), `${method} ${url}`)
      refused++
    }
  }
  assert.ok(paths.size >= 20 && refused > 25 * paths.size, `${refused} of ${paths.size} addresses`)
  assert.equal((await app.inject({ method: 'PURGE', url: '/api/nothing', headers: { authorization } })).statusCode, 404)
  assert.doesNotMatch(await app.metrics.metrics(), /method="PURGE"/)
})

test('an empty or malformed Content-Type is 415 with its code', async t => {
  const { app } = await openTestApi(t, { EVENT_LOG: 'postgres' })
  const urls = (await routesOf(app)).filter(it => it.method === 'POST').map(it => it.url)
  assert.ok(urls.length >= 4 && urls.includes('/api/v1/dead-letters/replay'), urls.join())
  for (const url of urls) {
    for (const type of [
      '', ' ', 'nonsense', '/', 'application/', 'application/json/x', ';charset=utf-8', 'a b/c', 'text/plain'
    ]) {
      const { statusCode, body } = await app.inject({
        method: 'POST', url, payload: '{}', headers: { authorization, 'content-type': type }
      })
      const { code, detail } = JSON.parse(body)
      assert.deepEqual([statusCode, code], [415, 'RELAY_MEDIA_TYPE_UNKNOWN'], `${url} ${JSON.stringify(type)}`)
      assert.match(detail, /Content-Type must be .*application\/json/)
    }
  }
})

/** Each parameter of each route of the document, with a text in its place. */
async function parametersOf (app: Awaited<ReturnType<typeof openTestApi>>['app'], text: string) {
  type Operation = { readonly parameters?: ReadonlyArray<{ readonly in: string, readonly name: string }> }
  const { paths } = (await app.inject('/openapi.json')).json()
  return Object.entries<Record<string, Operation>>(paths).flatMap(([path, operations]) =>
    Object.entries(operations).flatMap(([method, { parameters = [] }]) =>
      parameters.filter(it => it.in !== 'header').map(({ in: place, name }) => ({
        method: method.toUpperCase() as 'GET',
        name,
        url: place === 'path'
          ? path.replace(`{${name}}`, text).replace(/\{\w+\}/g, 'a')
          : `${path.replace(/\{\w+\}/g, 'a')}?a=b&${name}=${text}&c=d`
      }))))
}

test('invalid percent-encoding in query or path is a 400 that names the parameter, after authentication', async t => {
  const { app } = await openTestApi(t, { EVENT_LOG: 'postgres' })
  const range = 'startTime=2024-01-01T00:00:00Z&endTime=2024-01-02T00:00:00Z'
  let asked = 0
  for (const bad of ['%', '%Z', '%ZZ', 'a%2', '%ff', '%C3%28', '%ED%A0%80', '%%41']) {
    for (const { method, url, name } of await parametersOf(app, bad)) {
      const { statusCode, body } = await app.inject({ method, url, headers: { authorization } })
      const problem = JSON.parse(body)
      assert.deepEqual(
        [statusCode, problem.code, problem.parameter], [400, 'RELAY_PARAMETER_INVALID', name], `${method} ${url}`
      )
      assert.equal((await app.inject({ method, url })).statusCode, 401, `${method} ${url}`)
      asked++
    }
    const second = await app.inject({
      url: `/api/v1/aggregates?${day}&zone=a&zone=${bad}&device=b`, headers: { authorization }
    })
    assert.equal(second.json().parameter, 'zone')
  }
  assert.ok(asked > 8 * 50, String(asked))
  assert.equal((await app.inject({ url: '/api/nothing/%ZZ', headers: { authorization } })).statusCode, 404)
  assert.equal(
    (await app.inject({ url: `/api/events/zone/100%25?${range}`, headers: { authorization } })).json().code,
    'RELAY_NO_DATA'
  )
})

test('every answer and every problem of every route has cache headers', async t => {
  const { app } = await openTestApi(t)
  const routes = [...await routesOf(app), ...[
    '/livez', '/readyz', '/docs', '/docs/', '/docs/static/start.js', '/openapi.json', '/nothing', '/api/nothing', '/%ZZ'
  ].map(url => ({ method: 'GET' as const, url }))]
  let asked = 0
  for (const { method, url } of routes) {
    if (url.startsWith('/api/v1/stream')) continue
    for (const headers of [{ authorization }, {}, { authorization: 'Bearer wrong' }]) {
      for (const how of [method, 'HEAD', 'PUT', 'OPTIONS'] as const) {
        const answer = await app.inject({ method: how, url, headers, ...how === 'POST' ? { payload: {} } : {} })
        assert.ok(answer.headers['cache-control'], `${how} ${url}: ${answer.statusCode}`)
        if (answer.statusCode >= 400) assert.equal(answer.headers['cache-control'], 'no-store', `${how} ${url}`)
        asked++
      }
    }
  }
  assert.ok(asked > 200, String(asked))
})

test('pages of other origins may read rate limits, and whether an answer was replayed', async t => {
  const origin = 'https://dashboard.example'
  const { app } = await openTestApi(t, { CORS_ORIGINS: origin })
  const { headers } = await app.inject({ url: `/api/v1/aggregates?${day}`, headers: { authorization, origin } })
  const exposed = String(headers['access-control-expose-headers']).split(', ')
  for (const name of [
    'idempotency-replayed', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset', 'retry-after'
  ]) {
    assert.ok(exposed.includes(name), name)
  }
})

test('if the token of the local stack is accepted, foreign host names are refused', async t => {
  const local = await openTestApi(t, { API_TOKENS: WELL_KNOWN_TOKEN, ALLOWED_HOSTS: 'api, relay.example' })
  const status = async (host: string, { app } = local) => (await app.inject({
    url: `/api/v1/aggregates?${day}`, headers: { host, authorization: `Bearer ${WELL_KNOWN_TOKEN}` }
  })).statusCode
  for (const host of [
    'localhost', 'localhost:8080', 'LOCALHOST', '127.0.0.1:8080', '[::1]:8080', '[::1]', '192.168.1.2:8080', 'api:8080',
    'relay.example', 'keycloak.localhost:8083'
  ]) {
    assert.equal(await status(host), 200, host)
  }
  for (const host of [
    'evil.example', 'evil.example:8080', 'localhost.evil.example', '127.0.0.1.evil.example', 'api.evil.example', 'evil',
    '[::1].evil.example', 'localhost:8080:1'
  ]) {
    assert.equal(await status(host), 421, host)
  }
  const { app } = await openTestApi(t)
  assert.equal((await app.inject({
    url: `/api/v1/aggregates?${day}`, headers: { host: 'relay.example', authorization }
  })).statusCode, 200)
})

test('a URL in the log has no secret, and is redacted in linear time', () => {
  assert.equal(withoutCredentials('/a?access_token=abc&zone=b&api%4bey=c&x'), '/a?access_token=…&zone=b&api%4bey=…&x')
  assert.equal(withoutCredentials('/a?token'), '/a?token')
  const ms = (length: number) => {
    const url = '/a?' + 'token'.repeat(length / 5)
    const startMs = performance.now()
    for (let n = 0; n < 50; n++) withoutCredentials(url)
    return performance.now() - startMs
  }
  ms(4_000)
  const least = (length: number) => Math.min(...Array.from({ length: 15 }, () => ms(length)))
  const ratio = least(16_000) / least(8_000)
  assert.ok(ratio <= 2.5, `twice as long takes ${ratio} times as long`)
})
