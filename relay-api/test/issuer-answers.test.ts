/** Nobody who impersonates the issuer can let anybody in. */
import assert from 'node:assert/strict'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'

import { generateKeyPair, exportJWK, SignJWT } from 'jose'

import { openTestApi } from './support/ask.ts'

const ALGORITHM = 'RS256'
const DISCOVERY = '/.well-known/openid-configuration'

type Answers = Readonly<Record<string, (response: ServerResponse, url: string) => void>>

/** A server with arbitrary answers. */
async function openServer (t: TestContext, answers: Answers): Promise<string> {
  const server = createServer((request, response) => (answers[request.url!] ?? (it => it.writeHead(404).end()))(
    response, url
  ))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => { server.close(); server.closeAllConnections() })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return url
}

const json = (body: (url: string) => unknown) => (response: ServerResponse, url: string) => {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(body(url)))
}

test('an issuer must confirm its own identity', async t => {
  const { publicKey, privateKey } = await generateKeyPair(ALGORITHM)
  const keys = { keys: [{ ...await exportJWK(publicKey), alg: ALGORITHM, use: 'sig', kid: 'k' }] }
  const honest: Answers = {
    [DISCOVERY]: json(url => ({ issuer: url, jwks_uri: `${url}/keys` })),
    '/keys': json(() => keys)
  }
  const another = await openServer(t, honest)
  const askAs = async (answers: Answers) => {
    const issuer = await openServer(t, answers)
    const { app } = await openTestApi(t, { OIDC_ISSUER: issuer })
    const token = await new SignJWT({ iss: issuer, aud: 'relay', sub: 's', scope: 'events:read' })
      .setProtectedHeader({ alg: ALGORITHM, typ: 'at+jwt', kid: 'k' })
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(privateKey)
    const { statusCode, body } = await app.inject({
      url: '/api/v1/zones', headers: { authorization: `Bearer ${token}` }
    })
    assert.doesNotMatch(body, /127\.0\.0\.1/)
    return statusCode
  }

  assert.equal(await askAs(honest), 200)
  for (const [what, changed] of Object.entries<Answers>({
    'it says that it is another': { [DISCOVERY]: json(url => ({ issuer: another, jwks_uri: `${url}/keys` })) },
    'it does not say who it is': { [DISCOVERY]: json(url => ({ jwks_uri: `${url}/keys` })) },
    'it sends elsewhere': {
      [DISCOVERY]: response => {
        response.writeHead(302, {
          location: another +
      DISCOVERY
        }).end()
      }
    },
    'its keys are in a file': { [DISCOVERY]: json(url => ({ issuer: url, jwks_uri: 'file:///etc/passwd' })) },
    'it names no keys': { [DISCOVERY]: json(url => ({ issuer: url })) },
    'it speaks no JSON': { [DISCOVERY]: response => { response.end('<html>') } },
    'it speaks of nothing': { [DISCOVERY]: json(() => null) },
    'it fails': { [DISCOVERY]: response => { response.writeHead(500).end('{}') } },
    'its keys are elsewhere, and it sends there': {
      '/keys': response => {
        response.writeHead(
          302, { location: `${another}/keys` }
        ).end()
      }
    },
    'its keys are none': { '/keys': json(() => ({ keys: 'all' })) }
  })) assert.equal(await askAs({ ...honest, ...changed }), 503, what)
  assert.equal(await askAs({ ...honest, '/keys': json(() => ({ keys: [] })) }), 401, 'it has no keys')
})
