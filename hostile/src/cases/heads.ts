/** Requests by HTTP that no client makes: heads, methods, lengths, hosts. */
import type { Attack } from '../attack.ts'
import type { Attacker } from '../attacker.ts'

const LF = '\r\n'

/** Sends bytes on a connection of its own. @returns the status; 0: it was closed, or nothing came */
async function send (
  attacker: Attacker, text: string, port = attacker.target.apiPort, from = attacker.freshAddress()
): Promise<{ status: number, text: string }> {
  const raw = await attacker.connect(port, from)
  raw.write(Buffer.from(text, 'latin1'))
  await raw.heard(1_500)
  attacker.count(raw.status)
  const answer = { status: raw.status, text: raw.received.toString('latin1') }
  raw.end()
  return answer
}

/**
 * Two requests in one, for a proxy that counts in another way. The second must not be answered as the first one's
 * caller.
 */
function smuggled (): string[] {
  const inner = `GET /api/v1/keys HTTP/1.1${LF}Host: 127.0.0.1${LF}${LF}`
  const post = (headers: string, body: string) => `POST /api/v1/events HTTP/1.1${LF}Host: 127.0.0.1${LF}Authorization: Bearer nobody${LF}${headers}${LF}${LF}${body}`
  return [
    post(`Content-Length: 5${LF}Transfer-Encoding: chunked`, `0${LF}${LF}${inner}`),
    post(`Transfer-Encoding: chunked${LF}Transfer-Encoding: identity`, `0${LF}${LF}${inner}`),
    post('Transfer-Encoding: xchunked', `0${LF}${LF}${inner}`),
    post('Transfer-Encoding:\tchunked', `0${LF}${LF}${inner}`),
    post(`Content-Length: 0${LF}Content-Length: ${inner.length}`, inner),
    post('Content-Length: +5', `aaaaa${inner}`),
    post('Content-Length: 0x5', `aaaaa${inner}`),
    post('Content-Length : 5', `aaaaa${inner}`),
    post('Transfer-Encoding: chunked', `5;a=b${LF}aaaaa${LF}0${LF}X: y${LF}${LF}${inner}`),
    post('Transfer-Encoding: chunked', `fffffffffffffffff${LF}${inner}`),
    `GET /livez HTTP/1.1${LF}Host: 127.0.0.1${LF}X: a\nTransfer-Encoding: chunked${LF}${LF}`
  ]
}

export const heads: readonly Attack[] = [
  {
    name: 'heads/smuggling',
    who: 'stranger',
    input: `${smuggled().length} requests with two lengths or none, 5 times each`,
    holds: 'none is answered with data',
    async run (attacker) {
      for (let n = 0; n < 5; n++) {
        for (const text of smuggled()) {
          const { text: answer } = await send(attacker, text)
          attacker.expect(!answer.includes('"keys":['), 'keys were shown to nobody')
          await attacker.pause(10)
        }
      }
    }
  },
  {
    name: 'heads/large',
    who: 'stranger',
    input: 'heads of 1 MB, 2,000 headers, an address of 100 KB; 40 a second',
    holds: '431 or closed',
    async run (attacker) {
      const some = [
        `GET /api/v1/zones HTTP/1.1${LF}Host: 127.0.0.1${LF}X: ${'a'.repeat(1_000_000)}${LF}${LF}`,
        `GET /api/v1/zones HTTP/1.1${LF}Host: 127.0.0.1${LF}${Array.from({ length: 2_000 }, (_, n) => `H${n}: a`).join(LF)}${LF}${LF}`,
        `GET /${'a'.repeat(100_000)} HTTP/1.1${LF}Host: 127.0.0.1${LF}${LF}`,
        `GET /api/v1/zones?${'a=b&'.repeat(3_500)} HTTP/1.1${LF}Host: 127.0.0.1${LF}${LF}`,
        `GET /api/v1/zones HTTP/1.1${LF}Host: 127.0.0.1${LF}Cookie: ${'a=b; '.repeat(3_000)}${LF}${LF}`,
        `GET /api/v1/zones HTTP/1.1${LF}Host: 127.0.0.1${LF}Accept: ${'a/b;q=0.1,'.repeat(1_400)}${LF}${LF}`,
        `GET /openapi.json HTTP/1.1${LF}Host: 127.0.0.1${LF}Accept-Encoding: ${'gzip;q=0.1,'.repeat(1_300)}${LF}${LF}`,
        `GET /openapi.json HTTP/1.1${LF}Host: 127.0.0.1${LF}If-None-Match: ${'"a",'.repeat(3_500)}${LF}${LF}`,
        `GET /api/v1/zones HTTP/1.1${LF}Host: 127.0.0.1${LF}X-Forwarded-For: ${'1.1.1.1, '.repeat(1_500)}${LF}${LF}`
      ]
      for (let n = 0; !attacker.isOver; n++) {
        const { status } = await send(attacker, some[n % some.length])
        attacker.expect(status < 500, `status ${status} for a large head`)
        await attacker.pause(20)
      }
    }
  },
  {
    name: 'heads/generated',
    who: 'stranger',
    input: 'generated heads: methods, versions, separators and bytes at random; 130 a second',
    holds: '4xx or closed',
    spanMs: 14_000,
    async run (attacker) {
      const { chance } = attacker
      const bytes = () => Array.from(
        { length: chance.between(1, 20) }, () => String.fromCharCode(chance.below(256))
      ).join('')
      for (let n = 0; n < attacker.generated; n++) {
        const method = chance.pick(['GET', 'POST', 'PUT', 'TRACE', 'CONNECT', 'OPTIONS', 'PRI', 'get', '', bytes()])
        const path = chance.pick(['/api/v1/zones', '*', 'http://evil/', '//evil/', '/..//etc/passwd', '/%00', '/api/v1/devices/%ff', '/%', '/api/v1/devices/%2e%2e', bytes()])
        const version = chance.pick(['HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/9', '', bytes()])
        const header = () => chance.pick([
          'Host: 127.0.0.1', 'Host: x', 'Host:', 'Host: a\r\nHost: b', 'Content-Length: 3', 'Content-Length: -1',
          'Transfer-Encoding: chunked', 'Expect: 100-continue', 'Expect: 7',
          'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings',
          'Connection: keep-alive, close', `X: ${bytes()}`, `${bytes()}: a`, ' folded', 'Range: bytes=0-,1-,2-', 'Accept: */*;q=9', `traceparent: ${bytes()}`, 'Accept-Encoding: br;q=nan', 'Authorization: Bearer a'
        ])
        const end = chance.pick([LF, LF, LF, '\n', '\r', ''])
        const text = `${method} ${path} ${version}${LF}${Array.from({ length: chance.below(5) }, header).join(chance.pick([LF, LF, '\n']))}${LF}${end}`
        const raw = await attacker.connect(attacker.target.apiPort, n % 25 === 0 ? attacker.freshAddress() : undefined)
        raw.write(Buffer.from(text, 'latin1'))
        await raw.heard(25) // many wait for more, and get nothing
        attacker.count(raw.status)
        attacker.expect(raw.status < 500 || [501, 503, 505].includes(raw.status), `status ${raw.status} for ${JSON.stringify(text.slice(0, 80))}`)
        raw.end()
      }
    }
  },
  {
    name: 'heads/rebinding',
    who: 'stranger',
    input: 'the well-known token with the Host of a page elsewhere, as a browser sends it whose name server lies',
    holds: 'refused',
    async run (attacker) {
      for (const host of [
        'evil.example', 'evil.example:8080', 'localhost.evil.example', '127.0.0.1.evil.example',
        'localhost@evil.example', '127.0.0.1.nip.io', 'xn--localhost'
      ]) {
        const { status } = await attacker.ask({
          path: '/api/v1/devices/honest-1', token: attacker.target.adminToken, headers: { host }
        })
        attacker.expect(status >= 400, `status ${status} for the Host ${host}`)
      }
      for (const host of ['localhost', '127.0.0.1', `localhost:${attacker.target.apiPort}`]) {
        const { status } = await attacker.ask({
          path: '/api/v1/devices/honest-1', token: attacker.target.adminToken, headers: { host }
        })
        attacker.expect(status === 200, `status ${status} for the Host ${host}`)
      }
    }
  },
  {
    name: 'heads/issuer-origins',
    who: 'stranger',
    input: 'the development issuer, asked by pages of other origins and under other hosts',
    holds: 'no page elsewhere may read its answers',
    async run (attacker) {
      const port = attacker.target.issuerPort
      for (const origin of ['http://evil.example', 'null', 'http://127.0.0.1.evil.example', 'https://localhost.evil.example']) {
        for (const [method, path] of [
          ['GET', '/.well-known/openid-configuration'], ['OPTIONS', '/token'], ['POST', '/token'], ['GET', '/jwks']
        ]) {
          const { headers } = await attacker.ask({
            method,
            path,
            port,
            token: '',
            headers: {
              origin,
              'access-control-request-method': 'POST',
              ...method === 'POST' ? { 'content-type': 'application/x-www-form-urlencoded' } : {}
            },
            ...method === 'POST'
              ? { body: 'grant_type=client_credentials&client_id=relay-service&client_secret=local-secret' }
              : {}
          })
          const allowed = headers['access-control-allow-origin']
          attacker.expect(allowed === undefined, `${method} ${path} lets ${origin} read it (${allowed})`)
        }
      }
      const { status } = await attacker.ask({
        path: '/.well-known/openid-configuration', port, token: '', headers: { host: 'evil.example' }
      })
      attacker.expect(status >= 400, `status ${status} for a foreign Host`)
    }
  },
  {
    name: 'heads/log-regex',
    who: 'stranger',
    input: '20 addresses of 8 to 15 KB of words that a log hides, at an API that logs at level debug',
    holds: 'it answers others within a second',
    async run (attacker) {
      const port = attacker.target.debugPort
      for (const word of ['?token', 'key?', '?secret?', '?password', 'token']) {
        for (const begin of ['/x', '/x?', '/x?a=b&', '/api/v1/zones?']) {
          const hostile = attacker.ask({ path: `${begin}${word.repeat(Math.floor(15_000 / word.length))}`, token: '', port })
          await attacker.pause(20)
          const { status, ms } = await attacker.ask({ path: '/livez', token: '', port })
          attacker.expect(status === 200, `status ${status} for another request`)
          attacker.expectWithin(ms, 1_000, 'another request')
          await hostile
          if (attacker.isOver) return
        }
      }
    },
    verify: async site => {
      const answered = await fetch(`http://127.0.0.1:${site.debugPort}/livez`, { signal: AbortSignal.timeout(5_000) }).then(it => it.ok, () => false)
      return answered ? [] : ['the API at level debug does not answer any more']
    }
  }
]
