import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { fastify } from 'fastify'
import { createLogger } from 'relay-common'

import { until } from '../../test-support/until.ts'
import { createApp } from '../src/app.ts'
import { openLimits } from '../src/auth/limits.ts'
import { readApiConfig } from '../src/config.ts'
import { openTestApi, TOKEN } from './support/ask.ts'

const url = '/api/v1/aggregates?start=-1h'
const authorization = `Bearer ${TOKEN}`

test('a caller that asks too often is told so, and how much is left before', async t => {
  const { app } = await openTestApi(t, { RATE_LIMIT_PRINCIPAL_MAX: '5' })
  for (let left = 4; left >= 0; left--) {
    const { statusCode, headers } = await app.inject({ url, headers: { authorization } })
    assert.equal(statusCode, 200)
    assert.deepEqual([headers['ratelimit-limit'], headers['ratelimit-remaining']].map(Number), [5, left])
  }
  const over = await app.inject({ url, headers: { authorization } })
  assert.deepEqual([over.statusCode, over.json().code], [429, 'RELAY_RATE_LIMITED'])
  assert.ok(Number(over.headers['retry-after']) > 30, 'the rest of the window, not a guess')
})

test('one caller\'s limit is not another\'s', async t => {
  const { app } = await openTestApi(t, { API_TOKENS: 'one,two', RATE_LIMIT_PRINCIPAL_MAX: '2' })
  const ask = async (token: string) => (await app.inject({ url, headers: { authorization: `Bearer ${token}` } })).statusCode
  assert.deepEqual([await ask('one'), await ask('one'), await ask('one'), await ask('two')], [200, 200, 429, 200])
})

test('an address that asks too often is refused before anybody looks at its token', async t => {
  const { app } = await openTestApi(t, { RATE_LIMIT_ADDRESS_MAX: '3' })
  const ask = async (remoteAddress: string) => (await app.inject({ url, remoteAddress })).statusCode
  assert.deepEqual([await ask('10.0.0.1'), await ask('10.0.0.1'), await ask('10.0.0.1'), await ask('10.0.0.1')], [401, 401, 401, 429])
  assert.equal(await ask('10.0.0.2'), 401)
  for (let n = 0; n < 3; n++) assert.equal(await ask(`2001:db8:0:1::${n}`), 401)
  assert.equal(await ask('2001:db8:0:1:ffff::1'), 429, 'one /64 is one address')
})

test('an address whose tokens are not accepted has to wait, whatever it sends then', async t => {
  const { app } = await openTestApi(t, { RATE_LIMIT_FAILED_LOGINS_MAX: '3' })
  const ask = (token: string, remoteAddress: string) => app.inject({ url, remoteAddress, headers: { authorization: `Bearer ${token}` } })
  for (let n = 0; n < 3; n++) assert.equal((await ask(`wrong${n}`, '10.0.0.1')).statusCode, 401)
  const blocked = await ask(TOKEN, '10.0.0.1')
  assert.deepEqual([blocked.statusCode, blocked.json().code], [429, 'RELAY_RATE_LIMITED'])
  assert.ok(Number(blocked.headers['retry-after']) > 30)
  assert.equal((await ask(TOKEN, '10.0.0.2')).statusCode, 200)
})

test('processes that share a database count together', async t => {
  const environment = { RATE_LIMIT_STORE: 'postgres', RATE_LIMIT_PRINCIPAL_MAX: '4', RATE_LIMIT_FAILED_LOGINS_MAX: '2' }
  const { app, database } = await openTestApi(t, environment)
  const config = readApiConfig({ DATABASE_URL: 'postgres://not-used', API_TOKENS: TOKEN, ...environment })
  const other = await createApp(config, database, createLogger('test', 'silent'))
  t.after(() => other.close())
  const ask = async (at: typeof app, token = TOKEN) => (await at.inject({ url, headers: { authorization: `Bearer ${token}` } })).statusCode
  assert.deepEqual([await ask(app), await ask(other), await ask(app), await ask(other), await ask(app), await ask(other)],
    [200, 200, 200, 200, 429, 429])
  await database.query("update rate_limits set window_end = now() - interval '1 s'")
  assert.equal(await ask(other), 200, 'a new window')
  assert.deepEqual([await ask(app, 'wrong'), await ask(other, 'wrong'), await ask(app, 'wrong'), await ask(other)], [401, 401, 429, 429])
})

test('behind a proxy that is trusted, the client\'s address counts; from others the header is not believed', async t => {
  const { app } = await openTestApi(t, { RATE_LIMIT_ADDRESS_MAX: '1', TRUST_PROXY: '10.1.0.0/16' })
  const ask = async (remoteAddress: string, forwarded: string) =>
    (await app.inject({ url, remoteAddress, headers: { 'x-forwarded-for': forwarded } })).statusCode
  assert.deepEqual([await ask('10.1.0.1', '192.0.2.1'), await ask('10.1.0.2', '192.0.2.1'), await ask('10.1.0.1', '192.0.2.2')], [401, 429, 401])
  assert.deepEqual([await ask('10.2.0.1', '192.0.2.3'), await ask('10.2.0.1', '192.0.2.4')], [401, 429])
})

test('a flood of addresses does not grow memory without bound', async t => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const app = fastify()
  t.after(() => app.close())
  const limits = await openLimits(app, {
    perAddressMax: 2, perPrincipalMax: 2, failedLoginsMax: 2, windowMs: 60_000, callersKeptMax: 500
  })
  app.addHook('onRequest', limits.byAddress)
  app.get('/', async request => { await limits.failedLogins.add(request) })
  const flood = async (from: number) => {
    for (let n = from; n < from + 10_000; n++) {
      const remoteAddress = `10.${n >> 16 & 255}.${n >> 8 & 255}.${n & 255}`
      assert.equal((await app.inject({ url: '/', remoteAddress })).statusCode, 200)
    }
  }
  const heapBytes = () => {
    collect()
    return process.memoryUsage().heapUsed
  }
  await flood(0) // by now as many as may be are kept
  const before = heapBytes()
  await flood(10_000)
  await until(() => `${Math.round((heapBytes() - before) / 1024)} KB more to go`,
    () => heapBytes() - before < 2 * 1024 * 1024, 10_000)
})
