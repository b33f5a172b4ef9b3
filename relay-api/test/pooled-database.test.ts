/** An API whose database is behind PgBouncer. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import getPort from 'get-port'
import { createLogger } from 'relay-common'

import { behindPgbouncer, startPgbouncer } from 'relay-test-support/local-pgbouncer.ts'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { openOwnServers } from 'relay-test-support/own-servers.ts'
import { until } from 'relay-test-support/until.ts'
import { startApi } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { TOKEN } from './support/ask.ts'
import { authorization, eventOf, kinds, openIngestSite, type IngestSite } from './support/ingest-site.ts'
import { listen } from './support/stream-site.ts'

const log = createLogger('test', 'silent')
const EVENTS = 60
const range = 'start=2024-01-01T00:00:00Z&end=2024-01-01T01:00:00Z'

/** Sends events through the API, receives them in a stream, and queries them in many ways at once. */
async function isRight (site: IngestSite, directUrl: string): Promise<void> {
  await using running = new AsyncDisposableStack()
  running.adopt(await startProcessor(readProcessorConfig({
    ...site.environment,
    DATABASE_URL: directUrl,
    CONSUMER_GROUP: site.log.topic,
    FLUSH_INTERVAL_MS: '20',
    HEALTH_PORT: '0'
  }), log), it => it.close())
  const client = await listen(site.url, '?interval=1d')
  running.defer(() => client.close())
  await until('a connection that hears of commits', async () => (await site.database.query(
    'select from pg_stat_activity where ' +
    'datname = current_database() and query = \'listen rollup_commits\'')).length === 1)
  for (let n = 0; n < EVENTS; n++) assert.equal((await site.post(JSON.stringify([eventOf(n)]))).status, 202)
  await until('the stream to tell of all', () => client.buckets.get('2024-01-01T00:00:00.000Z')?.count === EVENTS)

  const ask = async (path: string) => {
    const response = await fetch(`${site.url}/api/v1/${path}`, { headers: { authorization } })
    assert.equal(response.status, 200, path)
    return await response.json() as { rows: Array<Record<string, any>> }
  }
  const sum = Array.from({ length: EVENTS }, (_, n) => eventOf(n).value).reduce((total, it) => total + it)
  const questions =
    ['1m', '5m', '1h', 'range'].flatMap(interval => ['', '&zone=Zone%20A', '&type=THERMOSTAT', '&groupBy=device']
      .map(selection => `aggregates?${range}&interval=${interval}&stats=count,sum${selection}`))
  for (let round = 0; round < 5; round++) {
    const answers = await Promise.all([...questions, ...questions].map(ask)) // more than there are sessions
    for (const [n, { rows }] of answers.entries()) {
      const total = (field: 'count' | 'sum') => rows.reduce((all, it) => all + (it[field] ?? 0), 0)
      assert.deepEqual([total('count'), total('sum')], [EVENTS, sum], questions[n % questions.length])
    }
  }
}

for (const kind of kinds) {
  test(`behind a pooler that keeps sessions an API supports ingest, queries and streams: ${kind}`, behindPgbouncer, async t => {
    await using opened = new AsyncDisposableStack()
    let directUrl = ''
    const site = await openIngestSite(t, kind, async url => {
      directUrl = url
      return { DATABASE_URL: (await startPgbouncer(t, url, { pool_mode: 'session', default_pool_size: 50 })).url }
    })
    if (!site) return
    opened.use(site)
    await isRight(site, directUrl)
  })
}

test('behind a pooler that gives transactions different sessions an API only needs one listening connection', behindPgbouncer, async t => {
  await using opened = new AsyncDisposableStack()
  let directUrl = ''
  const site = await openIngestSite(t, 'kafka', async url => {
    directUrl = url
    const pooler = await startPgbouncer(t, url, { pool_mode: 'transaction', default_pool_size: 3 })
    const settings = { DATABASE_URL: pooler.url, DATABASE_LISTEN_URL: url }
    const { database } = await openLocalPostgres(t) // any database on the same server
    const refused = await refusalOf(settings)
    assert.equal(refused.code, 'RELAY_DATABASE_POOLED')
    const [, statements] = /Run: (.*); then RECONNECT/.exec(refused.message)!
    assert.match(statements, /timezone = 'UTC'/)
    assert.match(statements, /enable_seqscan = 'off'/)
    await database.query(statements)
    await pooler.reconnect()
    return settings
  })
  if (!site) return
  opened.use(site)
  await isRight(site, directUrl)
})

test('without a listening connection such a pooler is refused, and always with the event log in PostgreSQL', behindPgbouncer, async t => {
  const { url } = await openLocalPostgres(t)
  const pooler = await startPgbouncer(t, url, { pool_mode: 'transaction' })
  const refused = await refusalOf({ DATABASE_URL: pooler.url })
  assert.equal(refused.code, 'RELAY_DATABASE_POOLED')
  assert.match(refused.message, /relay-api.*pool_mode=session.*DATABASE_LISTEN_URL/)
  const ofLog = await refusalOf({ DATABASE_URL: pooler.url, DATABASE_LISTEN_URL: url, EVENT_LOG: 'postgres' })
  assert.equal(ofLog.code, 'RELAY_DATABASE_POOLED')
  assert.doesNotMatch(ofLog.message, /DATABASE_LISTEN_URL/)
})

test('while the database behind a pooler is away an API says so, and answers again afterwards', behindPgbouncer, async t => {
  const servers = await openOwnServers(t)
  const port = await getPort({ host: '127.0.0.1' })
  const server = await servers.start('primary', port)
  const pooler = await startPgbouncer(t, server.url('postgres'), { pool_mode: 'session', server_login_retry: 1 })
  const api = await startApi(
    readApiConfig({ DATABASE_URL: pooler.url, API_TOKENS: TOKEN, API_PORT: '0', METRICS_PORT: '0' }), log
  )
  t.after(() => api.close())
  const ask = async () => {
    const response = await fetch(`http://127.0.0.1:${api.port}/api/v1/devices`, { headers: { authorization } })
    return [response.status, (await response.json() as { code?: string }).code]
  }
  assert.deepEqual(await ask(), [200, undefined])
  process.kill(server.pid, 'SIGKILL')
  await server.exited
  for (let n = 0; n < 5; n++) assert.deepEqual(await ask(), [503, 'RELAY_DATABASE_UNREACHABLE'])
  await servers.start('primary', port)
  await until('answers again', async () => (await ask())[0] === 200)
})

async function refusalOf (settings: Record<string, string>): Promise<{ code: string, message: string }> {
  const api = await startApi(readApiConfig({ API_TOKENS: TOKEN, API_PORT: '0', ...settings }), log).catch(error =>
    error)
  if (!(api instanceof Error)) await api.close()
  assert.ok(api instanceof Error, 'it was started')
  return api as Error & { code: string }
}
