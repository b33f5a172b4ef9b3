/**
 * Requests that must be refused: every route for everybody without permission, and payloads aimed at databases, file
 * systems, logs and spreadsheets in every parameter. The requests are derived from the OpenAPI document, so new routes
 * are included.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import type { InjectOptions } from 'fastify'
import { createApiKey, type Grants, type Scope } from 'relay-access'

import { openTestApi, TOKEN } from './support/ask.ts'
import { writeEvents, type PlacedEvent } from './support/write-events.ts'

const zones = ['Zone A', 'Zone B', 'Zone C']
const range = { start: '2024-01-01T00:00:00Z', end: '2024-01-02T00:00:00Z' }
const noLimits = {
  RATE_LIMIT_PRINCIPAL_MAX: '1000000', RATE_LIMIT_ADDRESS_MAX: '1000000', RATE_LIMIT_FAILED_LOGINS_MAX: '1000000'
}
const events: PlacedEvent[] = [...zones, '=1+1'].map((zone, n) => ({
  deviceId: `=cmd${n}`,
  deviceType: 'THERMOSTAT',
  zone,
  value: n,
  timestampMs: Date.parse(range.start) + 1000,
  sourcePartition: 0
}))

interface Operation {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly scope: Scope
  /** names of text parameters */
  readonly query: readonly string[]
  readonly path_: readonly string[]
}

async function openSite (t: TestContext) {
  const { app, database } = await openTestApi(t, noLimits)
  await writeEvents(database, events)
  await app.ready()
  const document = app.swagger() as {
    paths: Record<string, Record<string, { parameters?: Array<{ in: string, name: string, schema: any }> }>>
  }
  const operations: Operation[] = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [] }]) => ({
      method: method.toUpperCase() as Operation['method'],
      path,
      scope: /^\/api\/v1\/(keys|operations|dead-letters)/.test(path) ? 'admin' : method === 'get' ? 'events:read' : 'events:write',
      query: parameters.filter(it => it.in === 'query').map(it => it.name),
      path_: parameters.filter(it => it.in === 'path').map(it => it.name)
    } as const)))
    .filter(it => it.path !== '/api/v1/stream') // endless if allowed; tested below
  const ask = async (
    operation: Pick<Operation, 'method' | 'path'>, token: string | undefined, values: Record<string, string> = {}
  ) => {
    const url = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? 'x'))
    const query = Object.entries(values).filter(([name]) => !operation.path.includes(`{${name}}`))
    const options: InjectOptions = {
      method: operation.method,
      url: `${url}?${new URLSearchParams(query)}`,
      headers: {
        ...token === undefined ? {} : { authorization: `Bearer ${token}` },
        ...operation.method === 'POST' ? { 'content-type': 'application/json' } : {}
      },
      ...operation.method === 'POST' ? { payload: '{}' } : {}
    }
    const { statusCode, body, headers } = await app.inject(options)
    assert.ok(statusCode < 500 || statusCode === 503, `${operation.method} ${options.url}: ${statusCode} ${body}`)
    return { status: statusCode, body, headers }
  }
  const keyOf = async (scopes: Scope[], grants: Grants = {}) => (await createApiKey(database,
    { environment: 'local', name: 'k', scopes, grants, expiresAtMs: undefined }, { principal: 'test' })).key
  return { database, operations, ask, keyOf }
}

test('no route answers a caller without permission', async t => {
  const { operations, ask, keyOf } = await openSite(t)
  assert.ok(operations.length >= 15, `${operations.length} operations`)
  const key = await keyOf(['events:read'])
  const strangers = [
    undefined, '', 'x', TOKEN.slice(1), `${TOKEN}x`, TOKEN.toUpperCase(), key.slice(0, -1), `${key}x`,
    key.replace('local', 'other'),
    key.replace('relay_', ''), 'null', 'undefined', 'true', '[object Object]', "' or '1'='1", '*', '%00',
    'eyJhbGciOiJub25lIn0.e30.'
  ]
  const principals: Array<[key: string, scopes: Scope[]]> = []
  for (const scopes of [
    [], ['events:read'], ['events:write'], ['admin'], ['events:read', 'events:write'], ['events:read', 'admin']
  ] as Scope[][]) {
    principals.push([await keyOf(scopes), scopes])
  }
  let refused = 0
  for (const operation of operations) {
    const everyParameter = [...operation.query, ...operation.path_]
    for (const zone of [undefined, ...zones]) {
      const values: Record<string, string> = zone !== undefined && everyParameter.includes('zone') ? { zone } : {}
      for (const token of strangers) {
        assert.equal(
          (await ask(operation, token, values)).status, 401,
          `${operation.method} ${operation.path} for ${String(token)}`
        )
        refused++
      }
      for (const [token, scopes] of principals) {
        const { status } = await ask(operation, token, values)
        const isAllowed = scopes.includes(operation.scope)
        assert.equal(
          status === 403, !isAllowed, `${operation.method} ${operation.path} for ${scopes.join()}: ${status}`
        )
        if (!isAllowed) refused++
      }
    }
  }
  assert.equal((await ask({ method: 'GET', path: '/api/v1/stream' }, await keyOf(['events:write']))).status, 403)
  t.diagnostic(`${refused} hostile requests refused: routes x callers x zones`)
  assert.ok(refused > 1_200)
})

test('a zone without a grant is refused by name on every route with zones', async t => {
  const { operations, ask, keyOf } = await openSite(t)
  const key = await keyOf(['events:read', 'events:write', 'admin'], { zones: ['Zone A'] })
  let refused = 0
  for (const operation of operations.filter(it =>
    it.scope === 'events:read' && [...it.query, ...it.path_].includes('zone'))) {
    const others: Record<string, string> = operation.path.startsWith('/api/v1')
      ? {}
      : { startTime: range.start, endTime: range.end }
    const required: Record<string, string> = operation.path_.includes('deviceType') ? { deviceType: 'THERMOSTAT' } : {}
    for (const zone of ['Zone B', 'Zone C', 'zone a', 'Zone A ', 'Zone%20A', 'nothing']) {
      const { status, body } = await ask(operation, key, { ...others, ...required, zone })
      assert.equal(status, 403, `${operation.path} ${zone}: ${body}`)
      refused++
    }
  }
  t.diagnostic(`${refused} hostile requests refused: zones without a grant`)
  assert.ok(refused >= 40, `${refused}`)
})

test('an API key with any flipped bit is refused', async t => {
  const { ask, keyOf } = await openSite(t)
  const key = await keyOf(['events:read', 'events:write', 'admin'])
  const question = { method: 'GET', path: '/api/v1/zones' } as const
  assert.equal((await ask(question, key)).status, 200) // so it is cached
  let refused = 0
  for (let at = 0; at < key.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const flipped = String.fromCharCode(key.charCodeAt(at) ^ (1 << bit))
      const { status } = await ask(question, key.slice(0, at) + flipped + key.slice(at + 1))
      assert.equal(status, 401, `bit ${bit} of character ${at}`)
      refused++
    }
  }
  t.diagnostic(`${refused} hostile requests refused: bits of an API key`)
  assert.ok(refused > 500)
})

/** Written for this test; each would have an effect if text were pasted into a statement, path, template or shell. */
const payloads = [
  "'", '"', '`', "';--", "' or 1=1 --", "') or ('1'='1", "'; drop table series; --",
  "' union select secret_hash from api_keys --",
  '1; select pg_sleep(10)', '$$; drop table series; $$', "\\'; drop table series; --",
  "' || pg_read_file('/etc/passwd') || '",
  '%27%20or%201%3D1', '{zone}', '$1', '$2::text', '::text', "x' and 1=(select count(*) from api_keys) and 'x'='x",
  '/*', '--',
  '../../etc/passwd', '..%2f..%2fetc%2fpasswd', '/etc/passwd', 'file:///etc/passwd', 'http://127.0.0.1:9/',
  '\\\\host\\share', '.', '..',
  '{{7*7}}', '$' + '{7*7}', '<%= 7*7 %>', '<script>alert(1)</script>', '"><img src=x onerror=alert(1)>',
  'javascript:alert(1)',
  ';id', '|id', '$(id)', '`id`', '&& id', '=1+1', '+1', '-1', '@SUM(A1)', '%n%s', '\u202e', '\ufeff', '\ud83d\ude00',
  'null', 'NaN', '__proto__',
  'constructor', '9'.repeat(400), '-9223372036854775809', '1e309', '0x10', '[]', '{}', '*', '%', '_', '\\',
  'a'.repeat(5000)
]

test('payloads in any parameter change nothing, reach nothing, and cause no failure', { timeout: 300_000 }, async t => {
  const { database, operations, ask } = await openSite(t)
  const tables = await database.query('select count(*) as n from pg_tables')
  const rows = await database.query('select count(*) as n from series')
  let tried = 0
  for (const operation of operations.filter(it => it.method === 'GET')) {
    const known: Record<string, string> = operation.path.startsWith('/api/v1')
      ? Object.fromEntries(Object.entries(range).filter(([name]) => operation.query.includes(name)))
      : { startTime: range.start, endTime: range.end }
    for (const name of [...operation.query, ...operation.path_, 'unknown']) {
      for (const payload of payloads) {
        const { status, body } = await ask(operation, TOKEN, { ...known, [name]: payload })
        assert.ok(status < 500, `${operation.path} ${name}=${payload}: ${status}`)
        assert.doesNotMatch(body, /root:x:|syntax error at|pg_catalog|uid=\d/, `${operation.path} ${name}=${payload}`)
        tried++
      }
    }
  }
  assert.deepEqual(await database.query('select count(*) as n from pg_tables'), tables)
  assert.deepEqual(await database.query('select count(*) as n from series'), rows)
  t.diagnostic(`${tried} hostile requests without effect: payloads x parameters`)
  assert.ok(tried > 3_000)
})

test('a name that a spreadsheet would evaluate is text in a CSV', async t => {
  const { ask } = await openSite(t)
  const { status, body } = await ask({ method: 'GET', path: '/api/v1/aggregates' }, TOKEN,
    { ...range, interval: 'range', groupBy: 'device', stats: 'count', format: 'csv' })
  assert.equal(status, 200)
  assert.doesNotMatch(body, /(^|,)"?[=+@]/m)
  assert.match(body, /'=cmd0/)
})
