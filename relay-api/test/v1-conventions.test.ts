/** Conventions of all routes of `/api/v1`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'

import { pino } from 'pino'

import { openTestApi, TOKEN } from './support/ask.ts'

const authorization = `Bearer ${TOKEN}`

test('an unknown parameter is refused, and the nearest one named', async t => {
  const { ask } = await openTestApi(t)
  const cases: Array<[name: string, said: RegExp]> = [
    ['zones', /did you mean zone\?/], ['Start', /did you mean start\?/], ['divice', /did you mean device\?/],
    ['n', /; known are device/], ['foo', /; known are device/],
    ['starttime', /known are device, zone, type/],
    ['__proto__', /known are/], ['x'.repeat(1000), /x{64}; known are/]
  ]
  for (const [name, said] of cases) {
    const { status, body } = await ask('/api/v1/aggregates', { [name]: 'a' })
    assert.deepEqual([status, body.code, body.parameter], [400, 'RELAY_PARAMETER_UNKNOWN', name.slice(0, 64)])
    assert.match(body.detail, said)
  }
})

test('for any invalid parameter, the answer names it', async t => {
  const { ask } = await openTestApi(t, { RANGE_MAX_DAYS: '30' })
  const cases: Array<[query: string, code: string, parameter: string]> = [
    ['start=yesterday', 'RELAY_PARAMETER_INVALID', 'start'],
    ['start=', 'RELAY_PARAMETER_INVALID', 'start'],
    ['start=-24', 'RELAY_PARAMETER_INVALID', 'start'],
    ['start=-24y', 'RELAY_PARAMETER_INVALID', 'start'],
    ['start=now-now', 'RELAY_PARAMETER_INVALID', 'start'],
    ['end=now%2B999999999w', 'RELAY_PARAMETER_INVALID', 'end'],
    ['end=2024-01-01T00:00:00', 'RELAY_PARAMETER_INVALID', 'end'],
    ['end=-1h&end=now', 'RELAY_PARAMETER_INVALID', 'end'],
    ['start=now&end=-1h', 'RELAY_RANGE_INVALID', 'end'],
    ['start=now&end=now', 'RELAY_RANGE_INVALID', 'end'],
    ['start=-31d', 'RELAY_RANGE_TOO_LONG', 'start'],
    ['device=', 'RELAY_PARAMETER_INVALID', 'device'],
    ['device=a&device=b%00', 'RELAY_PARAMETER_INVALID', 'device'],
    ['zone=' + 'x'.repeat(129), 'RELAY_PARAMETER_INVALID', 'zone'],
    [Array.from({ length: 201 }, (_, n) => `device=${n}`).join('&'), 'RELAY_PARAMETER_INVALID', 'device'],
    ['type=TERMOSTAT', 'RELAY_DEVICE_TYPE_UNKNOWN', 'type'],
    ...['0x10', '1e3', '%2B5', '%205', '', '1_000', '0b1', '٣', '9'.repeat(400), '1.5', 'NaN', 'true', 'null'].map(it =>
      [`limit=${it}`, 'RELAY_PARAMETER_INVALID', 'limit'] as [string, string, string])
  ]
  for (const [query, code, parameter] of cases) {
    const { status, body } = await ask(`/api/v1/aggregates?${query}`)
    assert.deepEqual([status, body.code, body.parameter], [400, code, parameter], query.slice(0, 80))
  }
  for (const query of [
    'start=-24h&end=now', 'start=now-7d', 'start=-30d', 'end=now%2B5m', 'end=now+5m', 'start=-90m&end=-30s',
    `start=${new Date(Date.now() - 60_000).toISOString()}`, 'device=a&device=b&zone=Zone%20A&type=THERMOSTAT'
  ]) assert.equal((await ask(`/api/v1/aggregates?${query}`)).status, 200, query)
})

test('other methods are refused with the allowed ones; an unknown path is a 404, after authentication', async t => {
  const { app } = await openTestApi(t)
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'] as const) {
    const response = await app.inject({ method, url: '/api/v1/aggregates', headers: { authorization } })
    assert.deepEqual([response.statusCode, response.json().code, response.headers.allow],
      [405, 'RELAY_METHOD_NOT_ALLOWED', 'GET, HEAD'])
  }
  assert.equal((await app.inject({ url: '/api/v1/nothing', headers: { authorization } })).statusCode, 404)
  for (const url of ['/api/v1/nothing', '/api/v1/aggregates', '/api/v1/aggregates?what=ever']) {
    assert.equal((await app.inject({ url })).statusCode, 401)
  }
})

test('the OpenAPI document has all routes, old ones too, with a bearer token, and is open', async t => {
  const { app } = await openTestApi(t)
  const document = (await app.inject('/openapi.json')).json()
  assert.equal(document.openapi, '3.1.0')
  assert.deepEqual(document.security, [{ bearer: [] }])
  assert.deepEqual(Object.keys(document.paths).filter(it => it.startsWith('/api/events/')).sort(), [
    '/api/events/device/{deviceId}', '/api/events/type/{deviceType}', '/api/events/zone/{zone}',
    '/api/events/zone/{zone}/type/{deviceType}'
  ])
  assert.ok('/api/v1/aggregates' in document.paths)
  for (const [path, methods] of Object.entries<Record<string, any>>(document.paths)) {
    assert.match(path, /^\/api\//)
    for (const operation of Object.values(methods)) {
      assert.ok(operation.summary, path)
      const statuses = Object.keys(operation.responses)
      assert.ok(statuses.some(it => it.startsWith('2')), path)
      for (const status of ['400', '401', '503']) assert.ok(statuses.includes(status), `${path} ${status}`)
    }
  }
  const page = await app.inject('/docs')
  assert.equal(page.statusCode, 200)
  assert.match(page.body, /swagger-ui/)
  const policy = String(page.headers['content-security-policy'])
  assert.match(policy, /script-src 'self'/)
  assert.doesNotMatch(policy, /upgrade-insecure-requests/, 'it is a page without TLS too')
})

test('large answers are compressed on request', async t => {
  const { app } = await openTestApi(t)
  const response = await app.inject({ url: '/openapi.json', headers: { 'accept-encoding': 'gzip' } })
  assert.equal(response.headers['content-encoding'], 'gzip')
  assert.equal(JSON.parse(gunzipSync(response.rawPayload).toString()).info.title, 'Relay')
  assert.equal((await app.inject('/openapi.json')).headers['content-encoding'], undefined)
})

test('pages of configured origins may call the API, including preflight', async t => {
  const origin = 'https://dashboard.example'
  const preflight = {
    method: 'OPTIONS',
    url: '/api/v1/aggregates',
    headers: {
      origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization'
    }
  } as const
  const open = await openTestApi(t, { CORS_ORIGINS: `${origin}, https://other.example` })
  const allowed = await open.app.inject(preflight)
  assert.deepEqual([allowed.statusCode, allowed.headers['access-control-allow-origin']], [204, origin])
  const refused = await open.app.inject({ url: '/api/v1/aggregates', headers: { origin } })
  assert.deepEqual([refused.statusCode, refused.headers['access-control-allow-origin']], [401, origin])
  const evil = 'https://evil.example'
  const stranger = await open.app.inject({ ...preflight, headers: { ...preflight.headers, origin: evil } })
  assert.notEqual(stranger.headers['access-control-allow-origin'], evil)

  const answered = await open.app.inject({ url: '/api/v1/aggregates', headers: { origin, authorization } })
  assert.match(String(answered.headers.vary), /origin/i)

  const closed = await openTestApi(t)
  assert.equal((await closed.app.inject(preflight)).headers['access-control-allow-origin'], undefined)
})

test('a request that belongs to a trace logs it', async t => {
  const lines: string[] = []
  const log = pino({ level: 'debug' }, { write: (line: string) => { lines.push(line) } })
  const { app } = await openTestApi(t, {}, log)
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
  const asked = async (traceparent: string) => {
    lines.length = 0
    await app.inject({ url: '/api/v1/aggregates', headers: { authorization, traceparent } })
    return lines.join('')
  }
  assert.match(await asked(`00-${traceId}-00f067aa0ba902b7-01`), new RegExp(`"traceId":"${traceId}"`))
  for (const wrong of ['', 'nonsense', `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, `00-${traceId}-01`]) {
    assert.doesNotMatch(await asked(wrong), /traceId/)
  }
})
