import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'

import type { FastifyInstance, InjectOptions } from 'fastify'
import { createLogger } from 'relay-common'

import { until } from 'relay-test-support/until.ts'
import { createApp } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { openTestApi, TOKEN } from './support/ask.ts'

interface Answer {
  readonly status: number
  readonly body: any
}

const question = '/api/v1/aggregates?start=-1h'

function asker (app: FastifyInstance) {
  return async (method: InjectOptions['method'], url: string, token: string, payload?: object): Promise<Answer> => {
    const response = await app.inject({
      method, url, headers: { authorization: `Bearer ${token}` }, ...(payload ? { payload } : {})
    })
    return { status: response.statusCode, body: response.body === '' ? undefined : response.json() }
  }
}

async function openApi (t: TestContext, environment: Record<string, string> = {}) {
  const { app, database } = await openTestApi(t, environment)
  return { app, database, ask: asker(app) }
}

test('a key allows what its scopes say, and nothing else', async t => {
  const { ask } = await openApi(t)
  const made = await ask('POST', '/api/v1/keys', TOKEN, { name: 'a dashboard', scopes: ['events:read'] })
  assert.equal(made.status, 201)
  assert.match(made.body.key, /^relay_local_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/)
  const { key } = made.body

  assert.equal((await ask('GET', question, key)).status, 200)
  for (const [method, url, payload] of [
    ['POST', '/api/v1/keys', { name: 'more', scopes: ['admin'] }], ['GET', '/api/v1/keys', undefined],
    ['DELETE', `/api/v1/keys/${made.body.id}`, undefined], ['POST', `/api/v1/keys/${made.body.id}/rotate`, {}]
  ] as const) {
    const { status, body } = await ask(method, url, key, payload)
    assert.deepEqual([status, body.code], [403, 'RELAY_FORBIDDEN'], `${method} ${url}`)
  }
})

test('a key can be rotated: both secrets work for a while, then only the new one', async t => {
  const { ask, database } = await openApi(t)
  const { body: { id, key } } = await ask('POST', '/api/v1/keys', TOKEN, { name: 'k', scopes: ['events:read'] })
  const rotated = await ask('POST', `/api/v1/keys/${id}/rotate`, TOKEN, { overlapSeconds: 60 })
  assert.equal(rotated.status, 200)
  assert.notEqual(rotated.body.key, key)
  await until(
    'the new secret to work', async () => (await ask('GET', question, rotated.body.key)).status === 200, 5_000
  )
  assert.equal((await ask('GET', question, key)).status, 200)

  await database.query("update api_keys set former_secret_until = now() - interval '1 s'")
  await until('the former secret to be dead', async () => (await ask('GET', question, key)).status === 401, 5_000)
  assert.equal((await ask('GET', question, rotated.body.key)).status, 200)

  const without = await ask('POST', `/api/v1/keys/${id}/rotate`, TOKEN, { overlapSeconds: 0 })
  await until(
    'the former secret to be dead', async () => (await ask('GET', question, rotated.body.key)).status === 401, 5_000
  )
  assert.equal((await ask('GET', question, without.body.key)).status, 200)
})

test('a revoked key is refused by every process within five seconds', async t => {
  const { ask, database } = await openApi(t)
  const elsewhere = await createApp(
    readApiConfig({ DATABASE_URL: 'postgres://not-used', API_TOKENS: TOKEN }), database, createLogger('test', 'silent'))
  t.after(() => elsewhere.close())
  const askElsewhere = asker(elsewhere)
  const { body: { id, key } } = await ask('POST', '/api/v1/keys', TOKEN, { name: 'k', scopes: ['events:read'] })
  assert.equal((await ask('GET', question, key)).status, 200)
  assert.equal((await askElsewhere('GET', question, key)).status, 200)

  assert.equal((await ask('DELETE', `/api/v1/keys/${id}`, TOKEN)).status, 204)
  await until(
    'the key to be dead elsewhere', async () => (await askElsewhere('GET', question, key)).status === 401, 5_000
  )
  await until('the key to be dead here', async () => (await ask('GET', question, key)).status === 401, 5_000)
  assert.equal((await ask('POST', `/api/v1/keys/${id}/rotate`, TOKEN, {})).body.code, 'RELAY_API_KEY_UNKNOWN')
})

test('a key ends when it expires, and its expiry must be in the future', async t => {
  const { ask, database } = await openApi(t)
  for (const expiresAt of ['2020-01-01T00:00:00Z', 'tomorrow', '9999-01-01T00:00:00Z']) {
    const { status, body } = await ask('POST', '/api/v1/keys', TOKEN, { name: 'k', scopes: ['events:read'], expiresAt })
    assert.deepEqual([status, body.parameter], [400, 'expiresAt'])
  }
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
  const { body } = await ask('POST', '/api/v1/keys', TOKEN, { name: 'k', scopes: ['events:read'], expiresAt })
  assert.equal(body.expiresAt, expiresAt)
  assert.equal((await ask('GET', question, body.key)).status, 200)
  await database.query("update api_keys set expires_at = now() - interval '1 s'")
  await until('the key to be over', async () => (await ask('GET', question, body.key)).status === 401, 5_000)
})

test('nobody can create a key with more rights than their own', async t => {
  const { ask } = await openApi(t)
  const grants = { zones: ['Zone A', 'Zone B'], devicePrefixes: ['thermostat-'] }
  const { body: { key } } = await ask('POST', '/api/v1/keys', TOKEN,
    { name: 'an administrator of two zones', scopes: ['events:read', 'admin'], ...grants })
  const wanted = { name: 'k', scopes: ['events:read'], ...grants }
  const cases: Array<[object, number]> = [
    [wanted, 201],
    [{ ...wanted, zones: ['Zone A'], devicePrefixes: ['thermostat-0'] }, 201],
    [{ ...wanted, zones: ['Zone C'] }, 403],
    [{ ...wanted, zones: undefined }, 403],
    [{ ...wanted, devicePrefixes: ['thermo'] }, 403],
    [{ ...wanted, devicePrefixes: undefined }, 403],
    [{ ...wanted, scopes: ['events:write'] }, 403]
  ]
  for (const [payload, status] of cases) {
    assert.equal((await ask('POST', '/api/v1/keys', key, payload)).status, status, JSON.stringify(payload))
  }

  const { body: other } = await ask('POST', '/api/v1/keys', TOKEN, { name: 'of all zones', scopes: ['events:read'] })
  assert.equal((await ask('DELETE', `/api/v1/keys/${other.id}`, key)).status, 403)
  assert.equal((await ask('POST', `/api/v1/keys/${other.id}/rotate`, key, {})).status, 403)
  const { body: { keys } } = await ask('GET', '/api/v1/keys', key)
  assert.ok(!keys.some((it: { id: string }) => it.id === other.id))
})

test('the request is checked, and the answer names the fault', async t => {
  const { ask } = await openApi(t)
  const good = { name: 'k', scopes: ['events:read'] }
  const cases: Array<[payload: object, parameter: string]> = [
    [{ scopes: ['events:read'] }, 'name'], [{ name: 'k' }, 'scopes'], [{ ...good, name: '' }, 'name'],
    [{ ...good, name: 'x'.repeat(101) }, 'name'], [{ ...good, scopes: [] }, 'scopes'],
    [{ ...good, scopes: ['all'] }, 'scopes'],
    [{ ...good, zones: [''] }, 'zones'], [{ ...good, devicePrefixes: ['a\u0000'] }, 'devicePrefixes']
  ]
  for (const [payload, parameter] of cases) {
    const { status, body } = await ask('POST', '/api/v1/keys', TOKEN, payload)
    assert.deepEqual([status, body.parameter], [400, parameter], JSON.stringify(payload).slice(0, 80))
  }
  for (const id of ['nothing', 'a'.repeat(12)]) {
    assert.equal((await ask('DELETE', `/api/v1/keys/${id}`, TOKEN)).body.code, 'RELAY_API_KEY_UNKNOWN')
    assert.equal((await ask('POST', `/api/v1/keys/${id}/rotate`, TOKEN, {})).body.code, 'RELAY_API_KEY_UNKNOWN')
  }
  assert.equal((await ask('DELETE', '/api/v1/keys/a%20b', TOKEN)).status, 400)
})

test('only a hash is stored, lists contain no secret, and every action is in the audit log', async t => {
  const { ask, database } = await openApi(t)
  const { body: { id, key } } = await ask('POST', '/api/v1/keys', TOKEN, { name: 'k', scopes: ['events:read'] })
  const { body: rotated } = await ask('POST', `/api/v1/keys/${id}/rotate`, TOKEN, {})
  await ask('DELETE', `/api/v1/keys/${id}`, TOKEN)

  const secrets = [key, rotated.key].map(it => it.split('_')[3].slice(0, 43))
  const tables = await database.query('select k::text, a::text from api_keys k, audit_log a')
  const list = await ask('GET', '/api/v1/keys', TOKEN)
  for (const secret of secrets) {
    assert.ok(!JSON.stringify(tables).includes(secret))
    assert.ok(!JSON.stringify(list.body).includes(secret))
  }
  const acts = await database.query<{
    act: string, target: string, principal: string, address: string, request_id: string
  }>(
    'select * from audit_log order by audit_id')
  assert.deepEqual(acts.map(it => [it.act, it.target]),
    [['api-key.create', id], ['api-key.rotate', id], ['api-key.revoke', id]])
  for (const act of acts) {
    assert.match(act.principal, /^token:[0-9a-f]{8}$/)
    assert.equal(act.address, '127.0.0.1')
    assert.match(act.request_id, /^[0-9a-f-]{36}$/)
  }
})

test('the time of last use is stored', async t => {
  const { app, ask, database } = await openApi(t)
  const { body: { key } } = await ask('POST', '/api/v1/keys', TOKEN, { name: 'k', scopes: ['events:read'] })
  await ask('GET', question, key)
  await app.close() // stores pending times of last use
  const [{ last_used_at: lastUsedAt }] = await database.query<{ last_used_at: number }>(
    'select last_used_at from api_keys'
  )
  assert.ok(Math.abs(lastUsedAt - Date.now()) < 120_000)
})

test('a key with a typo is refused without a database look-up', async t => {
  const { ask, database } = await openApi(t, { RATE_LIMIT_FAILED_LOGINS_MAX: '100000' })
  const { body: { key } } = await ask('POST', '/api/v1/keys', TOKEN, { name: 'k', scopes: ['events:read'] })
  await database.query('alter table api_keys rename to gone') // a look-up fails with 500
  let refused = 0
  for (let at = 'relay_'.length; at < key.length; at++) {
    for (const character of ['0', 'Z', 'a', '_']) {
      if (key[at] === character) continue
      const { status, body } = await ask('GET', question, key.slice(0, at) + character + key.slice(at + 1))
      assert.deepEqual([status, body.code], [401, 'RELAY_UNAUTHORIZED'])
      refused++
    }
  }
  assert.ok(refused > 200)
})

test('a misspelled restriction, or one of another type, creates no key, and the answer names it', async t => {
  const { ask, database } = await openApi(t)
  const good = { name: 'k', scopes: ['events:read'] }
  const cases: Array<[payload: object, code: string, parameter: string, said: RegExp]> = [
    [{ ...good, zone: ['Zone A'] }, 'RELAY_PARAMETER_UNKNOWN', 'zone', /did you mean zones\?/],
    [{ ...good, Zones: ['Zone A'] }, 'RELAY_PARAMETER_UNKNOWN', 'Zones', /did you mean zones\?/],
    [
      { ...good, expires_at: '2030-01-01T00:00:00Z' }, 'RELAY_PARAMETER_UNKNOWN', 'expires_at',
      /did you mean expiresAt\?/
    ],
    [
      { ...good, device_prefixes: ['a'] }, 'RELAY_PARAMETER_UNKNOWN', 'device_prefixes', /did you mean devicePrefixes\?/
    ],
    [{ ...good, grants: { zones: ['Zone A'] } }, 'RELAY_PARAMETER_UNKNOWN', 'grants', /known are name, scopes, zones/],
    [{ ...good, ['x'.repeat(10_000)]: 1 }, 'RELAY_PARAMETER_UNKNOWN', 'x'.repeat(64), /known are name/],
    [{ ...good, zones: 'Zone A' }, 'RELAY_PARAMETER_INVALID', 'zones', /array/],
    [{ ...good, zones: null }, 'RELAY_PARAMETER_INVALID', 'zones', /array/],
    [{ ...good, zones: { 0: 'Zone A' } }, 'RELAY_PARAMETER_INVALID', 'zones', /array/],
    [{ ...good, zones: [7] }, 'RELAY_PARAMETER_INVALID', 'zones', /item 0 of zones/],
    [{ ...good, zones: [' '] }, 'RELAY_PARAMETER_INVALID', 'zones', /invalid zone name/],
    [{ ...good, devicePrefixes: [''] }, 'RELAY_PARAMETER_INVALID', 'devicePrefixes', /must not be empty/],
    [{ ...good, devicePrefixes: 'a' }, 'RELAY_PARAMETER_INVALID', 'devicePrefixes', /array/],
    [{ ...good, name: 7 }, 'RELAY_PARAMETER_INVALID', 'name', /string/],
    [{ ...good, name: null }, 'RELAY_PARAMETER_INVALID', 'name', /string/],
    [{ ...good, scopes: 'events:read' }, 'RELAY_PARAMETER_INVALID', 'scopes', /array/],
    [{ ...good, expiresAt: null }, 'RELAY_PARAMETER_INVALID', 'expiresAt', /string/],
    [{ ...good, expiresAt: 4_102_444_800_000 }, 'RELAY_PARAMETER_INVALID', 'expiresAt', /string/]
  ]
  for (const [payload, code, parameter, said] of cases) {
    const { status, body } = await ask('POST', '/api/v1/keys', TOKEN, payload)
    assert.deepEqual([status, body.code, body.parameter], [400, code, parameter], JSON.stringify(payload).slice(0, 80))
    assert.match(body.detail, said)
  }
  const { body: { id } } = await ask('POST', '/api/v1/keys', TOKEN, good)
  for (const [payload, parameter] of [
    [{ overlap: 0 }, 'overlap'], [{ overlapSeconds: '0' }, 'overlapSeconds'],
    [{ overlapSeconds: null }, 'overlapSeconds']
  ] as const) {
    const { status, body } = await ask('POST', `/api/v1/keys/${id}/rotate`, TOKEN, payload)
    assert.deepEqual([status, body.parameter], [400, parameter])
  }
  const [{ n }] = await database.query<{ n: number }>('select count(*)::int as n from api_keys')
  assert.equal(n, 1)
})

test('a duplicate name in a body creates no key, because one of two restrictions would be lost', async t => {
  const { app, database } = await openApi(t)
  const post = async (path: string, payload: string) => await app.inject({
    method: 'POST',
    url: path,
    payload,
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
  })
  for (const more of [
    '"zones":["a"],"zones":["b"]', '"zones":["a"],"z\\u006fnes":["b"]', '"zones":["a"] , "zones":["a"]',
    '"devicePrefixes":["a"],"devicePrefixes":["b"]',
    '"expiresAt":"2030-01-01T00:00:00Z","expiresAt":"2031-01-01T00:00:00Z"', '"name":"l"', '"scopes":["admin"]'
  ]) {
    const { statusCode, body } = await post('/api/v1/keys', `{"name":"k","scopes":["events:read"],${more}}`)
    assert.equal(statusCode, 400, more)
    assert.match(JSON.parse(body).detail, /duplicate name/)
  }
  const { statusCode, body } = await post(
    '/api/v1/keys', '{"name":"a:\\":","scopes":["events:read"],"zones":[":","{\\"a\\":1}"]}'
  )
  assert.equal(statusCode, 201, body)
  const { id } = JSON.parse(body)
  assert.equal((await post(`/api/v1/keys/${id}/rotate`, '{"overlapSeconds":60,"overlapSeconds":0}')).statusCode, 400)
  const [{ n }] = await database.query<{ n: number }>('select count(*)::int as n from api_keys')
  assert.equal(n, 1)
})

test('a key is rotated and revoked without a body, or with an empty one of any type', async t => {
  const { app, ask } = await openApi(t)
  const { body: { id, key } } = await ask('POST', '/api/v1/keys', TOKEN, { name: 'k', scopes: ['events:read'] })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const send = (headers: Record<string, string>, body?: string | ReadableStream, method = 'POST') =>
    fetch(`http://127.0.0.1:${port}/api/v1/keys/${id}${method === 'POST' ? '/rotate' : ''}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, ...headers },
      body,
      ...body instanceof ReadableStream ? { duplex: 'half' } : {}
    } as RequestInit)
  const nothing = () => new ReadableStream({ start: it => it.close() })
  for (const [headers, body] of [
    [{}, undefined], [{ 'content-type': 'application/json' }, undefined], [{ 'content-type': 'application/json' }, ''],
    [{ 'content-type': 'application/x-www-form-urlencoded' }, ''], [{ 'content-type': 'application/json' }, nothing()],
    [{}, nothing()], [{ 'content-type': 'application/json' }, '{}'], [{ 'content-type': 'application/json' }, 'null'],
    [{ 'content-type': 'application/json; charset=utf-8' }, '{"overlapSeconds":3600}']
  ] as Array<[Record<string, string>, string | ReadableStream | undefined]>) {
    const response = await send(headers, body)
    const rotated = await response.json() as Record<string, string>
    assert.equal(response.status, 200, `${JSON.stringify([headers, typeof body])}: ${JSON.stringify(rotated)}`)
    assert.notEqual(rotated.key, key)
    assert.ok(Date.parse(rotated.formerSecretUntil) > Date.now(), 'the former secret works for the usual time')
  }
  assert.equal((await send({ 'content-type': 'application/json' }, '[]')).status, 400)
  assert.equal((await send({ 'content-type': 'application/json' }, '{')).status, 400)
  assert.equal((await send({ 'content-type': 'text/plain' }, 'a')).status, 415)
  for (const type of ['application/json', 'application/x-www-form-urlencoded']) {
    assert.equal((await send({ 'content-type': type }, undefined, 'DELETE')).status, 204, type)
  }
  assert.equal((await send({}, undefined, 'DELETE')).status, 204)
})
