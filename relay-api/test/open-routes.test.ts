/** Open routes cost almost nothing, for any number of requests. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'

import { createLogger, createMetrics, Gauge, startMetricsServer } from 'relay-common'

import { until } from 'relay-test-support/until.ts'
import { startApi } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { openTestApi, TOKEN } from './support/ask.ts'

const files = [
  '/docs/static/swagger-ui-bundle.js', '/docs/static/swagger-ui.css', '/docs/static/start.js',
  '/docs/static/favicon-16x16.png'
]

test('the document is rendered once, and sent in the client\'s encoding, or as not modified', async t => {
  const { app } = await openTestApi(t)
  let made = 0
  await app.ready()
  const { swagger } = app
  app.swagger = ((...args: Parameters<typeof swagger>) => {
    made++
    return swagger.apply(app, args)
  }) as typeof swagger
  const asked = await Promise.all(Array.from({ length: 50 }, (_, n) =>
    app.inject({
      url: '/openapi.json', headers: { 'accept-encoding': ['br', 'gzip', 'identity', 'br;q=0, gzip', '*'][n % 5] }
    })))
  assert.equal(made, 1)
  const documents = asked.map(({ headers, rawPayload }) => {
    if (headers['content-encoding'] === 'br') return brotliDecompressSync(rawPayload).toString()
    return headers['content-encoding'] === 'gzip' ? gunzipSync(rawPayload).toString() : rawPayload.toString()
  })
  assert.deepEqual([...new Set(documents)].map(it => JSON.parse(it).info.title), ['Relay'])
  assert.deepEqual(asked.slice(0, 4).map(it => it.headers['content-encoding']), ['br', 'gzip', undefined, 'gzip'])
  assert.equal(new Set(asked.slice(0, 3).map(it => it.headers.etag)).size, 3, 'each encoding has a tag of its own')
  for (const { headers } of asked.slice(0, 3)) {
    const again = await app.inject({
      url: '/openapi.json',
      headers: {
        'accept-encoding': String(headers['content-encoding'] ?? 'identity'), 'if-none-match': String(headers.etag)
      }
    })
    assert.deepEqual([again.statusCode, again.body], [304, ''])
  }
})

test('files of /docs are cached for long, the page is not, and nothing else of the package is served', async t => {
  const { app } = await openTestApi(t)
  for (const url of files) {
    const { statusCode, headers } = await app.inject({ url, headers: { 'accept-encoding': 'br' } })
    assert.equal(statusCode, 200, url)
    assert.match(String(headers['cache-control']), /max-age=31536000, immutable/)
    assert.ok(headers.etag)
    assert.equal(headers['content-encoding'], url.endsWith('.css') || url.includes('bundle') ? 'br' : undefined, url)
  }
  const page = await app.inject({ url: '/docs/' })
  assert.match(String(page.headers['cache-control']), /max-age=300$/)
  for (const [, url] of page.body.matchAll(/(?:src|href)="([^"]+)"/g)) {
    assert.equal((await app.inject({ url })).statusCode, 200, url)
  }
  for (const url of [
    '/docs/json', '/docs/yaml', '/docs/static/index.html', '/docs/static/..%2fpackage.json', '/docs/static/constructor'
  ]) {
    assert.equal((await app.inject({ url })).statusCode, 404, url)
  }
})

test('each address has a limit for open routes, and probes are always answered', async t => {
  const { app } = await openTestApi(t, { RATE_LIMIT_OPEN_MAX: '5' })
  const ask = async (url: string, remoteAddress = '10.0.0.1') => await app.inject({ url, remoteAddress })
  for (const url of ['/openapi.json', '/docs', '/docs/', files[0], files[2]]) {
    assert.equal((await ask(url)).statusCode, 200)
  }
  const over = await ask('/openapi.json')
  assert.deepEqual([over.statusCode, over.json().code], [429, 'RELAY_RATE_LIMITED'])
  assert.ok(Number(over.headers['retry-after']) > 0)
  assert.equal((await ask('/openapi.json', '10.0.0.2')).statusCode, 200)
  for (let n = 0; n < 20; n++) for (const url of ['/livez', '/readyz']) assert.equal((await ask(url)).statusCode, 200)
})

test('a flood of probes needs few statements, and an unreachable database is reported quickly', async t => {
  const { app, database } = await openTestApi(t)
  let statements = 0
  let isAway = false
  const { query } = database
  database.query = ((...args: Parameters<typeof query>) => {
    statements++
    return isAway ? Promise.reject(new Error('away')) : query.apply(database, args)
  }) as typeof query
  t.after(() => { database.query = query })
  const startedMs = performance.now()
  const answers = await Promise.all(Array.from({ length: 1_000 }, () => app.inject('/readyz')))
  assert.ok(answers.every(it => it.statusCode === 200))
  assert.ok(statements <= 2 + (performance.now() - startedMs) / 250, `${statements} statements`)
  isAway = true
  await until('it to be told', async () => {
    const { statusCode, body } = await app.inject('/readyz')
    return statusCode === 503 && JSON.parse(body).faults.database === 'is unreachable'
  }, 5_000)
})

test('metrics are on their own port, and collected at most once per second', async t => {
  const { url } = await openLocalPostgres(t)
  const api = await startApi(
    readApiConfig({ DATABASE_URL: url, API_TOKENS: TOKEN, API_PORT: '0' }), createLogger('test', 'silent')
  )
  t.after(() => api.close())
  assert.match(
    await (await fetch(`http://127.0.0.1:${api.metricsPort}/metrics`)).text(),
    /^process_cpu_seconds_total{program="relay-api"}/m
  )
  for (const path of ['/metrics', '/api/metrics']) {
    assert.notEqual((await fetch(`http://127.0.0.1:${api.port}${path}`)).status, 200)
  }
  assert.equal((await fetch(`http://127.0.0.1:${api.metricsPort}/api/v1/keys`)).status, 404)

  const registry = createMetrics('test')
  let collected = 0
  new Gauge({ name: 'g', help: 'g', registers: [registry], collect () { collected++ } }) // eslint-disable-line no-new
  const server = await startMetricsServer('127.0.0.1', 0, registry)
  t.after(() => server.close())
  const startedMs = performance.now()
  await Promise.all(Array.from(
    { length: 100 }, async () => (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text()
  ))
  assert.ok(collected <= 2 + (performance.now() - startedMs) / 1000, `collected ${collected} times`)
})
