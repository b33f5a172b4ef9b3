import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import { WELL_KNOWN_TOKEN } from 'relay-access'

import { tokensOf } from '../src/auth/config.ts'
import { readApiConfig } from '../src/config.ts'
import { openTestApi, TOKEN } from './support/ask.ts'

const authorization = `Bearer ${TOKEN}`
const addresses = ['/livez', '/openapi.json', '/api/v1/aggregates?start=-1h', '/api/nothing', '/api/v1/keys', '/docs/']

test('every answer has strict browser headers, and none names the server software', async t => {
  const { app } = await openTestApi(t)
  for (const url of addresses) {
    for (const headers of [{ authorization }, {}]) {
      const answer = await app.inject({ url, headers })
      assert.equal(answer.headers['x-content-type-options'], 'nosniff', url)
      assert.equal(answer.headers['x-frame-options'], 'SAMEORIGIN', url)
      assert.equal(answer.headers['referrer-policy'], 'no-referrer', url)
      assert.match(String(answer.headers['content-security-policy']), /default-src/, url)
      assert.match(String(answer.headers['strict-transport-security']), /max-age=31536000/, url)
      assert.equal(answer.headers.server, undefined)
      assert.equal(answer.headers['x-powered-by'], undefined)
      assert.doesNotMatch(JSON.stringify(answer.headers), /fastify|node(js)?\/|express/i)
    }
  }
})

test('answers with data run nothing in a browser', async t => {
  const { app } = await openTestApi(t)
  const { headers } = await app.inject({ url: '/api/v1/aggregates?start=-1h', headers: { authorization } })
  assert.match(String(headers['content-security-policy']), /default-src 'none'/)
  assert.match(String(headers['content-type']), /^application\/json/)
})

test('a body of another type is refused, and so is an oversized one', async t => {
  const { app } = await openTestApi(t)
  const post = (payload: string, type?: string) => app.inject({
    method: 'POST',
    url: '/api/v1/keys',
    payload,
    headers: { authorization, ...(type === undefined ? {} : { 'content-type': type }) }
  })
  const body = JSON.stringify({ name: 'k', scopes: ['events:read'] })
  for (const type of [
    'text/plain', 'text/html', 'application/xml', 'multipart/form-data; boundary=x',
    'application/x-www-form-urlencoded', 'nonsense'
  ]) {
    assert.equal((await post(body, type)).statusCode, 415, type)
  }
  assert.equal((await post(`{"name":"${'x'.repeat(70_000)}"}`, 'application/json')).statusCode, 413)
  for (const broken of [
    '{', '', '[]', 'null', '"x"', '{"name":"k","scopes":["events:read"],"__proto__":{"a":1}}',
    '{"constructor":{"prototype":{}}}'
  ]) {
    const { statusCode } = await post(broken, 'application/json')
    assert.equal(statusCode, 400, broken)
  }
  assert.equal((await post(body, 'application/json; charset=utf-8')).statusCode, 201)
})

test('too many headers, or slow ones, end the connection', { timeout: 60_000 }, async t => {
  const { app } = await openTestApi(t)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const open = () => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    t.after(() => socket.destroy())
    return socket
  }
  const answerOf = async (socket: ReturnType<typeof open>) => {
    const chunks: Buffer[] = []
    socket.on('data', chunk => chunks.push(chunk))
    await once(socket, 'close')
    return Buffer.concat(chunks).toString()
  }

  const large = open()
  large.write(`GET /livez HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)
  assert.match(await answerOf(large), /^HTTP\/1.1 431 /)

  const slow = open()
  const answered = answerOf(slow)
  slow.write('GET /livez HTTP/1.1\r\nhost: a\r\n')
  const startedMs = Date.now()
  while (!slow.closed && Date.now() - startedMs < 30_000) {
    slow.write('x')
    await Promise.race([answered, delay(500)])
  }
  assert.match(await answered, /^HTTP\/1.1 408 /)
  assert.ok(Date.now() - startedMs < 20_000)
})

test('client input can\'t forge a log line', async t => {
  const lines: string[] = []
  const { pino } = await import('pino')
  const log = pino({ level: 'trace' }, { write: (line: string) => { lines.push(line) } })
  const { app } = await openTestApi(t, {}, log)
  const forged = '\n{"level":30,"msg":"refused","principal":"admin"}\r\n'
  await app.inject({ url: `/api/events/device/${encodeURIComponent(forged)}?startTime=a`, headers: { authorization } })
  await app.inject({
    url: `/api/v1/aggregates?device=${encodeURIComponent(forged)}`, headers: { authorization: 'Bearer wrong' }
  })
  await app.inject({
    url: '/api/v1/aggregates',
    headers: {
      authorization, 'user-agent': forged, traceparent: forged, 'x-request-id': forged
    }
  })
  assert.ok(lines.length > 0)
  for (const line of lines) {
    assert.equal(line.trim().split('\n').length, 1)
    assert.notEqual(JSON.parse(line).principal, 'admin')
  }
})

test('a request with two possible readings is refused, and no part of it becomes another request', async t => {
  const { app } = await openTestApi(t)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const start =
    `POST /api/v1/keys HTTP/1.1\r\nhost: a\r\nauthorization: ${authorization}\r\ncontent-type: application/json\r\n`
  const hidden = `GET /api/v1/keys HTTP/1.1\r\nhost: a\r\nauthorization: ${authorization}\r\n\r\n`
  for (const [what, headers] of Object.entries({
    'two ways to say how long it is': 'content-length: 4\r\ntransfer-encoding: chunked\r\n',
    'two lengths': 'content-length: 0\r\ncontent-length: 4\r\n',
    'a length that is none': 'content-length: 0x4\r\n',
    'a length with a sign': 'content-length: +4\r\n',
    'an encoding that hides another': 'transfer-encoding: chunked, identity\r\n',
    'a blank before the colon': 'content-length : 4\r\n',
    'a header on two lines': 'x: a\r\n b\r\ncontent-length : 4\r\n',
    'a line that ends in half': 'x: a\rcontent-length: 4\r\n',
    'a zero byte': 'x: a\0b\r\n'
  })) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {}) // it may be disconnected while we write
    socket.write(`${start}${headers}\r\n0\r\n\r\n${hidden}`)
    let answer = ''
    socket.on('data', chunk => { answer += chunk })
    await once(socket, 'close', { signal: AbortSignal.timeout(20_000) })
    assert.match(answer, /^HTTP\/1\.1 400 /, what)
    assert.equal(answer.match(/HTTP\/1\.1 /g)!.length, 1, `${what}: ${answer}`)
  }
})

test('in production the well-known token prevents the start, unless it is allowed explicitly', () => {
  const refuses = (environment: Record<string, string>, nodeEnvironment?: string) =>
    assert.throws(() => tokensOf(readApiConfig(environment), { NODE_ENV: nodeEnvironment }), {
      code: 'RELAY_CONFIG_INVALID', message: /gives everybody full access.*ALLOW_WELL_KNOWN_TOKEN/
    })
  refuses({ API_TOKENS: WELL_KNOWN_TOKEN }, 'production')
  refuses({ API_TOKENS: `mine, ${WELL_KNOWN_TOKEN}` }, 'production')
  const allowed = readApiConfig({ API_TOKENS: WELL_KNOWN_TOKEN, ALLOW_WELL_KNOWN_TOKEN: 'true' })
  assert.deepEqual(tokensOf(allowed, { NODE_ENV: 'production' }), [WELL_KNOWN_TOKEN])
  assert.deepEqual(tokensOf(readApiConfig({ API_TOKENS: WELL_KNOWN_TOKEN }), {}), [WELL_KNOWN_TOKEN])
})

test('an answer with a key is never cached, and one with data only by its client', async t => {
  const { app } = await openTestApi(t)
  const headers = { authorization }
  const made = await app.inject({
    method: 'POST', url: '/api/v1/keys', headers, payload: { name: 'k', scopes: ['events:read'] }
  })
  const rotated = await app.inject({
    method: 'POST', url: `/api/v1/keys/${made.json().id}/rotate`, headers, payload: {}
  })
  for (const answer of [made, rotated]) {
    assert.ok(answer.json().key)
    assert.equal(answer.headers['cache-control'], 'no-store')
  }
  assert.match(
    String((await app.inject({ url: '/api/v1/aggregates?start=-1h', headers })).headers['cache-control']), /^private/
  )
  const others = [
    { url: '/api/v1/zones' }, // refused
    { url: '/api/v1/zones?zone=1', headers },
    { url: '/api/v1/nothing', headers },
    { url: '/api/v1/keys', headers },
    { method: 'DELETE', url: `/api/v1/keys/${made.json().id}`, headers },
    { url: '/api/events/device/a?startTime=2026-01-01T00:00:00Z&endTime=2026-01-02T00:00:00Z', headers },
    { method: 'PATCH', url: '/api/v1/keys', headers }
  ] as const
  for (const it of others) {
    const { headers: { 'cache-control': found }, statusCode } = await app.inject(it)
    assert.equal(found, 'no-store', `${it.url}: ${statusCode}`)
  }
})
