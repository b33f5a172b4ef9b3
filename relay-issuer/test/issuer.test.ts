import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { request, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose'
import { createLogger } from 'relay-common'

import { readIssuerConfig } from '../src/config.ts'
import { startIssuer } from '../src/issuer.ts'
import { askToken, authorize, logIn, logInService, type Tokens } from './support/log-in.ts'

async function openIssuer (t: TestContext, environment: Record<string, string> = {}): Promise<string> {
  const config = readIssuerConfig({ ISSUER_PORT: '0', ...environment })
  const issuer = await startIssuer(config, createLogger('test', 'silent'))
  t.after(() => issuer.close())
  return issuer.url
}

test('a program gets a token for its secret, with the requested scopes', async t => {
  const url = await openIssuer(t)
  const { access_token: token } = await (await logInService(url, 'events:write')).json() as Tokens
  const { payload, protectedHeader } = await jwtVerify(token, createRemoteJWKSet(new URL(`${url}/jwks`)))
  assert.equal(protectedHeader.typ, 'at+jwt')
  assert.deepEqual([payload.iss, payload.aud, payload.scope], [url, 'relay', 'events:write'])
})

test('a wrong secret gets no token', async t => {
  assert.equal((await logInService(await openIssuer(t), 'events:write', 'wrong')).status, 401)
})

test('a person who logs in gets the rights of the account, whatever is requested', async t => {
  const url = await openIssuer(t)
  const asked = 'openid events:read events:write admin'
  const scopesOf = async (account: string) => decodeJwt((await logIn(url, account, asked)).access_token).scope
  assert.equal(await scopesOf('admin'), 'events:read events:write admin')
  assert.equal(await scopesOf('viewer'), 'events:read')
  const { access_token: token } = await logIn(url, 'viewer-zone-a', asked)
  assert.deepEqual(decodeJwt(token).relay_zones, ['Zone A'])
})

test('nobody else can log in', async t => {
  const url = await openIssuer(t)
  await assert.rejects(authorize(url, 'mallory', 'openid events:read', 'v'.repeat(43)))
})

test('a code is only sent to the registered addresses of its client', async t => {
  const url = await openIssuer(t)
  for (const callback of ['https://evil.example.com/callback', 'http://127.0.0.1:8765/other', 'http://127.0.0.1.evil.example.com/callback']) {
    const query = new URLSearchParams({
      client_id: 'relay-web',
      response_type: 'code',
      redirect_uri: callback,
      scope: 'openid',
      code_challenge: 'c'.repeat(43),
      code_challenge_method: 'S256'
    })
    const response = await fetch(`${url}/auth?${query}`, { redirect: 'manual' })
    assert.equal(response.status, 400, callback)
    assert.equal(response.headers.get('location'), null)
  }
})

test('a code without its verifier is useless', async t => {
  const url = await openIssuer(t)
  const code = await authorize(url, 'viewer', 'openid events:read', 'v'.repeat(43))
  const response = await askToken(url, {
    grant_type: 'authorization_code',
    client_id: 'relay-web',
    code,
    redirect_uri: 'http://127.0.0.1:8765/callback',
    code_verifier: 'w'.repeat(43)
  })
  assert.equal(response.status, 400)
})

test('a refresh token works once; a second use revokes everything that came from it', async t => {
  const url = await openIssuer(t)
  const refresh = (token: string) =>
    askToken(url, { grant_type: 'refresh_token', client_id: 'relay-web', refresh_token: token })
  const first = await logIn(url, 'viewer', 'openid events:read')
  const second = await (await refresh(first.refresh_token)).json() as Tokens
  assert.notEqual(second.refresh_token, first.refresh_token)
  assert.equal((await refresh(first.refresh_token)).status, 400)
  assert.equal((await refresh(second.refresh_token)).status, 400)
})

test('keys in a file survive a restart, and nobody else can read them', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'relay-issuer-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'keys.json')
  const keysOf = async (url: string) => await (await fetch(`${url}/jwks`)).json()
  const first = await keysOf(await openIssuer(t, { ISSUER_KEYS_FILE: file }))
  assert.deepEqual(await keysOf(await openIssuer(t, { ISSUER_KEYS_FILE: file })), first)
  assert.notDeepEqual(await keysOf(await openIssuer(t)), first)
  assert.equal((await stat(file)).mode & 0o777, 0o600)
  assert.ok(JSON.parse(await readFile(file, 'utf8')).signing[0].d, 'the private half is there')
  assert.ok(!('d' in (first as { keys: object[] }).keys[0]), 'and is not told')
})

test('it refuses to start in production, with the reason', () => {
  assert.throws(() => readIssuerConfig({ NODE_ENV: 'production' }), /requires no passwords/)
})

test('only pages of configured origins may call it, under any host name', async t => {
  const origin = 'http://127.0.0.1:5173'
  const url = await openIssuer(t, { ISSUER_CORS_ORIGINS: origin })
  const ask = (path: string, headers: Record<string, string>) => new Promise<IncomingMessage>((resolve, reject) => {
    request(new URL(path, url), { headers }, answer => resolve(answer.resume())).on('error', reject).end()
  })
  for (const path of ['/.well-known/openid-configuration', '/jwks', '/token', '/me']) {
    const evil = await ask(path, { origin: 'https://evil.example' })
    assert.equal(evil.headers['access-control-allow-origin'], undefined, path)
    assert.equal((await ask(path, { host: 'evil.example:8083' })).statusCode, 421, path)
  }
  const { statusCode, headers } = await ask('/.well-known/openid-configuration', { origin })
  assert.equal(statusCode, 200)
  assert.ok(['*', origin].includes(String(headers['access-control-allow-origin'])))
})
