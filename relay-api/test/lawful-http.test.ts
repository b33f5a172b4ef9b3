/** Rare but valid HTTP: it is understood, and so is what follows on the same connection. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'

import { until } from 'relay-test-support/until.ts'
import { authorization, eventOf, openIngestSite } from './support/ingest-site.ts'

/** Sends bytes, each part after the answer to the previous one, and waits for a number of answers. @returns all data */
async function say (url: string, parts: string | readonly string[], answers: number): Promise<string> {
  const [bytes, ...more] = [parts].flat()
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  let text = ''
  socket.on('data', chunk => { text += chunk.toString('latin1') })
  socket.write(bytes)
  for (const [n, part] of more.entries()) {
    await until(() => `an answer:\n${text}`, () => statusesOf(text).length > n, 20_000)
    socket.write(part)
  }
  await until(
    () => `${answers} answers to ${JSON.stringify(bytes)}:\n${text}`, () => statusesOf(text).length >= answers, 20_000
  )
    .finally(() => socket.destroy())
  return text
}

const statusesOf = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))

const event = (n: number) => JSON.stringify(eventOf(n, { deviceId: 'd' }))
const head = (...lines: string[]) => [...lines, '', ''].join('\r\n')
const get = (path: string, ...more: string[]) => head(
  `GET ${path} HTTP/1.1`, 'Host: relay', `Authorization: ${authorization}`, ...more
)
const post = (body: string, ...more: string[]) =>
  head('POST /api/v1/events HTTP/1.1', 'Host: relay', `Authorization: ${authorization}`,
    'Content-Type: application/json', `Content-Length: ${body.length}`, ...more) + body
const question = '/api/v1/aggregates?zone=Zone%20A&start=2024-01-01T00:00:00Z&end=2024-01-02T00:00:00Z&interval=range'
const http2 = [
  'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA'
]
const chunked =
  head('POST /api/v1/events HTTP/1.1', 'Host: relay', `Authorization: ${authorization}`, 'Content-Type: application/json',
    'Transfer-Encoding: Chunked', 'Trailer: X-Sum')

const cases: ReadonlyArray<readonly [
  name: string, bytes: string | readonly string[], statuses: readonly number[], also?: RegExp
]> = [
  ['HTTP/1.0 without a host', 'GET /livez HTTP/1.0\r\n\r\n', [200], /^connection: close\r$/im],
  [
    'HTTP/1.0 that keeps its connection',
    'GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /livez HTTP/1.0\r\n\r\n', [200, 200],
    /^connection: keep-alive\r$/im
  ],
  ['events by HTTP/1.0', post(event(0)).replace('HTTP/1.1', 'HTTP/1.0'), [202]],
  ['a question by HTTP/1.0', get(question).replace('HTTP/1.1', 'HTTP/1.0'), [200]],
  ['a client that asks before it sends its body', post(event(1), 'Expect: 100-continue'), [100, 202]],
  [
    'a body in chunks, with extensions and a trailer',
    `${chunked}5;name=value\r\n${event(2).slice(0, 5)}\r\n${(event(2).length - 5).toString(16).toUpperCase()}\r\n${event(2).slice(5)}\r\n0\r\nX-Sum: 1\r\n\r\n${get('/livez')}`,
    [202, 200]
  ],
  [
    'requests that do not wait for answers',
    [get('/livez'), get(question).replace('GET', 'HEAD'), post(event(3)), post(event(4)), get(question)].join(''),
    [200, 200, 202, 202, 200]
  ],
  ['an address with its host, as proxies write it', get(`http://relay:8080${question}`), [200]],
  ['a host of IPv6', get('/livez').replace('Host: relay', 'Host: [::1]:8080'), [200]],
  ['names of headers in capitals, blanks around their values', head(
    `GET ${question} HTTP/1.1`, 'HOST:relay', `AUTHORIZATION:  ${authorization.replace('Bearer', 'bEARER')}  `
  ), [200]],
  ['an empty line before a request', `\r\n${get('/livez')}`, [200]],
  ['a question with a body', get(question, 'Content-Length: 2') + '{}' + get('/livez'), [200, 200]],
  ['an offer of HTTP/2, as Java makes', [get(question, ...http2), get('/livez')], [200, 200]],
  ['events with an offer of HTTP/2', [post(event(5), ...http2), post(event(6)), get('/livez')], [202, 202, 200]],
  ['no encoding at all', get('/openapi.json', 'Accept-Encoding: *;q=0') + get(
    question, 'Accept-Encoding: identity;q=0, *;q=0'
  ), [200, 200]],
  ['encodings of the future', get(question, 'Accept-Encoding: zstd, dcb;q=0.9, gzip;q=abc, br;q=7'), [200]],
  ['a condition of several tags', get('/openapi.json', 'If-None-Match: W/"a,b", "c" , *'), [304]],
  ['conditions and ranges that are not for us', get(
    '/livez', 'If-Match: "a"', 'If-Unmodified-Since: yesterday', 'Range: bytes=0-1', 'If-Range: "a"'
  ), [200]],
  ['a cookie, a language and a charset', get(
    question, 'Cookie: a=b', 'Accept-Language: ko', 'Accept-Charset: iso-8859-1;q=1, *;q=0',
    'TE: trailers, deflate;q=0.5'
  ), [200]]
]

test('everything that HTTP allows is understood, and so are following requests', { timeout: 120_000 }, async t => {
  await using site = (await openIngestSite(t, 'postgres'))!
  for (const [name, bytes, statuses, also] of cases) {
    const text = await say(site.url, bytes, statuses.length)
    assert.deepEqual(statusesOf(text), statuses, `${name}:\n${text}`)
    if (also) assert.match(text, also, name)
    assert.doesNotMatch(text, /^transfer-encoding: (?!chunked\r$)/im)
  }
})

test('a refusal that needs no body is sent at once, and the connection is closed', { timeout: 60_000 }, async t => {
  await using site = (await openIngestSite(t, 'postgres'))!
  const expecting = (...lines: string[]) => head(
    'POST /api/v1/events HTTP/1.1', 'Host: relay', 'Content-Type: application/json', ...lines, 'Expect: 100-continue'
  )
  const text = await say(site.url, expecting('Content-Length: 100000000', `Authorization: ${authorization}`), 2)
  assert.deepEqual(statusesOf(text).filter(it => it !== 100), [413])
  assert.match(text, /^connection: close\r$/im)
  assert.deepEqual(statusesOf(await say(site.url, expecting('Content-Length: 2'), 2)).filter(it => it !== 100), [401])
})
