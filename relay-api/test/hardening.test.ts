import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import { openTestApi, TOKEN } from './support/ask.ts'

const authorization = `Bearer ${TOKEN}`
const addresses = ['/livez', '/openapi.json', '/api/v1/aggregates?start=-1h', '/api/nothing', '/api/v1/keys', '/docs/']

test('every answer tells browsers to trust it with nothing, and nobody what serves it', async t => {
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

test('answers that hold data run nothing in a browser', async t => {
  const { app } = await openTestApi(t)
  const { headers } = await app.inject({ url: '/api/v1/aggregates?start=-1h', headers: { authorization } })
  assert.match(String(headers['content-security-policy']), /default-src 'none'/)
  assert.match(String(headers['content-type']), /^application\/json/)
})

test('a body of another type is refused, and one that is too large', async t => {
  const { app } = await openTestApi(t)
  const post = (payload: string, type?: string) => app.inject({
    method: 'POST', url: '/api/v1/keys', payload, headers: { authorization, ...(type === undefined ? {} : { 'content-type': type }) }
  })
  const body = JSON.stringify({ name: 'k', scopes: ['events:read'] })
  for (const type of ['text/plain', 'text/html', 'application/xml', 'multipart/form-data; boundary=x', 'application/x-www-form-urlencoded', 'nonsense']) {
    assert.equal((await post(body, type)).statusCode, 415, type)
  }
  assert.equal((await post(`{"name":"${'x'.repeat(70_000)}"}`, 'application/json')).statusCode, 413)
  for (const broken of ['{', '', '[]', 'null', '"x"', '{"name":"k","scopes":["events:read"],"__proto__":{"a":1}}', '{"constructor":{"prototype":{}}}']) {
    const { statusCode } = await post(broken, 'application/json')
    assert.equal(statusCode, 400, broken)
  }
  assert.equal((await post(body, 'application/json; charset=utf-8')).statusCode, 201)
})

test('headers that are too many, or come too slowly, end the connection', { timeout: 60_000 }, async t => {
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

test('what a client sends can\'t forge a line of the log', async t => {
  const lines: string[] = []
  const { pino } = await import('pino')
  const log = pino({ level: 'trace' }, { write: (line: string) => { lines.push(line) } })
  const { app } = await openTestApi(t, {}, log)
  const forged = '\n{"level":30,"msg":"refused","principal":"admin"}\r\n'
  await app.inject({ url: `/api/events/device/${encodeURIComponent(forged)}?startTime=a`, headers: { authorization } })
  await app.inject({ url: `/api/v1/aggregates?device=${encodeURIComponent(forged)}`, headers: { authorization: 'Bearer wrong' } })
  await app.inject({ url: '/api/v1/aggregates', headers: { authorization, 'user-agent': forged, traceparent: forged, 'x-request-id': forged } })
  assert.ok(lines.length > 0)
  for (const line of lines) {
    assert.equal(line.trim().split('\n').length, 1)
    assert.notEqual(JSON.parse(line).principal, 'admin')
  }
})
