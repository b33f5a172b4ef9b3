/**
 * Invalid HTTP headers and bodies, sent to the real app over real sockets, many per connection. At worst each ends its
 * own connection, nothing is a 5xx, and an honest client is answered all the time. RELAY_FUZZ_HTTP sets the number of
 * heads; nightly runs have five times as many.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { test } from 'node:test'

import { Chance } from 'relay-test-support/chance.ts'
import { openTestApi, TOKEN } from './support/ask.ts'

const HEADS = Number(process.env.RELAY_FUZZ_HTTP ?? 20_000)
const PER_CONNECTION = 50
const CONNECTIONS = 16
/**
 * heads that are sent at once: they are answered before the next ones, because an unreadable one drops pending answers
 */
const BURST = 8
/** for heads without an answer, which wait for more bytes */
const BURST_MAX_MS = 250
const STATUS_LINE = /HTTP\/1\.1 \d{3} /
const SEED = 4711
const GIVE_UP_MS = 20_000

const methods = [
  'GET', 'POST', 'HEAD', 'DELETE', 'PUT', 'OPTIONS', 'PATCH', 'TRACE', 'CONNECT', 'QUERY', 'get', 'G\0T', 'PRI',
  'M-SEARCH', '', 'SOURCE'
]
const paths = [
  '/livez', '/readyz', '/openapi.json', '/docs/', '/docs/static/start.js', '/api/v1/keys',
  '/api/v1/keys/aaaaaaaaaaaa/rotate', '/api/v1/events', '/api/v1/aggregates?start=-1h',
  '/api/v1/zones', '/api/events/zone/a', '/api/v1/stream?%', '*', '//', '/../../etc/passwd', '/%00', '/%ff', '/a b',
  'http://evil.example/livez', 'a:80', '/?' + 'x='.repeat(500), '/' + 'y'.repeat(2_000), '\u00e9', '/#'
]
const versions = [
  'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/1.1 ', 'http/1.1', '', 'RTSP/1.0'
]
const headers = [
  'content-type: application/json', 'content-type:', 'content-type: ;', 'content-type: application/x-ndjson',
  'content-encoding: gzip', 'content-encoding: br',
  'content-length: 5', 'content-length: 0', 'content-length: -1', 'content-length: 99999999999999999999',
  'content-length: 5, 5', 'content-length: 1e3', 'transfer-encoding: chunked',
  'transfer-encoding: chunked, chunked', 'transfer-encoding: identity', 'transfer-encoding: \u000bchunked',
  'expect: 100-continue', 'expect: 200-ok', 'upgrade: websocket', 'upgrade: h2c', 'connection: upgrade',
  'connection: close', 'connection: keep-alive, x', 'te: trailers', 'trailer: x', 'host: a', 'host: b', 'host:',
  'accept: a/b;q=9,,;', 'accept-encoding: br;q=x', 'if-none-match: ,"', 'range: bytes=0-',
  'authorization: Bearer', 'authorization: Basic x', 'authorization: Bearer ' + 'x.'.repeat(50), 'origin: null',
  'x: ' + 'z'.repeat(1_000), ': x', 'x', ' x: y', 'x\0: y', 'x: \0', 'x: \u007f', 'traceparent: 00-0-0-0',
  'idempotency-key: \u00ff', 'last-event-id: x', 'keep-alive: timeout=99999', 'http2-settings: x',
  'proxy-connection: x', '__proto__: x', 'constructor: x', 'cookie: ' + 'a=b;'.repeat(100)
]
const bodies = [
  '', 'hello', '{}', '{"name":', '[[[[[[', '5\r\nhello\r\n0\r\n\r\n', '0\r\nx: y\r\n\r\n', 'ffffffffffffffff\r\n',
  '-1\r\n', '5;a=b\r\nhel', '\u001f\u008b\u0008', '\n\n\n\n', 'null', '"x"', '\0\0\0\0'
]
const ends = ['\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r', '\r\r\n', '']

const goodMethods = ['GET', 'GET', 'GET', 'POST', 'POST', 'HEAD', 'DELETE', 'PUT', 'OPTIONS', 'PATCH', 'TRACE']
const goodPaths = paths.filter(it => it.startsWith('/') && !/[^\x21-\x7e]/.test(it))
/** some are odd, but none gives the length of a body or ends a connection */
const goodHeaders = headers.filter(it => /^[\w-]+: [\x20-\x7e]*$/.test(it) &&
  !/^(content-length|transfer-encoding|connection|upgrade|host|expect|trailer):/.test(it))

/** Nearly all are readable, so that following requests on the connection are parsed too. */
function head (chance: Chance): string {
  return chance.happens(0.97) ? readable(chance) : anything(chance)
}

function readable (chance: Chance): string {
  const method = chance.pick(goodMethods)
  const lines = [`${method} ${chance.pick(goodPaths)} HTTP/1.1`, 'host: a']
  if (chance.happens(0.6)) lines.push(`authorization: Bearer ${TOKEN}`)
  for (let n = chance.below(5); n > 0; n--) lines.push(chance.pick(goodHeaders))
  const body = method === 'GET' || method === 'HEAD' || method === 'TRACE' ? '' : chance.pick(bodies)
  if (body !== '' && chance.happens(0.5)) {
    const size = Buffer.byteLength(body, 'latin1').toString(16)
    return [
      ...lines, 'transfer-encoding: chunked', '', `${size}${chance.pick(['', ';a=b'])}`, body, '0',
      ...chance.pick([[], ['x: y']]), '', ''
    ].join('\r\n')
  }
  return [...lines, `content-length: ${Buffer.byteLength(body, 'latin1')}`, '', body].join('\r\n')
}

function anything (chance: Chance): string {
  const end = chance.happens(0.8) ? '\r\n' : chance.pick(ends)
  const lines = [`${chance.pick(methods)} ${chance.pick(paths)} ${chance.pick(versions)}`]
  if (chance.happens(0.9)) lines.push('host: a')
  if (chance.happens(0.5)) lines.push(`authorization: Bearer ${TOKEN}`)
  for (let n = chance.below(6); n > 0; n--) lines.push(chance.pick(headers))
  let text = lines.join(end) + end + end + (chance.happens(0.5) ? chance.pick(bodies) : '')
  for (let n = chance.happens(0.2) ? chance.between(1, 3) : 0; n > 0; n--) { // a changed byte here and there
    const at = chance.below(text.length)
    text = text.slice(0, at) + String.fromCharCode(chance.below(256)) + text.slice(at + chance.below(3))
  }
  return text
}

/** Sends heads on one connection until it ends, and continues on the next one. @returns the answers */
async function sendAll (port: number, heads: readonly string[], statuses: Map<number, number>): Promise<void> {
  let at = 0
  while (at < heads.length) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    let answered = ''
    let hear = () => {}
    socket.setEncoding('latin1').on('data', chunk => { answered += chunk; hear() })
    const answers = async (count: number) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      hear = () => { if (answered.split(STATUS_LINE).length > count) resolve() }
      hear()
      const timer = setTimeout(resolve, BURST_MAX_MS)
      await Promise.race([promise, isOver])
      clearTimeout(timer)
    }
    const first = at
    const isOver = new Promise(resolve => socket.once('close', resolve))
    await Promise.race([once(socket, 'connect').catch(() => {}), isOver])
    while (at < heads.length && !socket.destroyed && !socket.readableEnded) {
      if (!socket.write(heads[at++], 'latin1')) await Promise.race([once(socket, 'drain').catch(() => {}), isOver])
      else if ((at - first) % BURST === 0) await answers(at - first)
    }
    await endSoon(socket, isOver)
    for (const [, status] of answered.matchAll(/HTTP\/1\.1 (\d{3}) /g)) {
      statuses.set(Number(status), (statuses.get(Number(status)) ?? 0) + 1)
    }
  }
}

/** Waits for pending answers; a request that waits for its body ends with its client. */
async function endSoon (socket: Socket, isOver: Promise<unknown>): Promise<void> {
  socket.end()
  const timer = setTimeout(() => socket.destroy(), 250)
  await isOver
  clearTimeout(timer)
}

test('arbitrary headers and bodies at worst end their connection', { timeout: 600_000 }, async t => {
  const { app } = await openTestApi(t, {
    EVENT_LOG: 'postgres',
    RATE_LIMIT_ADDRESS_MAX: '100000000',
    RATE_LIMIT_OPEN_MAX: '100000000',
    RATE_LIMIT_PRINCIPAL_MAX: '100000000',
    RATE_LIMIT_FAILED_LOGINS_MAX: '100000000',
    STRANGER_CONNECTIONS_PER_ADDRESS_MAX: '1000'
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const chance = new Chance(SEED)
  const statuses = new Map<number, number>()
  const done = new AbortController()
  let honest = 0
  let slowestMs = 0
  const ask = async () => {
    while (!done.signal.aborted) {
      const startMs = performance.now()
      const response = await fetch(`http://127.0.0.1:${port}/api/v1/zones`, {
        headers: { authorization: `Bearer ${TOKEN}` }, signal: AbortSignal.timeout(GIVE_UP_MS)
      })
      await response.arrayBuffer()
      assert.equal(response.status, 200)
      honest++
      slowestMs = Math.max(slowestMs, performance.now() - startMs)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }
  let sent = 0
  const next = () => {
    if (sent >= HEADS) return undefined
    sent += PER_CONNECTION
    return Array.from({ length: PER_CONNECTION }, () => head(chance))
  }
  const send = async () => { for (let heads = next(); heads; heads = next()) await sendAll(port, heads, statuses) }
  const asking = ask()
  try {
    await Promise.all(Array.from({ length: CONNECTIONS }, send))
  } finally {
    done.abort()
  }
  await asking
  const answers = [...statuses].sort(([a], [b]) => a - b)
  t.diagnostic(
    `${sent} heads, answers by status: ${answers.map(it => it.join(': ')).join(', ')}; ${honest} honest answers, the slowest after ${Math.round(slowestMs)} ms`
  )
  assert.deepEqual(answers.filter(([status]) => status >= 500 && status !== 503), [])
  assert.ok(statuses.get(400)! > 0 && statuses.get(401)! > 0 && statuses.get(200)! > 0)
  assert.ok(answers.reduce((sum, [, count]) => sum + count, 0) > HEADS / 10, 'many can be read, and are answered')
  assert.ok(honest > 5)
  assert.equal((await app.inject('/livez')).statusCode, 200)
})
