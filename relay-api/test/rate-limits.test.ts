import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { fastify } from 'fastify'
import { createApiKey, createApiKeyParts, formatApiKey } from 'relay-access'
import { createLogger } from 'relay-common'

import { until } from 'relay-test-support/until.ts'
import { createApp } from '../src/app.ts'
import { createRefusalLog } from '../src/auth/refusal-log.ts'
import { openLimits } from '../src/auth/rate-limits.ts'
import { readApiConfig } from '../src/config.ts'
import { openTestApi, TOKEN } from './support/ask.ts'

const url = '/api/v1/aggregates?start=-1h'
const authorization = `Bearer ${TOKEN}`

test('a caller with too many requests is told so, with the rest of its limit before', async t => {
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

test('callers have separate limits', async t => {
  const { app } = await openTestApi(t, { API_TOKENS: 'one,two', RATE_LIMIT_PRINCIPAL_MAX: '2' })
  const ask = async (token: string) => (await app.inject({
    url, headers: { authorization: `Bearer ${token}` }
  })).statusCode
  assert.deepEqual([await ask('one'), await ask('one'), await ask('one'), await ask('two')], [200, 200, 429, 200])
})

test('an address with too many unknown tokens must wait; known callers need not', async t => {
  const { app } = await openTestApi(t, { RATE_LIMIT_ADDRESS_MAX: '3' })
  const ask = async (remoteAddress: string, headers: Record<string, string> = {}) => await app.inject({
    url, remoteAddress, headers
  })
  const statuses = async (count: number, address: string) => {
    const answered: number[] = []
    for (let n = 0; n < count; n++) answered.push((await ask(address)).statusCode)
    return answered
  }
  assert.deepEqual(await statuses(4, '10.0.0.1'), [401, 401, 401, 429])
  const over = await ask('10.0.0.1')
  assert.ok(Number(over.headers['retry-after']) > 30, 'the rest of the window, not a guess')
  for (let n = 0; n < 10; n++) assert.equal((await ask('10.0.0.1', { authorization })).statusCode, 200)
  assert.equal((await ask('10.0.0.2')).statusCode, 401)
  for (let n = 0; n < 3; n++) assert.equal((await ask(`2001:db8:0:1::${n}`)).statusCode, 401)
  assert.equal((await ask('2001:db8:0:1:ffff::1')).statusCode, 429, 'one /64 is one address')
  assert.equal((await ask('2001:db8:0:2::1')).statusCode, 401)
  assert.deepEqual(await statuses(1, '::ffff:10.0.0.1'), [429], 'written in another way it is the same address')
})

test('invalid tokens of an address keep out no valid one, seen before or not', async t => {
  const { app, database } = await openTestApi(t, { API_TOKENS: `${TOKEN},short`, RATE_LIMIT_FAILED_LOGINS_MAX: '3' })
  const ask = (token: string, remoteAddress = '10.0.0.1') => app.inject({
    url, remoteAddress, headers: { authorization: `Bearer ${token}` }
  })
  const keyOf = async (name: string) => (await createApiKey(database,
    { environment: 'local', name, scopes: ['events:read'], grants: {}, expiresAtMs: undefined }, {
      principal: 'test'
    })).key
  const [before, later] = [await keyOf('before'), await keyOf('later')]
  assert.equal((await ask(before)).statusCode, 200)
  for (let n = 0; n < 3; n++) assert.equal((await ask(`wrong${n}`)).statusCode, 401)
  const blocked = await ask('wrong')
  assert.deepEqual([blocked.statusCode, blocked.json().code], [429, 'RELAY_RATE_LIMITED'])
  assert.ok(Number(blocked.headers['retry-after']) > 30)
  for (const token of [before, later, TOKEN]) assert.equal((await ask(token)).statusCode, 200)
  assert.equal((await ask('short')).statusCode, 429, 'one that could be guessed')
  assert.equal((await ask('short', '10.0.0.2')).statusCode, 200)
  assert.equal((await ask('short')).statusCode, 200, 'it is known now')
})

test('a flood of invalid keys needs few statements, and a valid one gets in meanwhile', async t => {
  const { app, database } = await openTestApi(t, { RATE_LIMIT_FAILED_LOGINS_MAX: '3' })
  const { key } = await createApiKey(database,
    {
      environment: 'local', name: 'k', scopes: ['events:read'], grants: {}, expiresAtMs: undefined
    }, { principal: 'test' })
  const ask = (token: string) => app.inject({
    url: '/api/v1/keys', remoteAddress: '10.0.0.1', headers: { authorization: `Bearer ${token}` }
  })
  let statements = 0
  const { queryPrepared } = database
  database.queryPrepared = ((name: string, ...rest: [string, unknown[]]) => {
    if (name === 'find api keys') statements++
    return queryPrepared.call(database, name, ...rest)
  }) as typeof queryPrepared
  t.after(() => { database.queryPrepared = queryPrepared })
  const flood = Array.from({ length: 2_000 }, () => formatApiKey(createApiKeyParts('local')))
  const answers = await Promise.all([...flood.slice(0, 1_000), key, ...flood.slice(1_000)].map(ask))
  assert.equal(answers[1_000].statusCode, 403, 'it is known, and only its scope is not enough')
  assert.ok(answers.filter(it => it.statusCode === 401).length <= 2_000)
  assert.ok(statements <= 200, `${statements} statements for 2,001 keys`)
})

test('an unknown caller causes a bounded number of statements if processes count together', async t => {
  const { app, database } = await openTestApi(
    t, { RATE_LIMIT_STORE: 'postgres', RATE_LIMIT_FAILED_LOGINS_MAX: '1000000', RATE_LIMIT_ADDRESS_MAX: '1000000' }
  )
  let statements = 0
  const { queryPrepared } = database
  database.queryPrepared = ((...args: Parameters<typeof queryPrepared>) => {
    statements++
    return queryPrepared.apply(database, args)
  }) as typeof queryPrepared
  t.after(() => { database.queryPrepared = queryPrepared })
  const startedMs = performance.now()
  await Promise.all(Array.from({ length: 2_000 }, (_, n) =>
    app.inject({ url, remoteAddress: `10.1.${n >> 8}.${n & 255}`, headers: { authorization: 'Bearer wrong' } })))
  const seconds = Math.ceil((performance.now() - startedMs) / 1000) + 1
  assert.ok(statements <= seconds * 50, `${statements} statements in ${seconds} s`)
})

test('an address without known callers can\'t fill the log', () => {
  const lines: Array<Record<string, unknown>> = []
  let nowMs = 0
  const logRefusal = createRefusalLog(
    { warn: (line: object) => { lines.push(line as Record<string, unknown>) } } as never, () => nowMs
  )
  for (let n = 0; n < 3_000; n++, nowMs += 20) logRefusal({ act: 'blocked', reason: 'r', address: '10.0.0.1' })
  assert.equal(lines.length, 60)
  logRefusal({ act: 'blocked', reason: 'r', address: '10.0.0.2' })
  assert.equal(lines.at(-1)!.leftOut, 2_940)
  for (let n = 0; n < 10_000; n++) logRefusal({ act: 'blocked', reason: 'r', address: `10.1.0.${n}` })
  assert.ok(lines.length <= 61 + 50, 'many addresses together')
})

test('processes that share a database count together', async t => {
  const environment = { RATE_LIMIT_STORE: 'postgres', RATE_LIMIT_PRINCIPAL_MAX: '4', RATE_LIMIT_FAILED_LOGINS_MAX: '2' }
  const { app, database } = await openTestApi(t, environment)
  const config = readApiConfig({ DATABASE_URL: 'postgres://not-used', API_TOKENS: TOKEN, ...environment })
  const other = await createApp(config, database, createLogger('test', 'silent'))
  t.after(() => other.close())
  const ask = async (at: typeof app, token = TOKEN) => (await at.inject({
    url, headers: { authorization: `Bearer ${token}` }
  })).statusCode
  assert.deepEqual([
    await ask(app), await ask(other), await ask(app), await ask(other), await ask(app), await ask(other)
  ],
  [200, 200, 200, 200, 429, 429])
  await database.query("update rate_limits set window_end = now() - interval '1 s'")
  assert.equal(await ask(other), 200, 'a new window')
  assert.deepEqual([
    await ask(app, 'wrong'), await ask(other, 'wrong'), await ask(app, 'wrong'), await ask(other)
  ], [401, 401, 429, 200])
})

test('a database clock that was set back refuses nobody for longer than two windows', async t => {
  const environment = { RATE_LIMIT_STORE: 'postgres', RATE_LIMIT_PRINCIPAL_MAX: '1', RATE_LIMIT_FAILED_LOGINS_MAX: '1' }
  const { app, database } = await openTestApi(t, environment)
  const ask = async (token = TOKEN) => (await app.inject({ url, headers: { authorization: `Bearer ${token}` } })).statusCode
  assert.deepEqual([await ask(), await ask(), await ask('wrong'), await ask('wrong')], [200, 429, 401, 429])

  // another process starts, with no counts of its own, on a database whose clock is an hour behind
  await database.query("update rate_limits set window_end = window_end + interval '1 hour'")
  const config = readApiConfig({ DATABASE_URL: 'postgres://not-used', API_TOKENS: TOKEN, ...environment })
  const other = await createApp(config, database, createLogger('test', 'silent'))
  t.after(() => other.close())
  const askOther = async (token: string) =>
    (await other.inject({ url, headers: { authorization: `Bearer ${token}` } })).statusCode
  assert.deepEqual([await askOther(TOKEN), await askOther('wrong')], [200, 401])
})

test('behind a trusted proxy the client\'s address counts; from others the header is ignored', async t => {
  const { app } = await openTestApi(t, { RATE_LIMIT_ADDRESS_MAX: '1', TRUST_PROXY: '10.1.0.0/16' })
  const ask = async (remoteAddress: string, forwarded: string) =>
    (await app.inject({ url, remoteAddress, headers: { 'x-forwarded-for': forwarded } })).statusCode
  assert.deepEqual([
    await ask('10.1.0.1', '192.0.2.1'), await ask('10.1.0.2', '192.0.2.1'), await ask('10.1.0.1', '192.0.2.2')
  ], [401, 429, 401])
  assert.deepEqual([await ask('10.2.0.1', '192.0.2.3'), await ask('10.2.0.1', '192.0.2.4')], [401, 429])
})

test('a flood of addresses does not grow memory without limit', async t => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const app = fastify()
  t.after(() => app.close())
  const { strangers } = openLimits({
    strangersMax: 2, perPrincipalMax: 2, failedLoginsMax: 2, windowMs: 60_000, callersKeptMax: 500
  })
  app.get('/', async request => {
    strangers.ask(request.ip)
    await strangers.fail(request.ip)
  })
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
  await flood(0) // by now the maximum is stored
  const before = heapBytes()
  await flood(10_000)
  await until(() => `${Math.round((heapBytes() - before) / 1024)} KB more to go`,
    () => heapBytes() - before < 2 * 1024 * 1024, 10_000)
})
