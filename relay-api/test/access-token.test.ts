/** Access tokens of a real OpenID provider, and forgeries of them. */
import assert from 'node:assert/strict'
import { createPublicKey, createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import getPort from 'get-port'
import {
  decodeJwt, decodeProtectedHeader, exportJWK, SignJWT, type JWK, type JWTHeaderParameters, type JWTPayload
} from 'jose'
import { createLogger } from 'relay-common'

import { readIssuerConfig } from '../../relay-issuer/src/config.ts'
import { startIssuer, type Issuer } from '../../relay-issuer/src/issuer.ts'
import { logIn, logInService, type Tokens } from '../../relay-issuer/test/support/log-in.ts'
import { until } from 'relay-test-support/until.ts'
import { openTestApi } from './support/ask.ts'

const log = createLogger('test', 'silent')
const question = '/api/v1/aggregates?start=-1h'
const manyFailures = {
  RATE_LIMIT_FAILED_LOGINS_MAX: '100000', RATE_LIMIT_ADDRESS_MAX: '100000', RATE_LIMIT_PRINCIPAL_MAX: '100000'
}

interface Site {
  readonly issuer: Issuer
  /** of the issuer, and secret */
  readonly signingKey: JWK
  readonly ask: (token: string) => Promise<{ readonly status: number, readonly code: string | undefined }>
}

async function openSite (t: TestContext, environment: Record<string, string> = {}): Promise<Site> {
  const folder = await mkdtemp(join(tmpdir(), 'relay-issuer-'))
  const file = join(folder, 'keys.json')
  const issuer = await startIssuer(readIssuerConfig({ ISSUER_PORT: '0', ISSUER_KEYS_FILE: file }), log)
  t.after(async () => {
    await issuer.close()
    await rm(folder, { recursive: true })
  })
  const { app } = await openTestApi(t, { OIDC_ISSUER: issuer.url, ...manyFailures, ...environment })
  const signingKey = JSON.parse(await readFile(file, 'utf8')).signing[0] as JWK
  let refusals = 0
  t.after(() => { if (refusals > 1) t.diagnostic(`${refusals} hostile requests refused: forged tokens`) })
  const ask: Site['ask'] = async token => {
    const response = await app.inject({ url: question, headers: { authorization: `Bearer ${token}` } })
    if (response.statusCode === 401 || response.statusCode === 403) refusals++
    return { status: response.statusCode, code: response.json().code }
  }
  return { issuer, signingKey, ask }
}

async function tokenOf (issuer: Issuer, account = 'viewer'): Promise<string> {
  return (await logIn(issuer.url, account, 'openid events:read')).access_token
}

const refused = { status: 401, code: 'RELAY_UNAUTHORIZED' }

test('people who log in, and programs with a secret, are accepted', async t => {
  const { issuer, ask } = await openSite(t)
  assert.equal((await ask(await tokenOf(issuer))).status, 200)
  const { access_token: token } = await (await logInService(issuer.url, 'events:read')).json() as Tokens
  assert.equal((await ask(token)).status, 200)
})

test('a token without the scope is known, but forbidden', async t => {
  const { issuer, ask } = await openSite(t)
  const { access_token: token } = await (await logInService(issuer.url, 'events:write')).json() as Tokens
  assert.deepEqual(await ask(token), { status: 403, code: 'RELAY_FORBIDDEN' })
})

test('an identity token is not accepted', async t => {
  const { issuer, ask } = await openSite(t)
  const { id_token: token } = await logIn(issuer.url, 'viewer', 'openid events:read') as Tokens & { id_token: string }
  assert.deepEqual(await ask(token), refused)
})

test('without a configured issuer, none of its tokens is accepted', async t => {
  const { issuer } = await openSite(t)
  const { app } = await openTestApi(t)
  const response = await app.inject({ url: question, headers: { authorization: `Bearer ${await tokenOf(issuer)}` } })
  assert.equal(response.statusCode, 401)
})

test('every claim and header counts', async t => {
  const { issuer, signingKey, ask } = await openSite(t)
  const real = await tokenOf(issuer)
  const header = decodeProtectedHeader(real) as JWTHeaderParameters
  const claims = decodeJwt(real)
  const key = createPrivateKey({ key: signingKey as never, format: 'jwk' })
  const sign = (changed: JWTPayload, changedHeader: Partial<JWTHeaderParameters> = {}, by: KeyObject = key) => {
    const all = { ...claims, ...changed }
    const kept = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
    return new SignJWT(kept).setProtectedHeader({ ...header, ...changedHeader } as JWTHeaderParameters).sign(by)
  }
  const nowS = Math.floor(Date.now() / 1000)

  assert.equal((await ask(await sign({}))).status, 200, 'signed by the issuer\'s own key, as it was')
  for (const [what, changed] of Object.entries<JWTPayload>({
    'within the skew of the clock': { exp: nowS - 10, iat: nowS - 100 },
    'issued a little ahead': { iat: nowS + 10, nbf: nowS + 10 },
    'for several audiences': { aud: ['another', 'relay'] },
    'scopes as a list': { scope: undefined, scp: ['events:read'] }
  })) assert.equal((await ask(await sign(changed))).status, 200, what)

  for (const [what, changed] of Object.entries<JWTPayload>({
    expired: { exp: nowS - 60 },
    'never ends': { exp: undefined },
    'end that is no time': { exp: 'never' as never },
    'not yet': { nbf: nowS + 600 },
    'issued in the future': { iat: nowS + 600 },
    'never issued': { iat: undefined },
    'of another issuer': { iss: 'https://evil.example.com' },
    'of an issuer with a slash more': { iss: `${issuer.url}/` },
    'of no issuer': { iss: undefined },
    'for somebody else': { aud: 'another' },
    'for nobody': { aud: undefined },
    'of nobody': { sub: undefined },
    'zones that are no list': { relay_zones: 'Zone A' },
    'zones that are no text': { relay_zones: [1] },
    'zones that are null': { relay_zones: null },
    'an empty zone': { relay_zones: [''] },
    'prefixes that are no list': { relay_device_prefixes: {} },
    'zones that are misspelled': { relay_zone: ['Zone A'] },
    'zones in another case': { Relay_Zones: ['Zone A'] },
    'zones of a namespace': { 'https://example.com/relay_zones': ['Zone A'] },
    'prefixes that are misspelled': { relay_devices_prefix: ['a'] },
    'grants in an object': { relay: { zones: ['Zone A'] } }
  })) assert.deepEqual(await ask(await sign(changed)), refused, what)

  for (const [what, changed] of Object.entries<Partial<JWTHeaderParameters>>({
    'an identity token by its type': { typ: 'JWT' },
    'no type': { typ: undefined },
    'another type': { typ: 'dpop+jwt' },
    'a key that there is not': { kid: 'another' },
    'something critical that nobody knows': { crit: ['exotic'], exotic: true }
  })) {
    const token = await sign({}, changed).catch(() => forge(real, changed))
    assert.deepEqual(await ask(token), refused, what)
  }
  for (const scope of [undefined, '', 'events:readx', 'EVENTS:READ', 'admin', 'events:write']) {
    assert.deepEqual(await ask(await sign({ scope })), { status: 403, code: 'RELAY_FORBIDDEN' }, `scope ${scope}`)
  }
})

/** A token with another header and its original signature. */
function forge (token: string, changed: object): string {
  const [, claims, signature] = token.split('.')
  const header = { ...decodeProtectedHeader(token), ...changed }
  return `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${claims}.${signature}`
}

test('nobody else can sign: with no key, a public key, or a key of their own', async t => {
  const { issuer, signingKey, ask } = await openSite(t)
  const real = await tokenOf(issuer)
  const claims = decodeJwt(real)
  const [, body] = real.split('.')
  const encode = (it: object) => Buffer.from(JSON.stringify(it)).toString('base64url')
  const { kid } = decodeProtectedHeader(real)

  for (const alg of ['none', 'None', 'NONE', '']) {
    for (const signature of ['', 'x', real.split('.')[2]]) {
      assert.deepEqual(await ask(`${encode({ alg, typ: 'at+jwt', kid })}.${body}.${signature}`), refused, `alg ${alg}`)
    }
  }

  // the public key is known to all, and must not be accepted as a shared secret
  const publicKey = createPublicKey(createPrivateKey({ key: signingKey as never, format: 'jwk' }))
  const secrets = [publicKey.export({ type: 'spki', format: 'pem' }), publicKey.export({ type: 'spki', format: 'der' }),
    JSON.stringify(publicKey.export({ format: 'jwk' }))]
  for (const secret of secrets) {
    for (const alg of ['HS256', 'HS384', 'HS512']) {
      const token = await new SignJWT(claims)
        .setProtectedHeader({ alg, typ: 'at+jwt', ...(kid ? { kid } : {}) })
        .sign(Buffer.from(secret))
      assert.deepEqual(await ask(token), refused, alg)
    }
  }

  const own = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const ownJwk = await exportJWK(own.publicKey)
  for (const extra of [{}, { kid }, { jwk: ownJwk }, { jku: 'http://127.0.0.1:9/keys' }, { x5u: 'http://127.0.0.1:9/cert' }]) {
    const token = await new SignJWT(claims)
      .setProtectedHeader(
        { alg: 'RS256', typ: 'at+jwt', ...(kid ? { kid } : {}), ...extra } as JWTHeaderParameters
      ).sign(own.privateKey)
    assert.deepEqual(await ask(token), refused, JSON.stringify(Object.keys(extra)))
  }

  // an algorithm that is not allowed, with the right key
  const key = createPrivateKey({ key: signingKey as never, format: 'jwk' })
  for (const alg of ['RS384', 'RS512']) {
    const token = await new SignJWT(claims).setProtectedHeader({ alg, typ: 'at+jwt' }).sign(key)
    assert.deepEqual(await ask(token), refused, alg)
  }
})

test('a token with any bit of its claims or signature flipped is refused', async t => {
  const { issuer, ask } = await openSite(t)
  const real = await tokenOf(issuer)
  assert.equal((await ask(real)).status, 200) // so it is cached
  let tried = 0
  for (let at = 0; at < real.length; at += 1 + Math.floor(real.length / 400)) {
    for (const character of ['A', 'z', '-']) {
      if (real[at] === character || real[at] === '.') continue
      if (at === real.length - 1) continue // its last bits are padding
      assert.deepEqual(await ask(real.slice(0, at) + character + real.slice(at + 1)), refused, `at ${at}`)
      tried++
    }
  }
  assert.ok(tried > 500)
  for (const text of [`${real}.`, `${real}x`.slice(1), real.slice(0, -30), real.replaceAll('.', ''), '..', 'a.b.c', 'e30.e30.e30']) {
    assert.deepEqual(await ask(text), refused)
  }
})

test('an issuer can rotate its keys without a restart; tokens of the old ones end soon', async t => {
  const port = String(await getPort({ host: '127.0.0.1' }))
  const first = await startIssuer(readIssuerConfig({ ISSUER_PORT: port }), log)
  t.after(() => first.close())
  const { app } = await openTestApi(t, { OIDC_ISSUER: first.url, ...manyFailures })
  const ask = async (token: string) =>
    (await app.inject({ url: question, headers: { authorization: `Bearer ${token}` } })).statusCode
  const before = await tokenOf(first)
  assert.equal(await ask(before), 200)
  await first.close()

  const second = await startIssuer(readIssuerConfig({ ISSUER_PORT: port }), log) // with new keys
  t.after(() => second.close())
  const after = await tokenOf(second)
  // an unknown key id triggers another fetch of the keys, at most every ten seconds
  await until('the new keys to be known', async () => await ask(after) === 200, 30_000)
})

test('while the issuer is unreachable nobody gets in with its tokens, and clients are told to retry', async t => {
  const issuer = await startIssuer(readIssuerConfig({ ISSUER_PORT: '0' }), log)
  t.after(() => issuer.close())
  const token = await tokenOf(issuer)
  await issuer.close()
  const { app } = await openTestApi(t, { OIDC_ISSUER: issuer.url, API_TOKENS: 'another' })
  const response = await app.inject({ url: question, headers: { authorization: `Bearer ${token}` } })
  assert.deepEqual([response.statusCode, response.json().code], [503, 'RELAY_ISSUER_UNREACHABLE'])
  assert.ok(response.headers['retry-after'])
  assert.ok(!response.body.includes(issuer.url), 'where it is, is nobody\'s business')
  const other = await app.inject({ url: question, headers: { authorization: 'Bearer another' } })
  assert.equal(other.statusCode, 200, 'other credentials work')
})
