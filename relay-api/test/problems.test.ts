import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'

import { pino } from 'pino'
import { createLogger, listen } from 'relay-common'

import { startApi } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { openTestApi, TOKEN, type Asked } from './support/ask.ts'
import { writeEvents, type PlacedEvent } from './support/write-events.ts'

const event: PlacedEvent = {
  deviceId: 'thermostat-001',
  deviceType: 'THERMOSTAT',
  zone: 'Zone A',
  value: 1,
  timestampMs: Date.UTC(2024, 0, 1),
  sourcePartition: 0
}
const startTime = '2024-01-01T00:00:00Z'
const endTime = '2024-01-02T00:00:00Z'

interface Expected {
  readonly status: number
  readonly code: string
  readonly parameter?: string
}

function assertProblem ({ status, body, headers }: Asked, expected: Expected): void {
  assert.equal(headers['content-type'], 'application/problem+json; charset=utf-8')
  const { type, title, detail, instance, error, ...rest } = body
  assert.deepEqual({ answered: status, ...rest }, { answered: expected.status, ...expected })
  assert.match(type, /^urn:relay:problem:[a-z-]+$/)
  assert.ok(title.length > 0 && detail.length > 0)
  assert.equal(instance, `urn:uuid:${headers['x-request-id']}`)
  assert.equal(error, detail)
}

test('a missing, invalid or repeated parameter is named', async t => {
  const { ask } = await openTestApi(t)
  const cases: Array<[path: string, code: string, parameter: string]> = [
    [`device/a?endTime=${endTime}`, 'RELAY_PARAMETER_MISSING', 'startTime'],
    [`device/a?startTime=${startTime}`, 'RELAY_PARAMETER_MISSING', 'endTime'],
    [`zone/a?startTime=&endTime=${endTime}`, 'RELAY_PARAMETER_INVALID', 'startTime'],
    [`zone/a?startTime=yesterday&endTime=${endTime}`, 'RELAY_PARAMETER_INVALID', 'startTime'],
    [`zone/a?startTime=2024-02-30T00:00:00Z&endTime=${endTime}`, 'RELAY_PARAMETER_INVALID', 'startTime'],
    [`zone/a?startTime=2024-01-01T00:00:00&endTime=${endTime}`, 'RELAY_PARAMETER_INVALID', 'startTime'], // no offset
    [`zone/a?startTime=${startTime}&endTime=1704067200`, 'RELAY_PARAMETER_INVALID', 'endTime'],
    [`zone/a?startTime=${startTime}&startTime=${startTime}&endTime=${endTime}`, 'RELAY_PARAMETER_INVALID', 'startTime'],
    [`zone/a?startTime=${startTime}&endTime=${endTime}&endTime=`, 'RELAY_PARAMETER_INVALID', 'endTime'],
    [`zone/a?startTime=${startTime}&endTime=${startTime}`, 'RELAY_RANGE_INVALID', 'endTime'],
    [`zone/a?startTime=${endTime}&endTime=${startTime}`, 'RELAY_RANGE_INVALID', 'endTime'],
    [`zone/a?startTime=2010-01-01T00:00:00Z&endTime=${endTime}`, 'RELAY_RANGE_TOO_LONG', 'endTime'],
    [`type/TOASTER?startTime=${startTime}&endTime=${endTime}`, 'RELAY_DEVICE_TYPE_UNKNOWN', 'deviceType'],
    [`zone/a/type/thermostat?startTime=${startTime}&endTime=${endTime}`, 'RELAY_DEVICE_TYPE_UNKNOWN', 'deviceType'],
    [`device/?startTime=${startTime}&endTime=${endTime}`, 'RELAY_PARAMETER_INVALID', 'deviceId'],
    [`zone//type/THERMOSTAT?startTime=${startTime}&endTime=${endTime}`, 'RELAY_PARAMETER_INVALID', 'zone'],
    [`device/${'x'.repeat(129)}?startTime=${startTime}&endTime=${endTime}`, 'RELAY_PARAMETER_INVALID', 'deviceId'],
    [`device/${'x'.repeat(10_000)}?startTime=${startTime}&endTime=${endTime}`, 'RELAY_PARAMETER_INVALID', 'deviceId'],
    [`zone/a%00b?startTime=${startTime}&endTime=${endTime}`, 'RELAY_PARAMETER_INVALID', 'zone'],
    [`zone/a%0Ab?startTime=${startTime}&endTime=${endTime}`, 'RELAY_PARAMETER_INVALID', 'zone']
  ]
  for (const [path, code, parameter] of cases) {
    await t.test(path.slice(0, 100), async () => {
      assertProblem(await ask(`/api/events/${path}`), { status: 400, code, parameter })
    })
  }
})

test('a range of the configured maximum is answered, and one more ms is not', async t => {
  const { database, ask } = await openTestApi(t, { RANGE_MAX_DAYS: '1' })
  await writeEvents(database, [event])
  assert.equal((await ask('/api/events/zone/Zone%20A', { startTime, endTime })).status, 200)
  const { body } = await ask('/api/events/zone/Zone%20A', { startTime, endTime: '2024-01-02T00:00:00.001Z' })
  assert.equal(body.code, 'RELAY_RANGE_TOO_LONG')
})

test('a selection without readings is a 404, for a known device or not', async t => {
  const { database, ask } = await openTestApi(t)
  await writeEvents(database, [event])
  const later = { startTime: '2024-01-02T00:00:00.001Z', endTime: '2024-01-03T00:00:30Z' }
  for (const path of [
    'device/thermostat-001', 'device/nobody', 'zone/Zone%20A', 'zone/nowhere', 'type/CAR_FUEL',
    'zone/Zone%20A/type/CAR_FUEL'
  ]) assertProblem(await ask(`/api/events/${path}`, later), { status: 404, code: 'RELAY_NO_DATA' })
  // years that PostgreSQL writes differently from ISO-8601
  const ancient = { startTime: '0000-01-01T00:00:00Z', endTime: '0001-01-01T00:00:00Z' }
  assertProblem(await ask('/api/events/zone/Zone%20A', ancient), { status: 404, code: 'RELAY_NO_DATA' })
})

test('unknown paths and methods are problems as well', async t => {
  const { app, ask } = await openTestApi(t)
  assertProblem(await ask('/api/events'), { status: 404, code: 'RELAY_ROUTE_UNKNOWN' })
  assertProblem(await ask('/api/events/zone/a/b'), { status: 404, code: 'RELAY_ROUTE_UNKNOWN' })
  assertProblem(await ask('/nothing'), { status: 404, code: 'RELAY_ROUTE_UNKNOWN' })
  assertProblem(await ask(`/api/events/zone/%ZZ?startTime=${startTime}&endTime=${endTime}`), {
    status: 400, code: 'RELAY_PARAMETER_INVALID', parameter: 'zone'
  })

  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'] as const) {
    const response = await app.inject({
      method,
      url: '/api/events/zone/a',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'text/weird' },
      ...(method === 'OPTIONS' ? {} : { payload: 'not json' })
    })
    assertProblem({ status: response.statusCode, body: response.json(), headers: response.headers },
      { status: 405, code: 'RELAY_METHOD_NOT_ALLOWED' })
    assert.equal(response.headers.allow, 'GET, HEAD')
  }
})

test('without a valid token nobody learns anything, not even which routes exist', async t => {
  const { app } = await openTestApi(t, { API_TOKENS: 'one-token, another', RATE_LIMIT_FAILED_LOGINS_MAX: '1000' })
  const question = `/api/events/zone/a?startTime=${startTime}&endTime=${endTime}`
  const wrong = [
    undefined, '', 'Bearer', 'Bearer ', 'Bearer one', 'Bearer one-token,', 'Bearer anothe', 'Basic another', 'another'
  ]
  for (const url of [question, '/api/events/zone/a', '/api/nothing', '/api/events/type/TOASTER']) {
    for (const authorization of wrong) {
      const response = await app.inject({ url, headers: authorization === undefined ? {} : { authorization } })
      assertProblem({ status: response.statusCode, body: response.json(), headers: response.headers },
        { status: 401, code: 'RELAY_UNAUTHORIZED' })
      assert.equal(response.headers['www-authenticate'], authorization ? 'Bearer error="invalid_token"' : 'Bearer')
    }
  }
  for (const authorization of ['Bearer one-token', 'Bearer another', 'bearer another']) {
    const response = await app.inject({ url: question, headers: { authorization } })
    assert.equal(response.json().code, 'RELAY_NO_DATA')
  }
})

test('without configured tokens nobody gets in, and the log says so', async t => {
  const lines: string[] = []
  const log = pino({ level: 'trace' }, { write: (line: string) => { lines.push(line) } })
  const { app } = await openTestApi(t, { API_TOKENS: '' }, log)
  assert.match(lines.join(), /API_TOKENS and OIDC_ISSUER are not set: only API keys are accepted/)
  for (const authorization of ['Bearer', 'Bearer ', 'Bearer undefined']) {
    assert.equal((await app.inject({ url: '/api/events/zone/a', headers: { authorization } })).statusCode, 401)
  }
})

test('tokens are in no log line, at any level', async t => {
  const lines: string[] = []
  const log = pino({ level: 'trace' }, { write: (line: string) => { lines.push(line) } })
  const { app, ask, database } = await openTestApi(t, {}, log)
  await ask('/api/events/zone/Zone%20A', { startTime, endTime })
  await app.inject({ url: '/api/events/zone/a', headers: { authorization: 'Bearer of-a-wrong-secret' } })
  await database.query('drop table series cascade')
  const failed = await ask('/api/events/zone/Zone%20A', { startTime, endTime })

  assertProblem(failed, { status: 500, code: 'RELAY_INTERNAL' })
  assert.doesNotMatch(JSON.stringify(failed.body), /series|select|relation/) // the error is only in the log
  const logged = lines.join('')
  assert.match(logged, /relation \\"series\\" does not exist/)
  assert.match(logged, new RegExp(`"reqId":"${failed.headers['x-request-id']}"`))
  assert.ok(!logged.includes(TOKEN) && !logged.includes('wrong-secret'))
})

test('an undecodable row fails its answer, and the next one succeeds', async t => {
  const { database, ask } = await openTestApi(t, { DATABASE_POOL_MAX: '1' })
  await writeEvents(database, [event, { ...event, zone: 'Zone B' }])
  await database.query(`
    update rollups_day set body = '\\x1100' where series_id in (select series_id from series where zone = 'Zone A')`)
  assertProblem(await ask('/api/events/zone/Zone%20A', { startTime, endTime }),
    { status: 500, code: 'RELAY_ROLLUP_CORRUPT' })
  assert.equal((await ask('/api/events/zone/Zone%20B', { startTime, endTime })).status, 200)
})

test('probes need no token, metrics are not served to clients, and requests are measured by route', async t => {
  const { app, ask } = await openTestApi(t)
  await ask('/api/events/zone/Zone%20A', { startTime, endTime })
  await ask('/api/nothing')
  assert.deepEqual((await app.inject('/livez')).json(), { status: 'live' })
  assert.deepEqual((await app.inject('/readyz')).json(), { status: 'ready' })
  const body = await app.metrics.metrics()
  assert.equal((await app.inject('/metrics')).statusCode, 404)
  for (const route of ['/api/events/zone/:zone', 'unknown']) {
    const labels = `program="relay-api",method="GET",route="${route}",status="404"`
    assert.ok(body.includes(`relay_api_request_duration_seconds_count{${labels}} 1\n`), route)
  }
})

test('bytes that are not HTTP get a problem too, which names a URL that is not encoded', async t => {
  const { app } = await openTestApi(t)
  const { port } = await listen(app, '127.0.0.1', 0, 'API_PORT')
  for (const [bytes, detail] of [
    ['NONSENSE\r\n\r\n', /bytes are not HTTP/],
    ['GET /api/events/zone/Küche HTTP/1.1\r\nHost: relay\r\n\r\n', /its URL .*percent-encode/]
  ] as const) {
    const socket = connect(port, '127.0.0.1')
    socket.write(bytes)
    let answer = ''
    socket.on('data', chunk => { answer += chunk })
    await once(socket, 'close', { signal: AbortSignal.timeout(10_000) })
    assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\ncontent-type: application\/problem\+json/)
    const problem = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))
    assert.equal(problem.code, 'RELAY_REQUEST_INVALID')
    assert.match(problem.detail, detail)
  }
})

test('a program that starts on an empty database migrates it; a port in use is reported', async t => {
  const { url } = await openLocalPostgres(t, { migrated: false })
  const log = createLogger('test', 'silent')
  const config = readApiConfig({ DATABASE_URL: url, API_TOKENS: TOKEN, API_PORT: '0', METRICS_PORT: '0' })
  const api = await startApi(config, log)
  t.after(() => api.close())
  const question = `/api/events/zone/a?startTime=${startTime}&endTime=${endTime}`
  const address = `http://127.0.0.1:${api.port}${question}`
  const response = await fetch(address, { headers: { authorization: `Bearer ${TOKEN}` } })
  assert.equal((await response.json() as { code: string }).code, 'RELAY_NO_DATA')
  await assert.rejects(startApi({ ...config, API_PORT: api.port }, log),
    { code: 'RELAY_PORT_IN_USE', message: /API_PORT/ })
})
