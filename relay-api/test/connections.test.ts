/** HTTP connections: absolute deadlines, shares, and an end on both sides. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request as httpRequest } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'

import { boundConnections, createLogger, createMetrics, serverOptions, startHealthServer } from 'relay-common'

import { readIssuerConfig } from '../../relay-issuer/src/config.ts'
import { startIssuer } from '../../relay-issuer/src/issuer.ts'
import { until } from 'relay-test-support/until.ts'
import { openTestApi, TOKEN } from './support/ask.ts'

const authorization = `Bearer ${TOKEN}`
const head = `GET /api/v1/aggregates?start=-1h HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: ${authorization}\r\n\r\n`
const LONGEST_MS = 60_000

/** A client that never ends its half, and detects when it is disconnected. */
function opener (t: TestContext, port: number) {
  return async () => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.on('error', () => {})
    t.after(() => socket.destroy())
    let answer = ''
    socket.on('data', chunk => { answer += chunk })
    await once(socket, 'connect')
    return { socket, answer: () => answer }
  }
}

async function openApi (t: TestContext, environment: Record<string, string> = {}) {
  const { app } = await openTestApi(t, environment)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const count = () => new Promise<number>((resolve, reject) => app.server.getConnections((error, n) => error
    ? reject(error)
    : resolve(n)))
  return { app, port, open: opener(t, port), count }
}

/** Writes a byte regularly, as long as anybody accepts them. */
function trickle (t: TestContext, socket: Socket, text: string): void {
  const timer = setInterval(() => { if (!socket.destroyed) socket.write(text) }, 500)
  t.after(() => clearInterval(timer))
}

/** Whether the server has closed a socket: a write fails then, even if a read shows nothing. */
const isGone = (socket: Socket) => {
  if (!socket.destroyed) socket.write('\r\n')
  return socket.destroyed || socket.readableEnded
}

test('a client that sends too slowly is disconnected on both sides after the deadline, whatever it sends', { timeout: 2 * LONGEST_MS }, async t => {
  const { open, count } = await openApi(t)
  const post = (more: string) =>
    `POST /api/v1/keys HTTP/1.1\r\nhost: a\r\nauthorization: ${authorization}\r\ncontent-type: application/json\r\n${more}\r\n\r\n`
  const events =
    `POST /api/v1/events HTTP/1.1\r\nhost: a\r\nauthorization: ${authorization}\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n`
  const ways: Record<string, [first: string, then: string]> = {
    'nothing at all': ['', ''],
    'a head, byte by byte': ['GET /livez HTTP/1.1\r\nhost: a\r\nx: ', 'y'],
    'blank lines before a head': ['\r\n', '\r\n'],
    'a body, byte by byte': [post('content-length: 9999'), ' '],
    'a body in chunks of a byte': [post('transfer-encoding: chunked'), '1\r\n \r\n'],
    'events, byte by byte': [events, ' '],
    'a body that never comes': [post('content-length: 9999'), '']
  }
  const clients = await Promise.all(Object.entries(ways).map(async ([what, [first, then]]) => {
    const client = await open()
    client.socket.write(first)
    if (then) trickle(t, client.socket, then)
    return { what, ...client }
  }))
  await until('connections to be gone', async () => await count() === 0, LONGEST_MS)
  for (const { what, socket } of clients) await until(`${what} to be over`, () => isGone(socket), 5_000)
  for (const { what, answer } of clients.slice(1)) assert.match(answer(), /^HTTP\/1\.1 (408|503) |^$/, what)
  assert.match(clients[1].answer(), /^HTTP\/1\.1 408 [^]*"code":"RELAY_REQUEST_TOO_SLOW"/)
})

test('a client that does not read the reason is disconnected too', { timeout: 2 * LONGEST_MS }, async t => {
  const { open, count } = await openApi(t)
  for (const bytes of ['\0\0\0\0', 'GET / HTTP/1.1\r\nx: ' +
    'y'.repeat(20_000), 'CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n']) {
    const { socket } = await open()
    socket.pause()
    socket.write(bytes)
  }
  await until('connections to be gone', async () => await count() === 0, 10_000)
})

test('oversized headers have a code of their own', async t => {
  const { open } = await openApi(t)
  const { socket, answer } = await open()
  socket.write(`GET /livez HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)
  await until('an answer', () => /^HTTP\/1\.1 431 [^]*"code":"RELAY_HEADERS_TOO_LARGE"/.test(answer()), 5_000)
})

test('an unreadable request after another one is not taken for its answer', async t => {
  const { open } = await openApi(t)
  const { socket, answer } = await open()
  socket.write(head + '\0\0\0\0\r\n\r\n')
  await until('the end', () => isGone(socket), 10_000)
  assert.ok((answer().match(/HTTP\/1\.1 /g) ?? []).length <= 1)
  assert.doesNotMatch(answer(), /^HTTP\/1\.1 400/)
})

test('unknown callers of an address have a limit, and the oldest makes room; known ones stay', async t => {
  const { open, count, port } = await openApi(t, { STRANGER_CONNECTIONS_PER_ADDRESS_MAX: '10' })
  const known = await open()
  known.socket.write(head)
  await until('an answer', () => known.answer().startsWith('HTTP/1.1 200'), 10_000)
  const strangers: Array<{ readonly socket: Socket }> = []
  for (let n = 0; n < 50; n++) strangers.push(await open())
  await until('connections to be 11', async () => await count() === 11, 5_000)
  await until('the oldest to be gone', () => strangers.slice(0, 40).every(it => isGone(it.socket)), 5_000)
  assert.ok(strangers.slice(40).every(it => !it.socket.destroyed))
  known.socket.write(head)
  await until('a second answer', () => known.answer().split('HTTP/1.1 200').length === 3, 5_000)
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/aggregates?start=-1h`, { headers: { authorization } })
  assert.equal(response.status, 200, 'a new client of the same address')
})

test('a caller has a number of kept-alive connections; further ones are answered and closed', async t => {
  const { open, app, port } = await openApi(
    t, { CONNECTIONS_PER_CALLER_MAX: '3', API_TOKENS: `${TOKEN},another-token-of-tests` }
  )
  const clients: Array<Awaited<ReturnType<typeof open>>> = []
  for (let n = 0; n < 5; n++) {
    const client = await open()
    client.socket.write(head)
    await until('an answer', () => client.answer().startsWith('HTTP/1.1 200'), 10_000)
    clients.push(client)
  }
  assert.deepEqual(clients.map(it => /^connection: close/mi.test(it.answer())), [false, false, false, true, true])
  await until('further ones to be closed', () => clients.slice(3).every(it => isGone(it.socket)), 5_000)
  const { statusCode } = await new Promise<{ statusCode?: number }>(resolve => httpRequest(
    {
      port, path: '/api/v1/aggregates?start=-1h', headers: { authorization: 'Bearer another-token-of-tests' }
    }, resolve).end())
  assert.equal(statusCode, 200)
  clients[0].socket.destroy()
  await until('there to be room again', async () => {
    const client = await open()
    client.socket.write(head)
    await until('an answer', () => client.answer().startsWith('HTTP/1.1 200'), 10_000)
    return !/^connection: close/mi.test(client.answer())
  }, 10_000)
  assert.ok(app.server.listening)
})

test('the total number of connections is bounded', async t => {
  const { open, count } = await openApi(t, { CONNECTIONS_MAX: '5' })
  for (let n = 0; n < 20; n++) await open()
  await until('connections to be 1, the share of strangers', async () => await count() === 1, 5_000)
})

test('probe servers and the issuer have the same deadlines', { timeout: 2 * LONGEST_MS }, async t => {
  const health = await startHealthServer(
    { HOST: '127.0.0.1', HEALTH_PORT: 0 }, { readiness: () => ({}), metrics: createMetrics('test') }
  )
  t.after(() => health.close())
  const issuer = await startIssuer(readIssuerConfig({ ISSUER_PORT: '0' }), createLogger('test', 'silent'))
  t.after(() => issuer.close())
  const sockets: Socket[] = []
  for (const port of [health.port, Number(new URL(issuer.url).port)]) {
    const open = opener(t, port)
    for (const [first, then] of [
      ['', ''], ['GET /livez HTTP/1.1\r\nhost: a\r\nx: ', 'y'], ['\r\n', '\r\n'], ['\0\0', '']
    ]) {
      const { socket } = await open()
      socket.write(first)
      if (then) trickle(t, socket, then)
      sockets.push(socket)
    }
  }
  await until(() => `${sockets.filter(it => !isGone(it)).length} to be gone`, () => sockets.every(isGone), LONGEST_MS)
})

test('a client that stops reading a long answer is disconnected, however old its connection is', async t => {
  let nowMs = 0
  const server = createServer(serverOptions, (_request, response) => { response.end(Buffer.alloc(64 * 1024 * 1024)) })
  boundConnections(server, { connectionsMax: 10, strangersMax: 10, strangersPerAddressMax: 10 }, () => nowMs)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { socket } = await opener(t, (server.address() as AddressInfo).port)()
  socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
  await once(socket, 'data')
  socket.pause()
  const count = () => new Promise<number>(resolve => server.getConnections((_, n) => resolve(n)))
  await until('it to be gone', async () => {
    nowMs += 5_000
    return await count() === 0
  }, 30_000)
})
